"""Log and state in one Redis: as durable as the server is set to be, for one worker or many.

- A commit is one script: it looks whether the claim holds and whether anything is there already, and writes all of it or nothing
  (S1, S2). Redis runs one script at a time, and its log on disk has a script's writes as one transaction.
- A commit whose number is not new was written before (S4). One whose predecessor is not there shows that the server has lost what
  it acknowledged (its log on disk is off, or late): then the writer is fenced, and whoever starts goes on from what there is.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from penstock.adapters.redis_store import erasing, pruning, reading, stream_rows, sweeping, timers, usage, workers
from penstock.adapters.redis_store import rows as all_rows
from penstock.adapters.redis_store.address import address_of
from penstock.adapters.redis_store.listening import Listener, open_listener
from penstock.adapters.redis_store.lookups import Lookups, places_of
from penstock.adapters.redis_store.names import Keys, named
from penstock.adapters.redis_store.packing import script_packed
from penstock.adapters.redis_store.server import Server, open_server
from penstock.adapters.redis_store.writing import TOPICS_MAX, list_of, sends, topics_of
from penstock.core.agents.pieces import StreamChunk, StreamEnd
from penstock.core.agents.progress import Progress
from penstock.core.agents.retention import RunRules
from penstock.core.agents.unit import DeadLetter, RunChange, Sent, Writes
from penstock.core.agents.usage import Usage
from penstock.core.events.envelope import Envelope, Position, Recorded
from penstock.core.sessions.history import History
from penstock.core.timing.timers import Place, Timer, TimerClock
from penstock.errors import Fenced, LimitReached, Refused, Unavailable
from penstock.ports.blobs import Swept
from penstock.ports.erasure import Erased
from penstock.ports.inbox import Waiting
from penstock.ports.permits import Holding, Wish
from penstock.ports.retention import NOW, EndedRun, How, OldEvents, Pruned
from penstock.ports.rows import Kind, Page
from penstock.ports.state import ALL_DEAD, Claim, DeadFilter, RunFilter, StoredRun
from penstock.ports.workers import Membership

PARTITION = 0
APPENDS_MAX = 100  # attempts, while others append to the same log
T = TypeVar("T")


@asynccontextmanager
async def open_redis_store(
    url: str, *, prefix: str | None = None, making: bool = True, quiet: bool = False
) -> AsyncGenerator["RedisStore"]:
    """Open the store at `redis://HOST:PORT[/DATABASE][?prefix=NAME]`; it is begun where there is none, unless not `making`.

    What may be lost is said in the log, unless `quiet`.

    Raises `Missing` without the extra, `Unavailable` when no server answers, `Invalid` for an address that is none, a password
    that is wrong, or a Redis in which no store would be safe.
    """
    address = address_of(url, prefix)
    async with open_server(address, Keys(address.prefix), quiet=quiet) as server:
        if not making:
            await server.require_made()
        await server.make()
        async with open_listener(server) as listener:
            yield RedisStore(server, listener)


class RedisStore:
    """All ports of a `Store` under one prefix of one Redis."""

    def __init__(self, server: Server, listener: Listener) -> None:
        self._server = server
        self._listener = listener
        self._told: dict[int, int] = {}  # epoch -> the number of the last commit that was acknowledged
        self._appending = asyncio.Lock()
        self._lookups = Lookups(server)
        self._topics_of_waiting = workers.TopicsOfWaiting()

    # the log

    async def append(self, topic: str, events: Sequence[Envelope]) -> Sequence[Position]:
        async with self._appending:
            for _ in range(APPENDS_MAX):
                try:
                    return await self._appended(topic, events)
                except Fenced:
                    continue  # somebody else appends at the same time
        raise Unavailable("redis", "append", "others append to the same log all the time")

    async def _appended(self, topic: str, events: Sequence[Envelope]) -> list[Position]:
        claim = await self.claim("append")
        known = {
            each.event.id: each
            for each in await reading.events_by_id(self._server, [named(each.id) for each in events])
        }
        end = (await reading.ends(self._server)).get((topic, PARTITION), 0)
        new: list[Recorded] = []
        for event in events:
            if event.id not in known:
                known[event.id] = Recorded(Position(topic, PARTITION, end + len(new) + 1), event)
                new.append(known[event.id])
        await self.commit(claim, 1, Writes(events=new))
        return [known[event.id].position for event in events]

    async def read(self, topic: str, partition: int, *, after: int, limit: int) -> Sequence[Recorded]:
        return await reading.events(self._server, topic, partition, after, limit)

    async def ends(self) -> Mapping[tuple[str, int], int]:
        return await reading.ends(self._server)

    def watch(self, wake: Callable[[], None]) -> Callable[[], None]:
        return self._listener.watch(wake)

    # the workers

    async def claim(self, owner: str) -> Claim:
        return await workers.begin(self._server, "claim", owner)

    async def join(self, owner: str) -> Claim:
        return await workers.begin(self._server, "join", owner)

    async def renew(self, claim: Claim, *, ttl_ms: int) -> Membership:
        return await workers.renew(self._server, claim, ttl_ms)

    async def take(self, claim: Claim, partitions: Collection[int]) -> frozenset[int]:
        return await workers.take(self._server, claim, partitions)

    async def give(self, claim: Claim, partitions: Collection[int]) -> None:
        await workers.give(self._server, claim, partitions)

    async def leave(self, claim: Claim) -> None:
        await workers.leave(self._server, claim)

    async def divide(self, claim: Claim, partitions: int) -> None:
        await workers.divide(self._server, claim, partitions)

    async def hold(self, claim: Claim, wishes: Sequence[Wish]) -> Sequence[Holding]:
        return await workers.hold(self._server, claim, wishes)

    # the inbox

    async def submit(self, events: Sequence[Sent]) -> None:
        if events:
            await self._server.apply([([], [*sends(events), self._listener.notice])])
        self._listener.wake()

    async def submitted(
        self, partitions: Collection[int], *, limit: int, without: Collection[str] = ()
    ) -> Sequence[Waiting]:
        return await workers.submitted(self._server, self._topics_of_waiting, partitions, limit, without)

    async def places(self, ids: Collection[str]) -> Mapping[str, Position | None]:
        return await places_of(self._server, ids)

    # the state

    async def commit(self, claim: Claim, number: int, writes: Writes) -> None:
        if writes.index:
            raise Refused("Redis keeps no passages", "name where they are kept: vectors=...")
        await _to_the_end(self._committed(claim, number, writes))

    async def _committed(self, claim: Claim, number: int, writes: Writes) -> None:
        try:
            found = list_of(self._server.keys, writes)
        except UnicodeEncodeError as error:
            raise Refused(f"Redis cannot keep it: {error}", "mend the text") from error
        if writes.is_news:
            found.writes.append(self._listener.notice)
        told = self._told.get(claim.epoch, 0)
        parts = (found.guards, found.writes, found.clashes)
        key = self._server.keys.worker(claim.epoch)
        given = script_packed((key, claim.owner, number, told, TOPICS_MAX, topics_of(writes), parts))
        answer = await self._server.commit(given)
        if answer in ("fenced", "lost"):
            # An offset, an event id or a chunk is there already, or what was acknowledged is not: our picture is not theirs.
            raise Fenced(claim.owner, claim.epoch)
        if answer.startswith("topics"):
            raise LimitReached("the number of topics", int(answer.split()[1]), TOPICS_MAX)
        self._told[claim.epoch] = max(told, number)
        if writes.is_news:
            self._listener.wake()

    async def progress(self) -> Mapping[tuple[str, str, int], Progress]:
        return await reading.progress(self._server)

    async def run(self, run_id: str) -> StoredRun | None:
        return await reading.run(self._server, run_id)

    async def history(self, tenant: str, session: str, *, now_ms: int) -> History:
        return await reading.history(self._server, tenant, session, now_ms)

    async def values(self, tenant: str, agent: str, key: str) -> Mapping[str, bytes]:
        return await reading.values(self._server, tenant, agent, key)

    # the catalogue

    async def runs(self, which: RunFilter) -> Sequence[RunChange]:
        return await reading.runs(self._server, which)

    async def dead_letters(self, which: DeadFilter = ALL_DEAD) -> Sequence[DeadLetter]:
        return await reading.dead_letters(self._server, which)

    async def event(self, event_id: str) -> Recorded | None:
        return await self._lookups.event(event_id)

    async def origin(self, correlation_id: str) -> Sequence[Recorded]:
        return await reading.origin(self._server, correlation_id)

    # the timers

    async def timers_due(
        self, clock: TimerClock, *, after: Place, limit: int, partitions: Sequence[int] | None = None
    ) -> Sequence[Timer]:
        return await timers.due(self._server, (clock,), after, limit, partitions)

    async def timers_set_ms(self, *, partitions: Sequence[int] | None = None) -> int:
        return await timers.latest_set_ms(self._server, partitions)

    async def timer(self, id: str) -> Timer | None:
        return await timers.by_id(self._server, id)

    async def timers(self, *, tenant: str | None = None, limit: int = 50) -> Sequence[Timer]:
        return await timers.soonest(self._server, tenant, limit)

    # the streams

    async def pieces(
        self, tenant: str, run_id: str, name: str, *, from_offset: int, limit: int
    ) -> Sequence[StreamChunk]:
        return await stream_rows.pieces(self._server, (tenant, run_id, name), from_offset, limit)

    async def streams(self, tenant: str, run_id: str) -> Sequence[StreamEnd]:
        return await stream_rows.streams(self._server, tenant, run_id)

    # the blobs

    async def blobs(self, digests: Sequence[bytes]) -> Mapping[bytes, bytes]:
        return await reading.blobs(self._server, digests)

    async def sweep_blobs(self, *, before_ms: int, after: bytes, limit: int, dry: bool = False) -> Swept:
        return await sweeping.sweep(self._server, before_ms, after, limit, dry=dry)

    # what is not needed any more

    async def prune_events(self, old: OldEvents, *, after: int, limit: int, how: How = NOW) -> Pruned:
        return await pruning.prune_events(self._server, old, after, limit, how)

    async def prune_runs(self, rules: RunRules, *, after: int, limit: int, how: How = NOW) -> Pruned:
        return await pruning.prune_runs(self._server, rules, after, limit, how)

    async def prune_sessions(self, now_ms: int, *, after: bytes, limit: int, dry: bool = False) -> Swept:
        return await pruning.prune_sessions(self._server, now_ms, after, limit, dry=dry)

    async def prune_values(self, before_ms: Mapping[str, int], *, after: bytes, limit: int, dry: bool = False) -> Swept:
        return await pruning.prune_values(self._server, before_ms, after, limit, dry=dry)

    async def ended_runs(self, *, before: int, limit: int) -> Sequence[EndedRun]:
        return await pruning.ended_runs(self._server, before, limit)

    # what is about somebody

    async def secret(self, offered: bytes) -> bytes:
        return await erasing.secret(self._server, offered)

    async def erase_events(self, event_ids: Sequence[str]) -> Erased:
        return await erasing.erase_events(self._server, event_ids)

    async def erase_state(self, tenant: str, subject: str) -> Erased:
        return await erasing.erase_state(self._server, tenant, subject)

    async def compact(self) -> Sequence[str]:
        await erasing.compact(self._server)
        return []

    # the rows as they are

    async def usage(self) -> Usage:
        return await usage.usage(self._server)

    async def partitions(self) -> int:
        return await all_rows.partitions(self._server)

    async def rows(self, kind: Kind, *, after: bytes, limit: int) -> Page:
        return await all_rows.rows(self._server, kind, after, limit)

    async def rows_of(self, event_ids: Sequence[str]) -> Writes:
        return await all_rows.rows_of(self._server, event_ids)

    async def known(self, rows: Writes) -> Writes:
        return await all_rows.known(self._server, rows)


async def _to_the_end(work: Coroutine[Any, Any, T]) -> T:
    """Do the work, and go on with it when the caller is cancelled: what is written must also be told to those who wait."""
    return await asyncio.shield(asyncio.ensure_future(work))
