"""Passages in this process's memory: found at once, gone when it ends.

`apply` has no point at which another task could run, so a search sees all of its writes or none.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from penstock.core.knowledge.documents import prefix_of
from penstock.core.knowledge.filters import Filter
from penstock.core.knowledge.layers import Layers
from penstock.core.knowledge.passages import Delete, Hit, IndexWrite, Passage, Row, Space, Upsert
from penstock.core.knowledge.rows import analysed, last_writes


class MemoryPassages:
    """A `VectorIndex`, `WordIndex` and `DocumentIndex`, with `Spaces`."""

    def __init__(self) -> None:
        self._segments: dict[Space, Layers] = {}
        self._passages: dict[Space, dict[str, Passage]] = {}
        self._parts: dict[Space, dict[str, set[str]]] = {}  # by what comes before the first "#"

    async def apply(self, writes: Sequence[IndexWrite]) -> None:
        """Make the writes. Those of one space are made whole, or (`Invalid`, `Refused`) not at all."""
        last = last_writes(writes)
        analysed_rows: dict[Space, dict[str, Row | None]] = {
            space: {
                key: write.row or analysed(write.passage, write.vector) if isinstance(write, Upsert) else None
                for key, write in of_space.items()
            }
            for space, of_space in last.items()
        }
        for space, changes in analysed_rows.items():
            self._segments.setdefault(space, Layers()).change(changes)
            passages = self._passages.setdefault(space, {})
            parts = self._parts.setdefault(space, {})
            for key, write in last[space].items():
                document = key.partition("#")[0]
                if isinstance(write, Upsert):
                    passages[key] = write.passage
                    parts.setdefault(document, set()).add(key)
                elif passages.pop(key, None) is not None:
                    parts[document].discard(key)

    async def nearest(
        self, space: Space, queries: NDArray[np.float32], *, limit: int, filter: Filter | None = None
    ) -> Sequence[Sequence[Hit]]:
        return self._segment(space).nearest(queries, limit=limit, filter=filter)

    async def matching(
        self, space: Space, queries: Sequence[str], *, limit: int, filter: Filter | None = None
    ) -> Sequence[Sequence[Hit]]:
        return self._segment(space).matching(queries, limit=limit, filter=filter)

    async def cosines(
        self, space: Space, queries: NDArray[np.float32], ids: Sequence[Sequence[str]]
    ) -> Sequence[Mapping[str, float]]:
        return self._segment(space).cosines(queries, ids)

    async def relevances(
        self, space: Space, queries: Sequence[str], ids: Sequence[Sequence[str]]
    ) -> Sequence[Mapping[str, float]]:
        return self._segment(space).relevances(queries, ids)

    def kept(self, space: Space) -> Mapping[str, Passage]:
        """Return all passages of a space."""
        return dict(self._passages.get(space, {}))

    async def passages(self, space: Space, ids: Sequence[str]) -> Mapping[str, Passage]:
        known = self._passages.get(space, {})
        return {key: known[key] for key in ids if key in known}

    async def digests(self, space: Space) -> Mapping[str, str]:
        return {key: passage.digest for key, passage in self._passages.get(space, {}).items()}

    async def spaces(self, collection: str) -> Sequence[Space]:
        return [space for space, passages in self._passages.items() if space.collection == collection and passages]

    async def clear(self, space: Space, *, limit: int) -> int:
        known = self._passages.get(space, {})
        gone = list(known)[:limit]
        if len(gone) == len(known):
            self._passages.pop(space, None)
            self._segments.pop(space, None)
            self._parts.pop(space, None)
        else:
            await self.apply([Delete(space, each) for each in gone])
        return len(gone)

    async def parts(self, space: Space, documents: Sequence[str]) -> Mapping[str, Mapping[str, str]]:
        passages, parts = self._passages.get(space, {}), self._parts.get(space, {})
        found: dict[str, dict[str, str]] = {}
        for document in documents:
            prefix = prefix_of(document)
            ids = [each for each in parts.get(prefix[:-1], ()) if each.startswith(prefix)]
            ids += [prefix[:-1]] if prefix[:-1] in passages else []
            if ids:
                found[document] = {each: passages[each].digest for each in ids}
        return found

    def _segment(self, space: Space) -> Layers:
        # A search must not leave anything behind: whoever can ask could fill the memory with empty spaces.
        return self._segments.get(space) or Layers()
