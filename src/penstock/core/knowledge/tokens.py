"""What a write returns, so that a later search sees it: up to which place in the log its events lie, in each partition."""

import re
from collections.abc import Iterable, Mapping

from msgspec import Struct

from penstock.core.events.envelope import Position
from penstock.errors import Finding, Invalid

PARTITIONS_MAX = 1024
_TOKEN = re.compile(r"k(?:[0-9]{1,4}-[0-9]{1,18}(?:\.[0-9]{1,4}-[0-9]{1,18})*)?")


class Written(Struct, frozen=True):
    """Events that were accepted, and the token by which a search waits for them: `search(..., after=written)`.

    `events`: by the ids that they came with, else by those of the log.
    """

    events: tuple[str, ...] = ()
    token: str = "k"  # noqa: S105 - it opens nothing


def token_of(positions: Iterable[Position]) -> str:
    """Return the token of events by their places."""
    last: dict[int, int] = {}
    for each in positions:
        last[each.partition] = max(each.offset, last.get(each.partition, 0))
    return "k" + ".".join(f"{partition}-{offset}" for partition, offset in sorted(last.items()))


def places_in(token: str) -> Mapping[int, int]:
    """Return partition -> offset; `Invalid` for what is no token."""
    if not _TOKEN.fullmatch(token) or token.count(".") >= PARTITIONS_MAX:
        hint = "give the token that a put returned"
        raise Invalid("the search", (Finding("after", f"is {token[:80]!r}", hint),))
    pairs = [each.split("-") for each in token[1:].split(".")] if len(token) > 1 else []
    return {int(partition): int(offset) for partition, offset in pairs}
