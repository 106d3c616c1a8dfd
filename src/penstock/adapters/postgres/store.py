"""Log and state in one Postgres database: durable, as available as the server, for one worker or many.

- A commit is one statement, in one round trip, so an event is in the log exactly if the handling that emitted it is done (S1).
- The worker's row fences: a commit that does not find it writes nothing (S2), and one whose number is not new was written
  before (S4).
- Numbers of topics are given out before a commit and never taken back; a topic without events is seen by nobody.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from penstock.adapters.postgres import blobs, permits, pruning, reading, stream_rows, timers, usage, workers
from penstock.adapters.postgres import rows as all_rows
from penstock.adapters.postgres.address import address_of
from penstock.adapters.postgres.database import Connection, Database, open_database
from penstock.adapters.postgres.erasing import Erases
from penstock.adapters.postgres.kept_passages import KeptPassages
from penstock.adapters.postgres.kept_rows import SIZES, Known, Sizes
from penstock.adapters.postgres.listening import Listener, open_listener
from penstock.adapters.postgres.schema import TOPICS_MAX, make_tables
from penstock.adapters.postgres.texts import stored
from penstock.adapters.postgres.writing import append_statement, commit_statement, topics_of
from penstock.core.agents.pieces import StreamChunk, StreamEnd
from penstock.core.agents.progress import Progress
from penstock.core.agents.retention import RunRules
from penstock.core.agents.unit import DeadLetter, RunChange, Sent, Writes
from penstock.core.agents.usage import Usage
from penstock.core.events.envelope import Envelope, Position, Recorded
from penstock.core.knowledge.passages import Space
from penstock.core.sessions.history import History
from penstock.core.timing.timers import Place, Timer, TimerClock
from penstock.errors import Fenced, LimitReached
from penstock.ports.blobs import Swept
from penstock.ports.inbox import Waiting
from penstock.ports.permits import Holding, Wish
from penstock.ports.retention import NOW, EndedRun, How, OldEvents, Pruned
from penstock.ports.rows import Kind, Page
from penstock.ports.state import ALL_DEAD, Claim, DeadFilter, RunFilter, StoredRun
from penstock.ports.workers import Membership

PARTITION = 0
T = TypeVar("T")


@asynccontextmanager
async def open_postgres_store(dsn: str, *, schema: str | None = None) -> AsyncGenerator["PostgresStore"]:
    """Open the store in a database, at `postgresql://...[?schema=NAME]`; its schema and tables are made where they are missing.

    Raises `Missing` without the extra or the database, `Unavailable` when no server answers, `Refused` when it does not let us
    in, `Invalid` for an address or a schema that is not ours.
    """
    address = address_of(dsn, schema)
    async with open_database(address) as database:
        await database.transact("making the tables", lambda connection: make_tables(connection, address.schema))
        async with open_listener(address) as listener:
            yield PostgresStore(database, listener)


class PostgresStore(Erases):
    """An `EventLog`, `StateStore`, `RunCatalog` and `BlobStore` in one schema of one database."""

    def __init__(self, database: Database, listener: Listener) -> None:
        super().__init__(database)
        self._database = database
        self._listener = listener
        self._topics: dict[str, int] = {}
        self._kept: KeptPassages | None = None

    async def keep_passages(self, sizes: Sizes = SIZES) -> KeptPassages:
        """Have commits carry writes to passages in the same schema, and return what finds them."""
        kept = KeptPassages(self._database, sizes)
        await kept.make_tables()
        self._kept = kept
        return kept

    # the log

    async def append(self, topic: str, events: Sequence[Envelope]) -> Sequence[Position]:
        async def insert(connection: Connection) -> list[Position]:
            await workers.claim(connection, "append")
            known = await reading.events_by_id(connection, [event.id for event in events])
            offset = await reading.last_offset(connection, self._topics[topic], PARTITION)
            new: list[Recorded] = []
            for event in events:
                if event.id not in known:
                    offset += 1
                    known[event.id] = Recorded(Position(topic, PARTITION, offset), event)
                    new.append(known[event.id])
            if new:
                query, arguments = append_statement(new, self._topics)
                await connection.execute(query, *arguments)
                await connection.execute("SELECT pg_notify($1, $2)", *self._listener.notice)
            return [known[event.id].position for event in events]

        async def insert_and_wake() -> list[Position]:
            await self._number({topic})
            places = await self._database.transact("append", insert)
            self._listener.wake()
            return places

        return await _to_the_end(insert_and_wake())

    async def read(self, topic: str, partition: int, *, after: int, limit: int) -> Sequence[Recorded]:
        return await self._database.ask("read", lambda each: reading.events(each, topic, partition, after, limit))

    async def ends(self) -> Mapping[tuple[str, int], int]:
        return await self._database.ask("ends", reading.ends)

    def watch(self, wake: Callable[[], None]) -> Callable[[], None]:
        return self._listener.watch(wake)

    # the workers

    async def claim(self, owner: str) -> Claim:
        return Claim(owner, await self._database.transact("claim", lambda each: workers.claim(each, owner)))

    async def join(self, owner: str) -> Claim:
        return Claim(owner, await self._database.transact("join", lambda each: workers.join(each, owner)))

    async def renew(self, claim: Claim, *, ttl_ms: int) -> Membership:
        return await self._database.transact("renew", lambda each: workers.renew(each, claim, ttl_ms))

    async def take(self, claim: Claim, partitions: Collection[int]) -> frozenset[int]:
        return await self._database.transact("take", lambda each: workers.take(each, claim, partitions))

    async def give(self, claim: Claim, partitions: Collection[int]) -> None:
        await self._database.transact("give", lambda each: workers.give(each, claim, partitions))

    async def leave(self, claim: Claim) -> None:
        await self._database.transact("leave", lambda each: workers.leave(each, claim))

    async def divide(self, claim: Claim, partitions: int) -> None:
        await self._database.transact("divide", lambda each: workers.divide(each, claim, partitions))

    async def hold(self, claim: Claim, wishes: Sequence[Wish]) -> Sequence[Holding]:
        async def held(connection: Connection) -> list[Holding]:
            found = await permits.hold(connection, claim.epoch, wishes)
            await workers.require(connection, claim)
            return found

        return await self._database.transact("hold", held)

    # the inbox

    async def submit(self, events: Sequence[Sent]) -> None:
        async def send(connection: Connection) -> None:
            if events:
                await workers.submit(connection, events)
                await connection.execute("SELECT pg_notify($1, $2)", *self._listener.notice)

        await self._database.transact("submit", send)
        self._listener.wake()

    async def submitted(
        self, partitions: Collection[int], *, limit: int, without: Collection[str] = ()
    ) -> Sequence[Waiting]:
        return await self._database.ask("submitted", lambda each: workers.submitted(each, partitions, limit, without))

    async def places(self, ids: Collection[str]) -> Mapping[str, Position | None]:
        return await self._database.ask("places", lambda each: reading.places(each, ids))

    # the state

    async def commit(self, claim: Claim, number: int, writes: Writes) -> None:
        async def write(connection: Connection) -> bool:
            query, arguments = commit_statement(claim, number, writes, self._topics, self._listener.notice)
            try:
                written = await connection.fetchrow(query, *arguments)
            except self._database.taken as error:
                # An offset, an event id or a chunk is there already: somebody else wrote, our picture of the log is old.
                raise Fenced(claim.owner, claim.epoch) from error
            if written is None:
                await workers.require(connection, claim)
            return written is not None

        async def write_and_wake() -> None:
            await self._number(topics_of(writes))
            if writes.index:
                assert self._kept is not None, "passages in a commit, and no tables for them"
                await self._with_passages(self._kept, writes, write)
            else:
                await self._database.ask("commit", write)
            if writes.is_news:
                self._listener.wake()

        await _to_the_end(write_and_wake())

    async def _with_passages(
        self, kept: KeptPassages, writes: Writes, write: Callable[[Connection], Awaitable[bool]]
    ) -> None:
        """Commit with passages, in one transaction. They come last: what the fence refuses, or knows, is not written."""
        ready = await kept.by_space(writes.index)

        async def both(connection: Connection) -> Mapping[Space, Known]:
            return await kept.write(connection, ready) if await write(connection) else {}

        kept.publish(ready, await self._database.transact("commit", both))

    async def progress(self) -> Mapping[tuple[str, str, int], Progress]:
        return await self._database.ask("progress", reading.progress)

    async def run(self, run_id: str) -> StoredRun | None:
        return await self._database.ask("run", lambda each: reading.run(each, run_id))

    async def history(self, tenant: str, session: str, *, now_ms: int) -> History:
        return await self._database.ask("history", lambda each: reading.history(each, tenant, session, now_ms))

    async def values(self, tenant: str, agent: str, key: str) -> Mapping[str, bytes]:
        return await self._database.ask("values", lambda each: reading.values(each, tenant, agent, key))

    # the catalogue

    async def runs(self, which: RunFilter) -> Sequence[RunChange]:
        return await self._database.ask("runs", lambda each: reading.runs(each, which))

    async def dead_letters(self, which: DeadFilter = ALL_DEAD) -> Sequence[DeadLetter]:
        return await self._database.ask("dead letters", lambda each: reading.dead_letters(each, which))

    async def event(self, event_id: str) -> Recorded | None:
        return await self._database.ask("event", lambda each: reading.event_by_id(each, event_id))

    async def origin(self, correlation_id: str) -> Sequence[Recorded]:
        return await self._database.ask("origin", lambda each: reading.origin(each, correlation_id))

    # the timers

    async def timers_due(
        self, clock: TimerClock, *, after: Place, limit: int, partitions: Sequence[int] | None = None
    ) -> Sequence[Timer]:
        return await self._database.ask("timers due", lambda each: timers.due(each, clock, after, limit, partitions))

    async def timers_set_ms(self, *, partitions: Sequence[int] | None = None) -> int:
        return await self._database.ask("timers set", lambda each: timers.latest_set_ms(each, partitions))

    async def timer(self, id: str) -> Timer | None:
        return await self._database.ask("timer", lambda each: timers.by_id(each, id))

    async def timers(self, *, tenant: str | None = None, limit: int = 50) -> Sequence[Timer]:
        return await self._database.ask("timers", lambda each: timers.soonest(each, tenant, limit))

    # the streams

    async def pieces(
        self, tenant: str, run_id: str, name: str, *, from_offset: int, limit: int
    ) -> Sequence[StreamChunk]:
        which = (tenant, run_id, name)
        return await self._database.ask("pieces", lambda each: stream_rows.pieces(each, which, from_offset, limit))

    async def streams(self, tenant: str, run_id: str) -> Sequence[StreamEnd]:
        return await self._database.ask("streams", lambda each: stream_rows.streams(each, tenant, run_id))

    # the blobs

    async def blobs(self, digests: Sequence[bytes]) -> Mapping[bytes, bytes]:
        return await self._database.ask("blobs", lambda each: blobs.blobs(each, digests))

    async def sweep_blobs(self, *, before_ms: int, after: bytes, limit: int, dry: bool = False) -> Swept:
        return await self._database.transact(
            "sweeping", lambda each: blobs.sweep(each, before_ms, after, limit, dry=dry)
        )

    # what is not needed any more

    async def prune_events(self, old: OldEvents, *, after: int, limit: int, how: How = NOW) -> Pruned:
        return await self._database.transact("pruning", lambda each: pruning.prune_events(each, old, after, limit, how))

    async def prune_runs(self, rules: RunRules, *, after: int, limit: int, how: How = NOW) -> Pruned:
        return await self._database.transact("pruning", lambda each: pruning.prune_runs(each, rules, after, limit, how))

    async def prune_sessions(self, now_ms: int, *, after: bytes, limit: int, dry: bool = False) -> Swept:
        return await self._database.transact(
            "pruning", lambda each: pruning.prune_sessions(each, now_ms, after, limit, dry=dry)
        )

    async def prune_values(self, before_ms: Mapping[str, int], *, after: bytes, limit: int, dry: bool = False) -> Swept:
        return await self._database.transact(
            "pruning", lambda each: pruning.prune_values(each, before_ms, after, limit, dry=dry)
        )

    async def ended_runs(self, *, before: int, limit: int) -> Sequence[EndedRun]:
        return await self._database.ask("ended runs", lambda each: pruning.ended_runs(each, before, limit))

    # the rows as they are

    async def usage(self) -> Usage:
        return await self._database.ask("usage", usage.usage)

    async def partitions(self) -> int:
        return await self._database.ask("partitions", all_rows.partitions)

    async def rows(self, kind: Kind, *, after: bytes, limit: int) -> Page:
        return await self._database.ask("rows", lambda each: all_rows.rows(each, kind, after, limit))

    async def rows_of(self, event_ids: Sequence[str]) -> Writes:
        return await self._database.ask("rows of events", lambda each: all_rows.rows_of(each, event_ids))

    async def known(self, rows: Writes) -> Writes:
        return await self._database.ask("known rows", lambda each: all_rows.known(each, rows))

    async def _number(self, names: set[str]) -> None:
        """Learn the numbers of topics, and give one to each that is new."""
        new = [name for name in names if name not in self._topics]
        if not new:
            return

        async def numbers(connection: Connection) -> dict[str, int]:
            columns = [stored(name) for name in new]
            await connection.execute(
                """INSERT INTO topic (name) SELECT name FROM unnest($1::text[]) AS new (name)
                WHERE NOT EXISTS (SELECT FROM topic WHERE topic.name = new.name) ON CONFLICT DO NOTHING""",
                columns,
            )
            rows = await connection.fetch("SELECT name, id FROM topic WHERE name = ANY($1::text[])", columns)
            total = await connection.fetchval("SELECT count(*) FROM topic")
            if total > TOPICS_MAX:
                raise LimitReached("the number of topics", total, TOPICS_MAX)
            found = {name: number for name, number in rows}  # noqa: C416 - rows are no pairs to a type checker
            return {name: found[column] for name, column in zip(new, columns, strict=True)}

        self._topics |= await self._database.transact("numbering topics", numbers)


async def _to_the_end(work: Coroutine[Any, Any, T]) -> T:
    """Do the work, and go on with it when the caller is cancelled: what is written must also be told to those who wait."""
    return await asyncio.shield(asyncio.ensure_future(work))
