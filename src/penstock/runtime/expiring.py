"""Searches do not find what has expired, also before it is removed."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol, TypeVar

from penstock.core.knowledge.changes import has_expired

LIMIT_MAX = 4096  # passages that are looked at for one search


class Dated(Protocol):
    """What may have expired."""

    @property
    def metadata(self) -> Mapping[str, str]: ...


T = TypeVar("T", bound=Dated)


async def unexpired(search: Callable[[int], Awaitable[list[list[T]]]], limit: int, now_ms: int) -> list[list[T]]:
    """Search, and leave out what has expired; look further where that takes places from what has not."""
    asked = limit
    while True:
        found = await search(asked)
        left = [[each for each in hits if not has_expired(each.metadata, now_ms)] for hits in found]
        is_short = any(len(kept) < limit and len(hits) == asked for kept, hits in zip(left, found, strict=True))
        if not is_short or asked >= LIMIT_MAX:
            return [kept[:limit] for kept in left]
        asked = min(asked * 4, LIMIT_MAX)
