"""A vector index that goes away and comes back, as one behind a network does: for tests of what goes on without it."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from penstock.core.knowledge.filters import Filter
from penstock.core.knowledge.passages import Hit, IndexWrite, Passage, Space
from penstock.errors import NotLetIn, Unavailable
from penstock.ports.vectors import VectorIndex

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Condition = Literal["up", "down", "silent", "locked"]


class FlakyVectors:
    """A `VectorIndex` around another one. "down": every call is refused; "silent": none is ever answered; "locked": it does
    not let us in.

    `calls` counts what reached it. What was written while it is silent may have been written or not: here it was not.
    """

    def __init__(self, inner: VectorIndex) -> None:
        self._inner = inner
        self.condition: Condition = "up"
        self.calls = 0

    async def apply(self, writes: Sequence[IndexWrite]) -> None:
        await self._travel("write")
        await self._inner.apply(writes)

    async def nearest(
        self, space: Space, queries: "NDArray[np.float32]", *, limit: int, filter: Filter | None = None
    ) -> Sequence[Sequence[Hit]]:
        await self._travel("search")
        return await self._inner.nearest(space, queries, limit=limit, filter=filter)

    async def cosines(
        self, space: Space, queries: "NDArray[np.float32]", ids: Sequence[Sequence[str]]
    ) -> Sequence[Mapping[str, float]]:
        await self._travel("search")
        return await self._inner.cosines(space, queries, ids)

    async def passages(self, space: Space, ids: Sequence[str]) -> Mapping[str, Passage]:
        await self._travel("read")
        return await self._inner.passages(space, ids)

    async def digests(self, space: Space) -> Mapping[str, str]:
        await self._travel("read")
        return await self._inner.digests(space)

    async def _travel(self, operation: str) -> None:
        self.calls += 1
        if self.condition == "silent":
            await asyncio.get_running_loop().create_future()
        if self.condition == "down":
            raise Unavailable("the flaky vectors", operation, "nobody is there")
        if self.condition == "locked":
            raise NotLetIn("the flaky vectors", operation, "FLAKY_KEY", "the key is not known")
