"""Passages in the file that holds log and state: written within their transactions, searched in memory.

- The rows are the truth; the segment of a space is made from them when it is first searched, without analysing
  text again. It may be dropped at any time.
- A segment changes only by `publish`, on the event loop, after the commit. What a transaction wrote and
  rolled back was never in it.
- While a space is being read, what is published for it waits, and is then applied on top: the last write
  of an id wins, whichever page of the reading had seen it.
"""

import asyncio
import sqlite3
from collections import OrderedDict
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from penstock.adapters.sqlite.passage_rows import (
    PreparedWrites,
    clear,
    create_tables,
    digests,
    page,
    passages,
    spaces,
    write,
)
from penstock.adapters.sqlite.schema import connect, translated
from penstock.core.knowledge.filters import Filter
from penstock.core.knowledge.passages import Hit, IndexWrite, Passage, Space
from penstock.core.knowledge.rows import Changes, Row
from penstock.core.knowledge.segment import Segment

PAGE_PASSAGES = 2_000
SPACES_MAX = 256

# Queries times passages between two turns of the event loop: some 20 ms.
_WORK_AT_ONCE = 64 * 50_000

R = TypeVar("R")
Query = TypeVar("Query", Sequence[str], NDArray[np.float32])


class Transact(Protocol):
    """Runs a function within one transaction, and returns its result once that is durable."""

    def __call__(self, work: Callable[[sqlite3.Connection], R], /) -> Awaitable[R]: ...


class SqlitePassages:
    """A `VectorIndex` and `WordIndex` in one file, with `Spaces`. `write` and `publish` are for whoever commits to it too.

    `connection` reads, on the event loop, and must not be the one that `transact` writes with: it would see
    what is not committed. At most `spaces_max` spaces are kept in memory, those searched last.
    """

    def __init__(self, connection: sqlite3.Connection, transact: Transact, *, spaces_max: int = SPACES_MAX) -> None:
        self._connection = connection
        self._transact = transact
        self._spaces_max = spaces_max
        self._segments: OrderedDict[Space, Segment] = OrderedDict()
        self._loads: dict[Space, _Load] = {}

    @staticmethod
    def write(connection: sqlite3.Connection, writes: Sequence[IndexWrite]) -> PreparedWrites:
        """Write within the caller's transaction; give the result to `publish` once it is committed."""
        return write(connection, writes)

    def publish(self, prepared: object) -> None:
        """Let searches see what a committed transaction wrote. On the event loop, in the order of the commits."""
        assert isinstance(prepared, PreparedWrites), prepared
        for space, changes in prepared.changes.items():
            if (load := self._loads.get(space)) is not None:
                load.missed.append(changes)
            elif (segment := self._segments.get(space)) is not None:
                segment.change(changes)

    async def apply(self, writes: Sequence[IndexWrite]) -> None:
        """Make the writes in a transaction of their own: all, or none. They are made also when the caller is cancelled."""

        async def commit_and_publish() -> None:
            self.publish(await self._transact(lambda connection: write(connection, writes)))

        # A commit that has begun cannot be stopped, and what it wrote must then be published.
        await asyncio.shield(asyncio.ensure_future(commit_and_publish()))

    async def nearest(
        self, space: Space, queries: NDArray[np.float32], *, limit: int, filter: Filter | None = None
    ) -> Sequence[Sequence[Hit]]:
        segment = await self._segment(space)
        hits: list[list[Hit]] = []
        for part in _parts(queries, len(segment)):
            await _turn(hits)
            hits += segment.nearest(part, limit=limit, filter=filter)
        return hits

    async def matching(
        self, space: Space, queries: Sequence[str], *, limit: int, filter: Filter | None = None
    ) -> Sequence[Sequence[Hit]]:
        segment = await self._segment(space)
        hits: list[list[Hit]] = []
        for part in _parts(queries, len(segment)):
            await _turn(hits)
            hits += segment.matching(part, limit=limit, filter=filter)
        return hits

    async def cosines(
        self, space: Space, queries: NDArray[np.float32], ids: Sequence[Sequence[str]]
    ) -> Sequence[Mapping[str, float]]:
        return (await self._segment(space)).cosines(queries, ids)

    async def relevances(
        self, space: Space, queries: Sequence[str], ids: Sequence[Sequence[str]]
    ) -> Sequence[Mapping[str, float]]:
        segment = await self._segment(space)
        found: list[dict[str, float]] = []
        start = 0
        for part in _parts(queries, len(segment)):
            await _turn(found)
            found += segment.relevances(part, ids[start : start + len(part)])
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
            gone = await self._transact(lambda connection: clear(connection, space, limit))
            self.publish(PreparedWrites({space: dict.fromkeys(gone)}))
            return len(gone)

        return await asyncio.shield(asyncio.ensure_future(commit_and_publish()))

    async def _segment(self, space: Space) -> Segment:
        while (segment := self._segments.get(space)) is None:
            if (load := self._loads.get(space)) is None:
                await self._load(space)
            else:
                await load.ended.wait()
        self._segments.move_to_end(space)
        return segment

    async def _load(self, space: Space) -> None:
        load = self._loads[space] = _Load()
        segment = Segment()
        after: str | None = None
        try:
            while rows := self._page(space, after):
                segment.put(rows)
                after = rows[-1].id
                if len(rows) < PAGE_PASSAGES:
                    break
                await asyncio.sleep(0)
            for changes in load.missed:
                segment.change(changes)
            self._segments[space] = segment
            while len(self._segments) > self._spaces_max:
                self._segments.popitem(last=False)
        finally:
            del self._loads[space]
            load.ended.set()

    def _page(self, space: Space, after: str | None) -> list[Row]:
        return self._ask(lambda: page(self._connection, space, after=after, limit=PAGE_PASSAGES), "loading passages")

    def _ask(self, query: Callable[[], R], operation: str) -> R:
        try:
            return query()
        except sqlite3.Error as error:
            raise translated(error, operation) from error


@asynccontextmanager
async def open_sqlite_passages(path: Path) -> AsyncGenerator[SqlitePassages]:
    """Open passages alone in a file, which is made where it is missing."""
    with ThreadPoolExecutor(1, thread_name_prefix="penstock-passages") as thread:
        writer = connect(path)
        try:
            create_tables(writer)
            reader = connect(path)
            try:
                yield SqlitePassages(reader, _transact_with(writer, thread))
            finally:
                reader.close()
        finally:
            writer.close()


@dataclass(slots=True)
class _Load:
    """A space that is being read: what was published meanwhile, and when it is over."""

    missed: list[Changes] = field(default_factory=list[Changes])
    ended: asyncio.Event = field(default_factory=asyncio.Event)


def _transact_with(connection: sqlite3.Connection, thread: ThreadPoolExecutor) -> Transact:
    turn = asyncio.Lock()

    async def transact(work: Callable[[sqlite3.Connection], R], /) -> R:
        def within() -> R:
            try:
                connection.execute("BEGIN IMMEDIATE")
                with connection:  # commits, or rolls back what raised
                    return work(connection)
            except sqlite3.Error as error:
                raise translated(error, "writing passages") from error

        async with turn:
            return await asyncio.get_running_loop().run_in_executor(thread, within)

    return transact


def _parts(queries: Query, passages: int) -> Iterator[Query]:
    step = max(1, _WORK_AT_ONCE // max(1, passages))
    for start in range(0, len(queries), step):
        yield queries[start : start + step]


async def _turn(hits: Sequence[object]) -> None:
    # Not before the first part: a search of a small collection answers without waiting.
    if hits:
        await asyncio.sleep(0)
