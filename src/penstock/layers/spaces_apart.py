"""The spaces of a collection whose vectors and words lie in two indexes, as those of one."""

from collections.abc import Sequence

from penstock.core.knowledge.passages import Space
from penstock.ports.spaces import Spaces


class SpacesApart:
    """`Spaces` over several of them. What a space has in any of them counts, and is cleared one after the other."""

    def __init__(self, parts: Sequence[Spaces]) -> None:
        self._parts = parts

    async def spaces(self, collection: str) -> Sequence[Space]:
        return list(dict.fromkeys([space for part in self._parts for space in await part.spaces(collection)]))

    async def clear(self, space: Space, *, limit: int) -> int:
        for part in self._parts:
            if gone := await part.clear(space, limit=limit):
                return gone
        return 0
