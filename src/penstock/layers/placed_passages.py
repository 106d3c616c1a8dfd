"""Passages in a vector store outside, whichever it is: what all of them need to be a `VectorIndex` with `Spaces`.

- A place holds the vectors of one length of a collection's generation, of all tenants; those without a vector lie in a place of
  no dimensions. Places are made when they are needed, and dropped when the last passage of a dropped generation goes.
- Whatever is asked of a store carries the tenant: the store's adapter puts it into keys and filters (C10).
- All that can be wrong with writes is found before the first of them is made.
- A passage is first put where it belongs and then taken away from where it was, so a repeated `apply` mends one that was cut off.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from penstock.core.knowledge.filters import Filter, matches
from penstock.core.knowledge.passages import Hit, IndexWrite, Passage, Space
from penstock.core.knowledge.picking import Metadata, Picking
from penstock.core.knowledge.places import Place, place, places_of
from penstock.core.knowledge.placing import SpaceWrites, cosine_of, placing
from penstock.core.knowledge.plain_filters import Asked, plain_filter
from penstock.core.knowledge.rows import other_length, units
from penstock.errors import LimitReached, PenstockError, Unavailable

HITS_MAX = 10_000
QUERIES_MAX = 32  # that are asked at once
ROWS_MAX = 256  # that are written or read at once
BYTES_MAX = 4_000_000  # of texts that are written at once
TRIES_MAX = 3
Vector = NDArray[np.float32] | None


class PlaceStore(Protocol):
    """A vector store. None (or False) says that the place is not there (any more); errors are ours."""

    async def names(self) -> Sequence[str]:
        """Return the names of all places, of other prefixes too."""
        ...

    async def make(self, at: Place) -> None:
        """Make a place; one that is there stays as it is."""
        ...

    async def drop(self, at: Place) -> None: ...

    def refuse(self, passage: Passage) -> PenstockError | None:
        """Say what is wrong with a passage that the store cannot hold."""
        ...

    async def put(self, at: Place, tenant: str, rows: Sequence[tuple[Passage, Vector]]) -> bool:
        """Insert or replace passages; return once the next search finds them."""
        ...

    async def remove(self, at: Place, tenant: str, ids: Sequence[str]) -> bool: ...

    async def search(
        self, at: Place, tenant: str, queries: NDArray[np.float32], count: int, asked: Asked
    ) -> Sequence[Sequence[tuple[Hit, Metadata]]] | None:
        """Return the best `count` rows for each query, best first; metadata only when the filter is loose."""
        ...

    async def read(self, at: Place, tenant: str, ids: Sequence[str]) -> Sequence[Passage] | None: ...

    async def vectors(self, at: Place, tenant: str, ids: Sequence[str]) -> Mapping[str, Sequence[float]] | None: ...

    async def page(self, at: Place, tenant: str, after: str, limit: int) -> tuple[Mapping[str, str], str] | None:
        """Return id -> digest of some passages, about `limit`, and what the next page goes on after; "" when there is none.

        With a limit of 1, there is one if there is any.
        """
        ...

    async def tenants(self, at: Place) -> Sequence[str] | None:
        """Return all tenants that have a passage in a place."""
        ...


class PlacedPassages:
    """A `VectorIndex`, with `Spaces`, over a vector store."""

    def __init__(self, store: PlaceStore, prefix: str) -> None:
        """`prefix` keeps apps apart that share a store."""
        self._store = store
        self._prefix = prefix
        self._names: Sequence[str] = ()
        self._making = asyncio.Lock()

    async def apply(self, writes: Sequence[IndexWrite]) -> None:
        """Make the writes; what is refused is refused before the first of them."""
        found = placing(writes)
        for each in found:
            for passage in (*(passage for passage, _ in each.placed), *each.bare):
                if (refusal := self._store.refuse(passage)) is not None:
                    raise refusal
        await self._look()
        for each in found:
            await self._require_length(each)
        for each in found:
            await self._write(each)

    async def nearest(
        self, space: Space, queries: NDArray[np.float32], *, limit: int, filter: Filter | None = None
    ) -> Sequence[Sequence[Hit]]:
        """Return the nearest passages. Raises `Refused` for queries of another length, `LimitReached` for a limit too high."""
        if limit > HITS_MAX:
            raise LimitReached("limit", limit, HITS_MAX)
        if limit < 1 or not len(queries):
            return [[] for _ in queries]
        asked = plain_filter(filter)
        at = await self._place(space, queries.shape[1])
        unit = units(queries)
        directed = [number for number, query in enumerate(unit) if query.any()]
        found: list[list[Hit]] = [[] for _ in unit]
        if at is None or asked.nothing:
            return found
        accepts = None if filter is None or not asked.loose else _acceptor(filter)
        for start in range(0, len(directed), QUERIES_MAX):
            some = directed[start : start + QUERIES_MAX]
            pickings = {number: Picking(limit, accepts) for number in some}
            await self._pick(space, at, unit, pickings, asked)
            for number, picking in pickings.items():
                found[number] = picking.hits
        return found

    async def cosines(
        self, space: Space, queries: NDArray[np.float32], ids: Sequence[Sequence[str]]
    ) -> Sequence[Mapping[str, float]]:
        wanted = list(dict.fromkeys(each for some in ids for each in some))
        if not wanted:
            return [{} for _ in queries]
        at = await self._place(space, queries.shape[1])
        if at is None:
            return [{} for _ in queries]
        known: dict[str, Sequence[float]] = {}
        for start in range(0, len(wanted), ROWS_MAX):
            known |= await self._store.vectors(at, space.tenant, wanted[start : start + ROWS_MAX]) or {}
        return [
            {each: cosine_of(known[each], query) for each in some if each in known} if query.any() else {}
            for query, some in zip(units(queries), ids, strict=True)
        ]

    async def passages(self, space: Space, ids: Sequence[str]) -> Mapping[str, Passage]:
        wanted, found = list(dict.fromkeys(ids)), dict[str, Passage]()
        for at in await self._places(space) if wanted else ():
            for start in range(0, len(wanted), ROWS_MAX):
                some = await self._store.read(at, space.tenant, wanted[start : start + ROWS_MAX])
                found |= {each.id: each for each in some or ()}
        return found

    async def digests(self, space: Space) -> Mapping[str, str]:
        found: dict[str, str] = {}
        for at in await self._places(space):
            after = ""
            while page := await self._store.page(at, space.tenant, after, ROWS_MAX):
                found |= page[0]
                after = page[1]
                if not after:
                    break
        return found

    async def spaces(self, collection: str) -> Sequence[Space]:
        await self._look()
        found: dict[Space, None] = {}
        for at in places_of(self._prefix, collection, self._names):
            found |= {Space(collection, each, at.generation): None for each in await self._store.tenants(at) or ()}
        return list(found)

    async def clear(self, space: Space, *, limit: int) -> int:
        """Remove some passages; a place that is left empty goes, since only a generation that was dropped is cleared."""
        gone = 0
        await self._look()
        for at in await self._places(space):
            after = ""
            while gone < limit and (
                page := await self._store.page(at, space.tenant, after, min(ROWS_MAX, limit - gone))
            ):
                some = list(page[0])[: limit - gone]
                for start in range(0, len(some), ROWS_MAX):
                    await self._store.remove(at, space.tenant, some[start : start + ROWS_MAX])
                gone, after = gone + len(some), "" if some else page[1]
                if not some and not after:
                    break
            if gone < limit and not await self._store.tenants(at):
                await self._store.drop(at)
                await self._look()
        return gone

    async def _pick(
        self, space: Space, at: Place, queries: NDArray[np.float32], pickings: Mapping[int, Picking], asked: Asked
    ) -> None:
        """Ask for more until each query has its hits."""
        open_ = dict(pickings)
        while open_:
            count, numbers = max(each.count for each in open_.values()), list(open_)
            found = await self._store.search(at, space.tenant, queries[numbers], count, asked)
            if found is None:
                await self._look()
                return
            for number, rows in zip(numbers, found, strict=True):
                open_[number].count = count
                if open_[number].take(rows):
                    del open_[number]

    async def _write(self, each: SpaceWrites) -> None:
        tenant = each.space.tenant
        placed: list[tuple[Passage, Vector]] = list(each.placed)
        bare: list[tuple[Passage, Vector]] = [(passage, None) for passage in each.bare]
        for dims, rows in ((each.dims, placed), (0, bare)):
            for some in _portions(rows):
                await self._put(place(self._prefix, each.space.collection, each.space.generation, dims), tenant, some)
        for at in await self._places(each.space):
            elsewhere = [passage.id for passage, _ in (bare if at.dims else placed)]
            ids = [*each.gone, *elsewhere]
            for start in range(0, len(ids), ROWS_MAX):
                await self._store.remove(at, tenant, ids[start : start + ROWS_MAX])

    async def _put(self, at: Place, tenant: str, rows: Sequence[tuple[Passage, Vector]]) -> None:
        for _ in range(TRIES_MAX):
            if at.name in self._names and await self._store.put(at, tenant, rows):
                return
            async with self._making:  # the writers of several partitions come to a new place together
                await self._store.make(at)
                await self._look()
        raise Unavailable("the vector store", "writing passages", f"the place {at.name} goes again and again")

    async def _require_length(self, each: SpaceWrites) -> None:
        for at in await self._places(each.space):
            if each.dims and at.dims not in (0, each.dims) and await self._has_any(at, each.space):
                raise other_length(each.dims, at.dims)

    async def _place(self, space: Space, dims: int) -> Place | None:
        """Where a space's vectors of a length are; `Refused` where there are some of another length only."""
        known = [each for each in await self._places(space) if each.dims]
        if all(each.dims != dims for each in known):
            await self._look()  # another worker may have made it meanwhile
            known = [each for each in await self._places(space) if each.dims]
        mine = next((each for each in known if each.dims == dims), None)
        if mine is None or (len(known) > 1 and not await self._has_any(mine, space)):
            for other in known:
                if other is not mine and await self._has_any(other, space):
                    raise other_length(dims, other.dims)
        return mine

    async def _has_any(self, at: Place, space: Space) -> bool:
        page = await self._store.page(at, space.tenant, "", 1)
        return page is not None and bool(page[0])

    async def _places(self, space: Space) -> list[Place]:
        if not self._names:
            await self._look()
        found = places_of(self._prefix, space.collection, self._names)
        return [each for each in found if each.generation == space.generation]

    async def _look(self) -> None:
        self._names = await self._store.names()


def _acceptor(filter: Filter) -> Callable[[Metadata], bool]:
    return lambda metadata: matches(filter, metadata)


def _portions(rows: Sequence[tuple[Passage, Vector]]) -> list[list[tuple[Passage, Vector]]]:
    """Rows in portions that a store takes at once."""
    portions: list[list[tuple[Passage, Vector]]] = []
    size = BYTES_MAX
    for row in rows:
        weight = len(row[0].text) * 2 + 200
        if size + weight > BYTES_MAX or len(portions[-1]) == ROWS_MAX:
            portions.append([])
            size = 0
        portions[-1].append(row)
        size += weight
    return portions
