"""Passages in the file that holds log and state: written within their transactions, searched in memory.

- The rows are the truth; the layers of a space are made from them when it is first searched, without analysing text again.
  They may be dropped at any time. Of a large space most lies in sealed parts beside the file, which are mapped.
- Layers change only by `publish`, on the event loop, after the commit. What a transaction wrote and
  rolled back was never in them.
- While a space is being read, what is published for it waits, and is then applied on top: the last write
  of an id wins, whichever page of the reading had seen it.
"""

import asyncio
import sqlite3
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from penstock.adapters.sqlite import part_rows
from penstock.adapters.sqlite.part_files import NotWhole
from penstock.adapters.sqlite.part_rows import Count
from penstock.adapters.sqlite.passage_rows import (
    PreparedWrites,
    clear,
    create_tables,
    digests,
    page,
    page_of,
    parts,
    passages,
    require,
    space_number,
    spaces,
    write,
)
from penstock.adapters.sqlite.schema import connect, translated
from penstock.adapters.sqlite.sealing import OpenSpace, Sealer, Transact
from penstock.adapters.sqlite.shared_spaces import lacking, noted
from penstock.adapters.sqlite.transactions import open_transactions
from penstock.core.knowledge.filters import Filter
from penstock.core.knowledge.layers import SIZES, Layers, Sizes
from penstock.core.knowledge.passages import Hit, IndexWrite, Passage, Row, Space
from penstock.core.knowledge.rows import Changes, prepared

PAGE_PASSAGES = 2_000
FOLLOWED_AT_ONCE = 250
SPACES_MAX = 256
LOADS_MAX = 3  # where other processes write to a space all the time, the next search reads it again

# Queries times passages between two turns of the event loop: some 20 ms.
_WORK_AT_ONCE = 64 * 50_000
# Less than a millisecond.
_ANALYSED_AT_ONCE = 16
# Of the event loop, between two slices of a bulk: what a thread has done for somebody takes some to come to who waits for it,
# and behind a slice in each of them a single write would wait for most of the bulk.
_TURNS = 8

R = TypeVar("R")
Query = TypeVar("Query", Sequence[str], NDArray[np.float32])


