"""A layer that behaves as a network and a failing machine do."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import TypeVar

from penstock.core.agents.pieces import StreamChunk, StreamEnd
from penstock.core.agents.progress import Progress
from penstock.core.agents.retention import RunRules
from penstock.core.agents.unit import DeadLetter, RunChange, Sent, Writes
from penstock.core.agents.usage import Usage
from penstock.core.events.envelope import Envelope, Position, Recorded
from penstock.core.sessions.history import History
from penstock.core.timing.timers import Place, Timer, TimerClock
from penstock.ports.blobs import Swept
from penstock.ports.erasure import Erased
from penstock.ports.inbox import Waiting
from penstock.ports.permits import Holding, Wish
from penstock.ports.retention import NOW, EndedRun, How, OldEvents, Pruned
from penstock.ports.rows import Kind, Page
from penstock.ports.state import ALL_DEAD, Claim, DeadFilter, RunFilter, StoredRun
from penstock.ports.store import Store
from penstock.ports.workers import Membership
from penstock.testing.faults import Faults

T = TypeVar("T")


class FaultyStore:
    """Has every call meet its faults on the way there and back."""

    def __init__(self, inner: Store, faults: Faults) -> None:
        self._inner = inner
        self._faults = faults

    async def append(self, topic: str, events: Sequence[Envelope]) -> Sequence[Position]:
        return await self._over("append", lambda: self._inner.append(topic, events))

    async def read(self, topic: str, partition: int, *, after: int, limit: int) -> Sequence[Recorded]:
        found = await self._over("read", lambda: self._inner.read(topic, partition, after=after, limit=limit))
        return self._faults.torn(found)

    async def ends(self) -> Mapping[tuple[str, int], int]:
        return await self._over("ends", self._inner.ends)

    def watch(self, wake: Callable[[], None]) -> Callable[[], None]:
        return self._inner.watch(wake)

    async def claim(self, owner: str) -> Claim:
        return await self._over("claim", lambda: self._inner.claim(owner))

    async def join(self, owner: str) -> Claim:
        return await self._over("join", lambda: self._inner.join(owner))

    async def renew(self, claim: Claim, *, ttl_ms: int) -> Membership:
        return await self._over("renew", lambda: self._inner.renew(claim, ttl_ms=ttl_ms))

    async def take(self, claim: Claim, partitions: Collection[int]) -> frozenset[int]:
        return await self._over("take", lambda: self._inner.take(claim, partitions))

    async def give(self, claim: Claim, partitions: Collection[int]) -> None:
        await self._over("give", lambda: self._inner.give(claim, partitions))

    async def leave(self, claim: Claim) -> None:
        await self._over("leave", lambda: self._inner.leave(claim))

    async def divide(self, claim: Claim, partitions: int) -> None:
        await self._over("divide", lambda: self._inner.divide(claim, partitions))

    async def hold(self, claim: Claim, wishes: Sequence[Wish]) -> Sequence[Holding]:
        return await self._over("hold", lambda: self._inner.hold(claim, wishes))

    async def submit(self, events: Sequence[Sent]) -> None:
        await self._over("submit", lambda: self._inner.submit(events))

    async def submitted(
        self, partitions: Collection[int], *, limit: int, without: Collection[str] = ()
    ) -> Sequence[Waiting]:
        return await self._over("submitted", lambda: self._inner.submitted(partitions, limit=limit, without=without))

    async def places(self, ids: Collection[str]) -> Mapping[str, Position | None]:
        return await self._over("places", lambda: self._inner.places(ids))

    async def commit(self, claim: Claim, number: int, writes: Writes) -> None:
        await self._over("commit", lambda: self._inner.commit(claim, number, writes))

    async def progress(self) -> Mapping[tuple[str, str, int], Progress]:
        return await self._over("progress", self._inner.progress)

    async def run(self, run_id: str) -> StoredRun | None:
        return await self._over("run", lambda: self._inner.run(run_id))

    async def history(self, tenant: str, session: str, *, now_ms: int) -> History:
        return await self._over("history", lambda: self._inner.history(tenant, session, now_ms=now_ms))

    async def values(self, tenant: str, agent: str, key: str) -> Mapping[str, bytes]:
        return await self._over("values", lambda: self._inner.values(tenant, agent, key))

    async def runs(self, which: RunFilter) -> Sequence[RunChange]:
        return await self._over("runs", lambda: self._inner.runs(which))

    async def dead_letters(self, which: DeadFilter = ALL_DEAD) -> Sequence[DeadLetter]:
        return await self._over("dead letters", lambda: self._inner.dead_letters(which))

    async def event(self, event_id: str) -> Recorded | None:
        return await self._over("event", lambda: self._inner.event(event_id))

    async def origin(self, correlation_id: str) -> Sequence[Recorded]:
        return await self._over("origin", lambda: self._inner.origin(correlation_id))

    async def timers_due(
        self, clock: TimerClock, *, after: Place, limit: int, partitions: Sequence[int] | None = None
    ) -> Sequence[Timer]:
        return await self._over(
            "timers due", lambda: self._inner.timers_due(clock, after=after, limit=limit, partitions=partitions)
        )

    async def timers_set_ms(self, *, partitions: Sequence[int] | None = None) -> int:
        return await self._over("timers set", lambda: self._inner.timers_set_ms(partitions=partitions))

    async def timer(self, id: str) -> Timer | None:
        return await self._over("timer", lambda: self._inner.timer(id))

    async def timers(self, *, tenant: str | None = None, limit: int = 50) -> Sequence[Timer]:
        return await self._over("timers", lambda: self._inner.timers(tenant=tenant, limit=limit))

    async def pieces(
        self, tenant: str, run_id: str, name: str, *, from_offset: int, limit: int
    ) -> Sequence[StreamChunk]:
        found = await self._over(
            "pieces", lambda: self._inner.pieces(tenant, run_id, name, from_offset=from_offset, limit=limit)
        )
        return self._faults.torn(found)

    async def streams(self, tenant: str, run_id: str) -> Sequence[StreamEnd]:
        return await self._over("streams", lambda: self._inner.streams(tenant, run_id))

    async def blobs(self, digests: Sequence[bytes]) -> Mapping[bytes, bytes]:
        return await self._over("blobs", lambda: self._inner.blobs(digests))

    async def prune_events(self, old: OldEvents, *, after: int, limit: int, how: How = NOW) -> Pruned:
        return await self._over("pruning", lambda: self._inner.prune_events(old, after=after, limit=limit, how=how))

    async def prune_runs(self, rules: RunRules, *, after: int, limit: int, how: How = NOW) -> Pruned:
        return await self._over("pruning", lambda: self._inner.prune_runs(rules, after=after, limit=limit, how=how))

    async def prune_sessions(self, now_ms: int, *, after: bytes, limit: int, dry: bool = False) -> Swept:
        return await self._over(
            "pruning", lambda: self._inner.prune_sessions(now_ms, after=after, limit=limit, dry=dry)
        )

    async def sweep_blobs(self, *, before_ms: int, after: bytes, limit: int, dry: bool = False) -> Swept:
        return await self._over(
            "sweeping", lambda: self._inner.sweep_blobs(before_ms=before_ms, after=after, limit=limit, dry=dry)
        )

    async def prune_values(self, before_ms: Mapping[str, int], *, after: bytes, limit: int, dry: bool = False) -> Swept:
        return await self._over(
            "prune values", lambda: self._inner.prune_values(before_ms, after=after, limit=limit, dry=dry)
        )

    async def ended_runs(self, *, before: int, limit: int) -> Sequence[EndedRun]:
        return await self._over("ended runs", lambda: self._inner.ended_runs(before=before, limit=limit))

    async def usage(self) -> Usage:
        return await self._over("usage", self._inner.usage)

    async def partitions(self) -> int:
        return await self._over("partitions", self._inner.partitions)

    async def rows(self, kind: Kind, *, after: bytes, limit: int) -> Page:
        return await self._over("rows", lambda: self._inner.rows(kind, after=after, limit=limit))

    async def rows_of(self, event_ids: Sequence[str]) -> Writes:
        return await self._over("rows of events", lambda: self._inner.rows_of(event_ids))

    async def known(self, rows: Writes) -> Writes:
        return await self._over("known rows", lambda: self._inner.known(rows))

    async def secret(self, offered: bytes) -> bytes:
        return await self._over("secret", lambda: self._inner.secret(offered))

    async def erase_events(self, event_ids: Sequence[str]) -> Erased:
        return await self._over("erasing", lambda: self._inner.erase_events(event_ids))

    async def erase_state(self, tenant: str, subject: str) -> Erased:
        return await self._over("erasing", lambda: self._inner.erase_state(tenant, subject))

    async def compact(self) -> Sequence[str]:
        return await self._over("compacting", self._inner.compact)

    async def _over(self, operation: str, call: Callable[[], Awaitable[T]]) -> T:
        faults = self._faults
        await faults.asked(operation)
        answer = await call()
        if faults.arrives_twice(operation):
            await call()
        await faults.answered(operation)
        return answer
