"""Log and state in one SQLite file: durable, one process, no server.

- One connection writes, in a thread of its own: a commit waits for the disk, and the event loop does not. Another one reads,
  on the event loop, where a row takes microseconds and a thread hop would take a hundred.
- A commit is one transaction, so an event is in the log exactly if the handling that emitted it is done (S1).
- The worker's row fences: a commit that does not find it writes nothing (S2), and one whose number is not new was written
  before (S4).
"""

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, Callable, Collection, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any, Protocol, TypeVar

import msgspec

from penstock.adapters.sqlite import blobs, permits, pruning, reading, stream_rows, timers, workers
from penstock.adapters.sqlite import rows as all_rows
from penstock.adapters.sqlite.checkpoints import LENGTHS, LogLengths
from penstock.adapters.sqlite.erasing import Erases
from penstock.adapters.sqlite.lock import locked
from penstock.adapters.sqlite.schema import UNSTORABLE, connect, is_taken, place_of, translated
from penstock.adapters.sqlite.transactions import Transactions, open_transactions
from penstock.adapters.sqlite.usage import usage_beside
from penstock.adapters.sqlite.waking import Wakes
from penstock.adapters.sqlite.writing import Topics, write
from penstock.core.agents.pieces import StreamChunk, StreamEnd
from penstock.core.agents.progress import Progress
from penstock.core.agents.retention import RunRules
from penstock.core.agents.unit import DeadLetter, RunChange, Sent, Writes
from penstock.core.agents.usage import Usage
from penstock.core.events.envelope import Envelope, Position, Recorded
from penstock.core.events.watchers import Watchers
from penstock.core.knowledge.passages import IndexWrite
from penstock.core.sessions.history import History
from penstock.core.timing.timers import Place, Timer, TimerClock
from penstock.errors import Fenced
from penstock.ports.blobs import Swept
from penstock.ports.inbox import Waiting
from penstock.ports.permits import Holding, Wish
from penstock.ports.retention import NOW, EndedRun, How, OldEvents, Pruned
from penstock.ports.rows import Kind, Page
from penstock.ports.state import ALL_DEAD, Claim, DeadFilter, RunFilter, StoredRun
from penstock.ports.workers import Membership

PARTITION = 0
T = TypeVar("T")


class PassageTables(Protocol):
    """The passages that lie in the same file: written within a commit, seen by searches after it."""

    def write(self, connection: sqlite3.Connection, writes: Sequence[IndexWrite]) -> object: ...
    def publish(self, prepared: object) -> None: ...


@asynccontextmanager
async def open_sqlite_store(
    path: Path, *, shared: bool = False, lengths: LogLengths = LENGTHS
) -> AsyncGenerator["SqliteStore"]:
    """Open the store in a file, which is made where it is missing. The folder is made too.

    `Refused`, with the name of the holder, when another process has it open; `shared` is for its workers, and does not ask.
    `lengths` bounds the write-ahead log.
    """
    with nullcontext() if shared else locked(path):
        writer = connect(path)
        try:
            reader = connect(path)
            try:
                with open_transactions(path, writer, lengths) as transactions:
                    store = SqliteStore(transactions, reader)
                    try:
                        yield store
                    finally:
                        await store.wakes.close()
            finally:
                reader.close()
        finally:
            # Leaves one file behind where it can; the write-ahead log holds all otherwise.
            with suppress(sqlite3.Error):
                writer.execute("PRAGMA busy_timeout = 5000")
                writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            writer.close()