class SqlitePassages:
    """A `VectorIndex`, `WordIndex` and `DocumentIndex` in one file, with `Spaces` and `PassageChecks`.

    `write` and `publish` are for whoever commits to it too.

    `connection` reads, on the event loop, and must not be the one that `transact` writes with: it would see
    what is not committed. At most `spaces_max` spaces are kept in memory, those searched last. The parts of large spaces lie
    in a folder beside the file, which belongs to it and can be deleted while nobody has it open.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        transact: Transact,
        *,
        spaces_max: int = SPACES_MAX,
        sizes: Sizes = SIZES,
        shared: bool = False,
    ) -> None:
        """`shared`: other processes write to the file, too, and what they wrote is asked for before each search."""
        self._shared = shared
        self._connection = connection
        self._transact = transact
        self._sealer = Sealer(_parts_of(connection), transact)
        self._spaces_max = spaces_max
        self._sizes = sizes
        self._spaces: OrderedDict[Space, OpenSpace] = OrderedDict()
        self._loads: dict[Space, _Load] = {}

    async def close(self) -> None:
        """Wait for what is being put into parts."""
        await self._sealer.close(list(self._spaces.values()))

    async def settled(self) -> None:
        """Wait until all that is large enough is in parts, and nothing is left to merge."""
        await self._sealer.settled()

    def tidy(self) -> None:
        """Remove parts that an earlier process left unfinished. Only who is alone with the file may do so."""
        self._ask(lambda: self._sealer.tidy(self._connection), "removing old parts")

    @staticmethod
    def write(connection: sqlite3.Connection, writes: Sequence[IndexWrite]) -> PreparedWrites:
        """Write within the caller's transaction; give the result to `publish` once it is committed."""
        return write(connection, writes)

    def publish(self, prepared: object) -> None:
        """Let searches see what a committed transaction wrote. On the event loop, in the order of the commits."""
        assert isinstance(prepared, PreparedWrites), prepared
        for space, changes in prepared.changes.items():
            if (load := self._loads.get(space)) is not None:
                load.missed.append((changes, prepared.numbers[space]))
            elif (known := self._spaces.get(space)) is not None:
                self._change(space, known, changes, prepared.numbers[space])

    async def require(self, writes: Sequence[IndexWrite]) -> None:
        self._ask(lambda: require(self._connection, writes), "checking passages")

    async def apply(self, writes: Sequence[IndexWrite]) -> None:
        """Make the writes in a transaction of their own: all, or none. They are made also when the caller is cancelled."""
        ready = await self.prepared(writes)

        async def commit_and_publish() -> None:
            self.publish(await self._transact(lambda connection: write(connection, ready)))

        # A commit that has begun cannot be stopped, and what it wrote must then be published.
        await asyncio.shield(asyncio.ensure_future(commit_and_publish()))
        for space in dict.fromkeys(each.space for each in writes):
            if (known := self._spaces.get(space)) is not None:
                await self._sealer.room(known)

    @staticmethod
    async def prepared(writes: Sequence[IndexWrite]) -> list[IndexWrite]:
        """Analyse what is to be written, while others have their turns: in a transaction it would hold them all up."""
        if len(writes) <= _ANALYSED_AT_ONCE:
            return prepared(writes)
        ready: list[IndexWrite] = []
        for start in range(0, len(writes), _ANALYSED_AT_ONCE):
            for _ in range(_TURNS):
                await asyncio.sleep(0)
            ready += prepared(writes[start : start + _ANALYSED_AT_ONCE])
        return ready

    async def nearest(
        self, space: Space, queries: NDArray[np.float32], *, limit: int, filter: Filter | None = None
    ) -> Sequence[Sequence[Hit]]:
        layers = await self._layers(space)
        hits: list[list[Hit]] = []
        for part in _parts(queries, len(layers)):
            await _turn(hits)
            hits += layers.nearest(part, limit=limit, filter=filter)
        return hits

    async def matching(
        self, space: Space, queries: Sequence[str], *, limit: int, filter: Filter | None = None
    ) -> Sequence[Sequence[Hit]]:
        layers = await self._layers(space)
        hits: list[list[Hit]] = []
        for part in _parts(queries, len(layers)):
            await _turn(hits)
            hits += layers.matching(part, limit=limit, filter=filter)
        return hits

    async def cosines(
        self, space: Space, queries: NDArray[np.float32], ids: Sequence[Sequence[str]]
    ) -> Sequence[Mapping[str, float]]:
        return (await self._layers(space)).cosines(queries, ids)

    async def relevances(
        self, space: Space, queries: Sequence[str], ids: Sequence[Sequence[str]]
    ) -> Sequence[Mapping[str, float]]:
        layers = await self._layers(space)
        found: list[dict[str, float]] = []
        start = 0
        for part in _parts(queries, len(layers)):
            await _turn(found)
            found += layers.relevances(part, ids[start : start + len(part)])
            start += len(part)
        return found

    async def passages(self, space: Space, ids: Sequence[str]) -> Mapping[str, Passage]:
        return self._ask(lambda: passages(self._connection, space, ids), "reading passages")

    async def digests(self, space: Space) -> Mapping[str, str]:
        return self._ask(lambda: digests(self._connection, space), "reading digests")

    async def spaces(self, collection: str) -> Sequence[Space]:
        return self._ask(lambda: spaces(self._connection, collection), "reading spaces")

    async def clear(self, space: Space, *, limit: int) -> int:
        async def commit_and_publish() -> int:
            cleared = await self._transact(lambda connection: clear(connection, space, limit))
            self.publish(PreparedWrites({space: dict.fromkeys(cleared.ids)}, {space: cleared.number}))
            if cleared.is_empty:
                self._close(space)
                await self._sealer.discard(cleared.parts)
            return len(cleared.ids)

        return await asyncio.shield(asyncio.ensure_future(commit_and_publish()))

    async def purge(self, space: Space) -> None:
        known = self._spaces.get(space)
        while known is not None and (busy := [each for each in (known.sealing, known.merging) if each is not None]):
            await asyncio.wait(busy)  # what they write may have what was deleted since they began
        number = self._number(space)
        if number is None:
            return

        def forgotten(connection: sqlite3.Connection) -> list[str]:
            names = [each.name for each in part_rows.parts(connection, number)]
            part_rows.forget(connection, number)
            return names

        names = await self._transact(forgotten)
        self._close(space)
        await self._sealer.discard(names)

    async def parts(self, space: Space, documents: Sequence[str]) -> Mapping[str, Mapping[str, str]]:
        return self._ask(lambda: parts(self._connection, space, documents), "reading documents")

    async def _layers(self, space: Space) -> Layers:
        loads = 0
        while (known := self._spaces.get(space)) is None or (
            loads < LOADS_MAX and (known.stale or (self._shared and not await self._follow(space, known)))
        ):
            loads += 1
            if known is not None and self._spaces.get(space) is known:
                del self._spaces[space]
            if (load := self._loads.get(space)) is None:
                await self._load(space)
            else:
                await load.ended.wait()
        self._spaces.move_to_end(space)
        return known.layers

    def _close(self, space: Space) -> None:
        """Let go of a space whose number is not its own any more."""
        for known in (self._spaces.pop(space, None), self._loads.get(space)):
            if known is not None:
                known.stale = True

    async def _follow(self, space: Space, known: OpenSpace) -> bool:
        """Read what other processes wrote; False when the space must be opened anew."""
        async with known.following:
            lacks = self._ask(lambda: lacking(self._connection, space, known), "looking up a space")
            if lacks is None:
                return False
            for start in range(0, len(lacks.ids), FOLLOWED_AT_ONCE):
                ids, number = lacks.ids[start : start + FOLLOWED_AT_ONCE], known.number
                assert number is not None, "a space without rows lacks none"
                known.layers.change(self._ask(partial(page_of, self._connection, number, ids), "loading passages"))
                await asyncio.sleep(0)
            known.upto = max(known.upto, lacks.upto)
        if lacks.ids:
            self._sealer.consider(known)
        return True

    def _change(self, space: Space, known: OpenSpace, changes: Changes, number: int) -> None:
        if self._shared and (known.following.locked() or not known.is_next(number)):
            return  # others wrote in between: the next search reads all of it
        known.layers.change(changes)
        known.follow(number)
        known.number = known.number or self._number(space)
        self._sealer.consider(known)

    async def _load(self, space: Space) -> None:
        load = self._loads[space] = _Load()
        try:
            known = await self._opened(space)
            for changes, number in () if self._shared else load.missed:  # what is noted will be read
                known.layers.change(changes)
                known.follow(number)
            if not self._shared:
                known.number = known.number or self._number(space)
            known.stale = known.stale or load.stale
            self._spaces[space] = known
            self._sealer.consider(known)
            while len(self._spaces) > self._spaces_max and (spare := self._spare()) is not None:
                del self._spaces[spare]
        finally:
            del self._loads[space]
            load.ended.set()

    def _number(self, space: Space) -> int | None:
        return self._ask(lambda: space_number(self._connection, space), "looking up a space")

    def _spare(self) -> Space | None:
        """The space that was not searched for the longest time, of those that nothing is being done with."""
        return next((space for space, known in self._spaces.items() if not known.is_busy), None)

    async def _opened(self, space: Space) -> OpenSpace:
        number = self._number(space)
        if number is None:
            return OpenSpace(None, Layers(sizes=self._sizes))
        if self._shared:
            await self._transact(lambda connection: noted(connection, number))
        try:
            known, recent = self._ask(lambda: self._from_parts(number), "opening parts")
        except NotWhole:
            await self._transact(lambda connection: part_rows.forget(connection, number))
            known, recent = OpenSpace(number, Layers(sizes=self._sizes)), []
        if not known.names:
            return await self._from_rows(space, number)
        for ids in recent:
            known.layers.change(self._ask(partial(page_of, self._connection, number, ids), "loading passages"))
            await asyncio.sleep(0)
        return known

    def _from_parts(self, number: int) -> tuple[OpenSpace, list[list[str]]]:
        """The parts of a space, and the ids that were touched since: as they are at one moment."""
        self._connection.execute("BEGIN")
        try:
            names, parts = self._sealer.opened(self._connection, number)
            count = part_rows.count(self._connection, number)
            known = OpenSpace(number, Layers(parts, sizes=self._sizes), names, count)
            return known, list(part_rows.recent(self._connection, number))
        finally:
            self._connection.execute("COMMIT")

    async def _from_rows(self, space: Space, number: int) -> OpenSpace:
        count = self._ask(lambda: part_rows.count(self._connection, number), "looking up a space")
        known = OpenSpace(number, Layers(sizes=self._sizes), count=count)
        after: str | None = None
        while rows := self._page(space, after):
            known.layers.put(rows)
            after = rows[-1].id
            if known.layers.must_seal and known.noting:
                await self._sealer.seal(known)
            elif known.layers.must_seal:
                # What is written from here on is noted; rows that were read before that must be read again.
                upto = await self._transact(lambda connection: part_rows.begin(connection, number))
                known, after = OpenSpace(number, Layers(sizes=self._sizes), count=Count(upto, noting=True)), None
            elif len(rows) < PAGE_PASSAGES:
                break
            await asyncio.sleep(0)
        return known

    def _page(self, space: Space, after: str | None) -> list[Row]:
        return self._ask(lambda: page(self._connection, space, after=after, limit=PAGE_PASSAGES), "loading passages")

    def _ask(self, query: Callable[[], R], operation: str) -> R:
        try:
            return query()
        except sqlite3.Error as error:
            raise translated(error, operation) from error


