"""Where passages and their vectors are found. Its contract, as tests: `penstock.testing.vectors_contract`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from penstock.core.knowledge.filters import Filter
from penstock.core.knowledge.passages import Hit, IndexWrite, Passage, Space

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class VectorIndex(Protocol):
    """Passages by nearness of vectors.

    Every implementation guarantees:

    V1 upsert     `apply` is idempotent: the last write of an id in call order wins, repeating it changes nothing.
    V2 seen       What `apply` returned from is found by the next search, and what it deleted is not.
    V3 isolation  A search sees its own space (tenant, collection, generation) and nothing else.
    V4 filter     Every hit matches the filter, and up to `limit` passages that match are returned, best first.
    V5 order      Hits come by falling cosine; equal ones by id.
    V6 zero       A passage without vector, or with an all-zero one, is kept and readable but never a hit.
    V7 cosines    `cosines` gives the cosines that `nearest` gives, for the ids that have a vector; none for a zero query.
    V8 finite     A vector, or a query, with what is no finite number is refused (`Invalid`); of such a call nothing is written.
    """

    async def apply(self, writes: Sequence[IndexWrite]) -> None:
        """Make the writes, all or (on `Unavailable`) possibly some: repeat them."""
        ...

    async def nearest(
        self, space: Space, queries: NDArray[np.float32], *, limit: int, filter: Filter | None = None
    ) -> Sequence[Sequence[Hit]]:
        """Return the best hits for each row of `queries` (float32, shape (n, dims))."""
        ...

    async def cosines(
        self, space: Space, queries: NDArray[np.float32], ids: Sequence[Sequence[str]]
    ) -> Sequence[Mapping[str, float]]:
        """Return id -> cosine for the query's own `ids`: those that another index found."""
        ...

    async def passages(self, space: Space, ids: Sequence[str]) -> Mapping[str, Passage]:
        """Return the passages that exist among `ids`."""
        ...

    async def digests(self, space: Space) -> Mapping[str, str]:
        """Return id -> digest of every passage in the space."""
        ...
