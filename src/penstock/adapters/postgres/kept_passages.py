"""Passages in the store in Postgres: written within its commits, searched in memory by the same code as in a file.

- The rows are the truth; the layers of a space are made from them when it is first searched, without analysing text again.
- Before each search the space's number of changes is asked for, and what others wrote since is read: so every worker finds what
  any of them has committed. What this one wrote is put in at once, unless others wrote in between.
- No extension is needed. Memory grows with the spaces that are searched, some 2 KiB a passage: large ones belong elsewhere
  (the setting `vectors`).
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from penstock.adapters.postgres import kept_rows
from penstock.adapters.postgres.database import Connection, Database
from penstock.adapters.postgres.kept_rows import SIZES, Known, Prepared, Sizes
from penstock.core.knowledge.filters import Filter
from penstock.core.knowledge.layers import Layers
from penstock.core.knowledge.passages import Hit, IndexWrite, Passage, Space, Upsert
from penstock.core.knowledge.rows import Row, last_writes, prepared

SPACES_MAX = 256
_ANALYSED_AT_ONCE = 16  # passages: some two milliseconds
_WORK_AT_ONCE = 64 * 50_000  # queries times passages between two turns of the event loop: some 20 ms
T = TypeVar("T")


class KeptPassages:
    """A `VectorIndex`, `WordIndex` and `DocumentIndex` in the store's schema, with `Spaces` and `PassageChecks`."""

    def __init__(self, database: Database, sizes: Sizes = SIZES, *, spaces_max: int = SPACES_MAX) -> None:
        self._database = database
        self._sizes = sizes
        self._spaces_max = spaces_max
        self._open: OrderedDict[Space, _OpenSpace] = OrderedDict()

    async def make_tables(self) -> None:
        """Make the tables where they are missing."""
        await self._database.transact("making the tables of passages", kept_rows.create_tables)

    @staticmethod
    async def prepared(writes: Sequence[IndexWrite]) -> list[IndexWrite]:
        ready: list[IndexWrite] = []
        for start in range(0, len(writes), _ANALYSED_AT_ONCE):
            if start:
                await asyncio.sleep(0)
            ready += prepared(writes[start : start + _ANALYSED_AT_ONCE])
        return ready

    @staticmethod
    async def by_space(writes: Sequence[IndexWrite]) -> list[Prepared]:
        """Put together what is to be written to each space; `Invalid` for what cannot be."""
        ready = await KeptPassages.prepared(writes)
        # In one order: two workers that write to the same spaces would else wait for each other.
        spaces = sorted(
            last_writes(ready).items(), key=lambda each: (each[0].collection, each[0].tenant, each[0].generation)
        )
        return [Prepared(space, last, _rows(last)) for space, last in spaces]

    async def write(self, connection: Connection, ready: Sequence[Prepared]) -> Mapping[Space, Known]:
        """Write within the caller's transaction; give the result to `publish` once it is committed."""
        return await kept_rows.write(connection, ready, self._sizes.prune_every)

    def publish(self, ready: Sequence[Prepared], written: Mapping[Space, Known]) -> None:
        """Let searches see what a committed transaction wrote, where nothing else has come in between."""
        for each in ready:
            opened, known = self._open.get(each.space), written.get(each.space)
            if opened is not None and known is not None and not opened.turn.locked():
                opened.follow(each, known)

    async def require(self, writes: Sequence[IndexWrite]) -> None:
        last = last_writes(writes)
        await self._database.ask("checking passages", lambda each: kept_rows.require(each, last))

    async def apply(self, writes: Sequence[IndexWrite]) -> None:
        """Make the writes in a transaction of their own: all, or none."""
        ready = await self.by_space(writes)
        written = await self._database.transact("writing passages", lambda each: self.write(each, ready))
        self.publish(ready, written)

    async def nearest(
        self, space: Space, queries: NDArray[np.float32], *, limit: int, filter: Filter | None = None
    ) -> Sequence[Sequence[Hit]]:
        layers = await self._layers(space)
        return await _in_turns(
            len(queries),
            len(layers),
            lambda start, end: layers.nearest(queries[start:end], limit=limit, filter=filter),
        )

    async def matching(
        self, space: Space, queries: Sequence[str], *, limit: int, filter: Filter | None = None
    ) -> Sequence[Sequence[Hit]]:
        layers = await self._layers(space)
        return await _in_turns(
            len(queries),
            len(layers),
            lambda start, end: layers.matching(queries[start:end], limit=limit, filter=filter),
        )

    async def cosines(
        self, space: Space, queries: NDArray[np.float32], ids: Sequence[Sequence[str]]
    ) -> Sequence[Mapping[str, float]]:
        return (await self._layers(space)).cosines(queries, ids)

    async def relevances(
        self, space: Space, queries: Sequence[str], ids: Sequence[Sequence[str]]
    ) -> Sequence[Mapping[str, float]]:
        layers = await self._layers(space)
        return await _in_turns(
            len(queries), len(layers), lambda start, end: layers.relevances(queries[start:end], ids[start:end])
        )

    async def passages(self, space: Space, ids: Sequence[str]) -> Mapping[str, Passage]:
        return await self._database.ask("reading passages", lambda each: kept_rows.passages(each, space, ids))

    async def digests(self, space: Space) -> Mapping[str, str]:
        return await self._database.ask("reading digests", lambda each: kept_rows.digests(each, space))

    async def spaces(self, collection: str) -> Sequence[Space]:
        return await self._database.ask("reading spaces", lambda each: kept_rows.spaces(each, collection))

    async def clear(self, space: Space, *, limit: int) -> int:
        return await self._database.transact("clearing a space", lambda each: kept_rows.clear(each, space, limit))

    async def parts(self, space: Space, documents: Sequence[str]) -> Mapping[str, Mapping[str, str]]:
        return await self._database.ask("reading documents", lambda each: kept_rows.parts(each, space, documents))

    async def _layers(self, space: Space) -> Layers:
        opened = self._open.get(space)
        if opened is None:
            opened = self._open[space] = _OpenSpace()
        self._open.move_to_end(space)
        async with opened.turn:
            known = await self._database.ask("looking up a space", lambda each: kept_rows.known(each, space))
            if known is None:  # nobody may fill the memory by asking for what is not there
                self._open.pop(space, None)
                return Layers()
            opened.require(known)
            while opened.changes < known.changes:
                await self._read_on(opened, known)
        while len(self._open) > self._spaces_max:
            self._open.popitem(last=False)
        return opened.layers

    async def _read_on(self, opened: "_OpenSpace", known: Known) -> None:
        """Read a page of what changed."""
        number, place, page = opened.number, (opened.read_to, opened.after), self._sizes.page
        rows, read_to, after, count = await self._database.ask(
            "reading what changed", lambda each: kept_rows.since(each, number, place, page)
        )
        opened.layers.change(rows)
        if count == page:
            opened.read_to, opened.after = read_to, after
            await asyncio.sleep(0)
        else:  # what has a number that was seen is committed, and so is all before it
            opened.reached(max(read_to, known.changes))


