"""How an index is rid of what it deleted earlier. The object that keeps this is a `VectorIndex` that lies in files."""

from typing import Protocol

from penstock.core.knowledge.passages import Space


class Purging(Protocol):
    """What was deleted may lie in files until they are made anew.

    Once `purge` returned, the index's own files have nothing of passages that were deleted from the space before. What is found
    in the space is the same.
    """

    async def purge(self, space: Space) -> None: ...