class SqliteStore(Erases):
    """An `EventLog`, `StateStore`, `RunCatalog` and `BlobStore` in one file."""

    def __init__(self, transactions: Transactions, reader: sqlite3.Connection) -> None:
        self.transactions = transactions
        self._reader = reader
        self._topics = Topics()
        transactions.undone = self._topics.forget
        self._watchers = Watchers()
        self.wakes = Wakes(self._watchers.wake)
        self._passages: PassageTables | None = None

    def attach(self, passages: PassageTables) -> None:
        """Let commits carry writes to the passages in the same file."""
        self._passages = passages

    @property
    def reader(self) -> sqlite3.Connection:
        """The connection that reads, for tables that lie in the same file."""
        return self._reader

    # the log

    async def append(self, topic: str, events: Sequence[Envelope]) -> Sequence[Position]:
        def insert(connection: sqlite3.Connection) -> list[Position]:
            workers.claim(connection, "append")
            number = self._topics.number(connection, topic)
            offset = reading.last_offset(connection, number, PARTITION)
            places: list[Position] = []
            for event in events:
                known = reading.event_by_id(connection, event.id)
                if known is None:
                    offset += 1
                    known = Recorded(Position(topic, PARTITION, offset), event)
                    write(connection, self._topics, Writes(events=[known]))
                places.append(known.position)
            return places

        async def insert_and_wake() -> list[Position]:
            places = await self.transact(insert, "append")
            self._watchers.wake()
            return places

        return await _to_the_end(insert_and_wake())

    async def read(self, topic: str, partition: int, *, after: int, limit: int) -> Sequence[Recorded]:
        return self._ask(lambda: reading.events(self._reader, topic, partition, after, limit), "read")

    async def ends(self) -> Mapping[tuple[str, int], int]:
        return self._ask(lambda: reading.ends(self._reader), "ends")

    def watch(self, wake: Callable[[], None]) -> Callable[[], None]:
        return self._watchers.watch(wake)

    # the workers

    async def claim(self, owner: str) -> Claim:
        port = await self.wakes.open()
        return Claim(owner, await self.transact(lambda each: workers.claim(each, owner, port), "claim"))

    async def join(self, owner: str) -> Claim:
        port = await self.wakes.open()
        return Claim(owner, await self.transact(lambda each: workers.join(each, owner, port), "join"))

    async def renew(self, claim: Claim, *, ttl_ms: int) -> Membership:
        membership, self.wakes.others = await self.transact(
            lambda each: workers.renew(each, claim, ttl_ms), "renew", synced=False
        )
        return membership

    async def take(self, claim: Claim, partitions: Collection[int]) -> frozenset[int]:
        return await self.transact(lambda each: workers.take(each, claim, partitions), "take")

    async def give(self, claim: Claim, partitions: Collection[int]) -> None:
        await self.transact(lambda each: workers.give(each, claim, partitions), "give")

    async def leave(self, claim: Claim) -> None:
        await self.transact(lambda each: workers.leave(each, claim), "leave")

    async def divide(self, claim: Claim, partitions: int) -> None:
        await self.transact(lambda each: workers.divide(each, claim, partitions), "divide")

    async def hold(self, claim: Claim, wishes: Sequence[Wish]) -> Sequence[Holding]:
        def held(connection: sqlite3.Connection) -> list[Holding]:
            workers.require(connection, claim)
            return permits.hold(connection, claim.epoch, wishes)

        return await self.transact(held, "hold", synced=False)  # who loses power loses all workers

    # the inbox

    async def submit(self, events: Sequence[Sent]) -> None:
        def send(connection: sqlite3.Connection) -> None:
            workers.submit(connection, events)
            self.wakes.others = workers.ports(connection)

        await self.transact(send, "submit")
        self.wakes.wake()
        self._watchers.wake()

    async def submitted(
        self, partitions: Collection[int], *, limit: int, without: Collection[str] = ()
    ) -> Sequence[Waiting]:
        return self._ask(lambda: workers.submitted(self._reader, partitions, limit, without), "submitted")

    async def places(self, ids: Collection[str]) -> Mapping[str, Position | None]:
        return self._ask(lambda: reading.places(self._reader, ids), "places")

    # the state

    async def commit(self, claim: Claim, number: int, writes: Writes) -> None:
        prepared: list[object] = []

        def all_of_it(connection: sqlite3.Connection) -> None:
            mine = connection.execute(
                "UPDATE worker SET number = ? WHERE epoch = ? AND owner = ? AND number < ?",
                (number, claim.epoch, claim.owner, number),
            )
            if mine.rowcount == 0:
                workers.require(connection, claim)
                return
            try:
                write(connection, self._topics, writes)
            except sqlite3.IntegrityError as error:
                if not is_taken(error):
                    raise
                # An offset, an event id or a chunk is there already: somebody else wrote, our picture of the log is old.
                raise Fenced(claim.owner, claim.epoch) from error
            if writes.index:
                assert self._passages is not None, "passages in a commit, and no tables for them"
                prepared.append(self._passages.write(connection, writes.index))

        async def commit_and_publish() -> None:
            await self.transact(all_of_it, "commit")
            for each in prepared:
                assert self._passages is not None
                self._passages.publish(each)
            if writes.is_news:
                self.wakes.wake()
                self._watchers.wake()

        await _to_the_end(commit_and_publish())

    async def progress(self) -> Mapping[tuple[str, str, int], Progress]:
        rows = self._ask(lambda: self._reader.execute("SELECT * FROM progress").fetchall(), "progress")
        return {
            (agent, topic, partition): Progress(low, msgspec.msgpack.decode(above, type=list[tuple[int, int]]))
            for agent, topic, partition, low, above in rows
        }

    async def run(self, run_id: str) -> StoredRun | None:
        return self._ask(lambda: reading.run(self._reader, run_id), "run")

    async def history(self, tenant: str, session: str, *, now_ms: int) -> History:
        return self._ask(lambda: reading.history(self._reader, tenant, session, now_ms), "history")

    async def values(self, tenant: str, agent: str, key: str) -> Mapping[str, bytes]:
        return self._ask(lambda: reading.values(self._reader, tenant, agent, key), "values")

    # the catalogue

    async def runs(self, which: RunFilter) -> Sequence[RunChange]:
        return self._ask(lambda: reading.runs(self._reader, which), "runs")

    async def dead_letters(self, which: DeadFilter = ALL_DEAD) -> Sequence[DeadLetter]:
        return self._ask(lambda: reading.dead_letters(self._reader, which), "dead letters")

    async def event(self, event_id: str) -> Recorded | None:
        return self._ask(lambda: reading.event_or_waiting(self._reader, event_id), "event")

    async def origin(self, correlation_id: str) -> Sequence[Recorded]:
        return self._ask(lambda: reading.origin(self._reader, correlation_id), "origin")

    # the timers

    async def timers_due(
        self, clock: TimerClock, *, after: Place, limit: int, partitions: Sequence[int] | None = None
    ) -> Sequence[Timer]:
        return self._ask(lambda: timers.due(self._reader, clock, after, limit, partitions), "timers due")

    async def timers_set_ms(self, *, partitions: Sequence[int] | None = None) -> int:
        return self._ask(lambda: timers.latest_set_ms(self._reader, partitions), "timers set")

    async def timer(self, id: str) -> Timer | None:
        return self._ask(lambda: timers.by_id(self._reader, id), "timer")

    async def timers(self, *, tenant: str | None = None, limit: int = 50) -> Sequence[Timer]:
        return self._ask(lambda: timers.soonest(self._reader, tenant, limit), "timers")

    # the streams

    async def pieces(
        self, tenant: str, run_id: str, name: str, *, from_offset: int, limit: int
    ) -> Sequence[StreamChunk]:
        which = (tenant, run_id, name)
        return self._ask(lambda: stream_rows.pieces(self._reader, which, from_offset, limit), "pieces")

    async def streams(self, tenant: str, run_id: str) -> Sequence[StreamEnd]:
        return self._ask(lambda: stream_rows.streams(self._reader, tenant, run_id), "streams")

    # the blobs

    async def blobs(self, digests: Sequence[bytes]) -> Mapping[bytes, bytes]:
        return self._ask(lambda: blobs.blobs(self._reader, digests), "blobs")

    async def sweep_blobs(self, *, before_ms: int, after: bytes, limit: int, dry: bool = False) -> Swept:
        return await self.transact(lambda each: blobs.sweep_blobs(each, before_ms, after, limit, dry=dry), "sweeping")

    # what is not needed any more

    async def prune_events(self, old: OldEvents, *, after: int, limit: int, how: How = NOW) -> Pruned:
        return await self._pruned(lambda each: pruning.prune_events(each, old, after, limit, how))

    async def prune_runs(self, rules: RunRules, *, after: int, limit: int, how: How = NOW) -> Pruned:
        return await self._pruned(lambda each: pruning.prune_runs(each, rules, after, limit, how))

    async def prune_sessions(self, now_ms: int, *, after: bytes, limit: int, dry: bool = False) -> Swept:
        return await self._pruned(lambda each: pruning.prune_sessions(each, now_ms, after, limit, dry=dry))

    async def prune_values(self, before_ms: Mapping[str, int], *, after: bytes, limit: int, dry: bool = False) -> Swept:
        return await self._pruned(lambda each: pruning.prune_values(each, before_ms, after, limit, dry=dry))

    async def ended_runs(self, *, before: int, limit: int) -> Sequence[EndedRun]:
        return self._ask(lambda: pruning.ended_runs(self._reader, before, limit), "ended runs")

    async def _pruned(self, work: Callable[[sqlite3.Connection], T]) -> T:
        def pruned(connection: sqlite3.Connection) -> T:
            done = work(connection)
            pruning.shrink(connection)
            return done

        return await self.transact(pruned, "pruning")

    # the rows as they are

    async def usage(self) -> Usage:
        path = self._ask(lambda: self._reader.execute("PRAGMA database_list").fetchone()[2], "usage")
        return await asyncio.to_thread(usage_beside, Path(path))  # each table is read once

    async def partitions(self) -> int:
        return self._ask(lambda: all_rows.partitions(self._reader), "partitions")

    async def rows(self, kind: Kind, *, after: bytes, limit: int) -> Page:
        return self._ask(lambda: all_rows.rows(self._reader, kind, after, limit), "rows")

    async def rows_of(self, event_ids: Sequence[str]) -> Writes:
        return self._ask(lambda: all_rows.rows_of(self._reader, event_ids), "rows of events")

    async def known(self, rows: Writes) -> Writes:
        return self._ask(lambda: all_rows.known(self._reader, rows), "known rows")

    async def transact(
        self, work: Callable[[sqlite3.Connection], T], operation: str = "transaction", *, synced: bool = True
    ) -> T:
        """Run `work` within one transaction, as `Transactions` does."""
        return await self.transactions.transact(work, operation, synced=synced)

    async def apart(self, work: Callable[[sqlite3.Connection], T], operation: str) -> T:
        """Run `work` in the writer's thread, between two transactions."""
        return await self.transactions.apart(work, operation)

    def _ask(self, query: Callable[[], T], operation: str) -> T:
        try:
            return query()
        except (sqlite3.Error, *UNSTORABLE) as error:
            raise translated(error, operation) from error


async def _to_the_end(work: Coroutine[Any, Any, T]) -> T:
    """Do the work, and go on with it when the caller is cancelled: what is written must also be told to those who wait."""
    return await asyncio.shield(asyncio.ensure_future(work))


__all__ = ["SqliteStore", "open_sqlite_store", "place_of"]