_LAST = b"\xff"  # after all ids of a change: ids are UTF-8


class _OpenSpace:
    """A space in memory, and how far it has come."""

    def __init__(self) -> None:
        self.turn = asyncio.Lock()  # who has it reads what others wrote
        self._reset(0)

    def _reset(self, number: int) -> None:
        self.number = number
        self.layers = Layers()
        self.changes = 0  # all up to this one are in
        self.read_to = 0
        self.after = _LAST

    def require(self, known: Known) -> None:
        """Begin anew where the space was emptied, or what was removed is not told any more."""
        if known.number != self.number or self.changes < known.pruned:
            self._reset(known.number)

    def follow(self, written: Prepared, known: Known) -> None:
        """Put in what was written just now, if all before it is in."""
        if known.number == self.number and known.changes == self.changes + 1:
            self.layers.change(written.rows)
            self.reached(known.changes)

    def reached(self, change: int) -> None:
        """All up to a change is in."""
        self.changes = self.read_to = change
        self.after = _LAST


def _rows(last: Mapping[str, IndexWrite]) -> dict[str, Row | None]:
    return {key: each.row if isinstance(each, Upsert) else None for key, each in last.items()}


async def _in_turns(queries: int, passages: int, answer: Callable[[int, int], Sequence[T]]) -> list[T]:
    """Answer some queries at a time, and let others work in between."""
    step = max(1, _WORK_AT_ONCE // max(1, passages))
    found: list[T] = []
    for start in range(0, queries, step):
        if start:
            await asyncio.sleep(0)
        found += answer(start, min(start + step, queries))
    return found
