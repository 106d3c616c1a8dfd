"""Searches with ready vectors, those that are asked for in the same tick of the event loop together."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from penstock.core.knowledge.passages import Space
from penstock.errors import Unavailable
from penstock.ports.vectors import VectorIndex
from penstock.runtime.tasks import Tasks

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SLICE = 16


class VectorBatch:
    """Searches with ready vectors, made together in each tick: what `penstock bench turns` and S0's indexers use."""

    def __init__(self, vectors: VectorIndex, space: Space, tasks: Tasks) -> None:
        self._vectors = vectors
        self._space = space
        self._tasks = tasks
        self._asked: list[tuple[bytes, int, asyncio.Future[list[str]]]] = []

    async def nearest(self, vector: bytes, limit: int) -> list[str]:
        """Return the ids of the nearest passages to a vector (little-endian float32)."""
        future: asyncio.Future[list[str]] = asyncio.get_running_loop().create_future()
        if not self._asked and not self._tasks.start(self._answer()):
            raise Unavailable("the engine", "search", "it was stopped")
        self._asked.append((vector, limit, future))
        return await future

    async def _answer(self) -> None:
        asked, self._asked = self._asked, []
        limit = max(limit for _, limit, _ in asked)
        try:
            hits = await self._vectors.nearest(self._space, _rows([vector for vector, _, _ in asked]), limit=limit)
        except Exception as error:  # noqa: BLE001 - a vector of another length, say: only who asked is to blame
            for _, _, future in asked:
                if not future.done():
                    future.set_exception(error)
            return
        for number, ((_, wanted, future), each) in enumerate(zip(asked, hits, strict=True), start=1):
            if not future.done():
                future.set_result([hit.id for hit in each[:wanted]])
            if number % SLICE == 0:
                await asyncio.sleep(0)  # whoever goes on from here may be committed while the others still work


def _rows(vectors: list[bytes]) -> NDArray[np.float32]:
    import numpy as np

    return np.frombuffer(b"".join(vectors), np.float32).reshape(len(vectors), -1)