@asynccontextmanager
async def open_sqlite_passages(path: Path, *, sizes: Sizes = SIZES) -> AsyncGenerator[SqlitePassages]:
    """Open passages alone in a file, which is made where it is missing."""
    writer = connect(path)
    try:
        create_tables(writer)
        reader = connect(path)
        try:
            with open_transactions(path, writer) as transactions:
                passages = SqlitePassages(reader, transactions.transact, sizes=sizes)
                passages.tidy()
                try:
                    yield passages
                finally:
                    await passages.close()
        finally:
            reader.close()
    finally:
        writer.close()


def _parts_of(connection: sqlite3.Connection) -> Path:
    file = Path(connection.execute("PRAGMA database_list").fetchone()[2])
    return file.with_name(f"{file.name}-parts")


@dataclass(slots=True)
class _Load:
    """A space that is being read: what was published meanwhile, and when it is over."""

    missed: list[tuple[Changes, int]] = field(default_factory=list[tuple[Changes, int]])
    stale: bool = False
    ended: asyncio.Event = field(default_factory=asyncio.Event)


def _parts(queries: Query, passages: int) -> Iterator[Query]:
    step = max(1, _WORK_AT_ONCE // max(1, passages))
    for start in range(0, len(queries), step):
        yield queries[start : start + step]


async def _turn(hits: Sequence[object]) -> None:
    # Not before the first part: a search of a small collection answers without waiting.
    if hits:
        await asyncio.sleep(0)
