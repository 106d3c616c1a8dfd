"""Log and state in memory, for tests and simulations: nothing survives the process.

What would lie on a disk is a `Disk`, so that a test can crash a store and open another on what was committed. It
checks what a real backend would refuse, and serves as the plain statement of what the ports mean.
"""

import time
from bisect import bisect_right, insort
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from penstock.adapters.memory import catalog, pruning
from penstock.adapters.memory import rows as all_rows
from penstock.adapters.memory.blobs import sweep_blobs, write_blobs
from penstock.adapters.memory.disk import PARTITION, Disk, Member, end_of, offset_of
from penstock.adapters.memory.erasing import Erases, note_value
from penstock.adapters.memory.permits import held
from penstock.core.agents.journal import decode_chunk
from penstock.core.agents.pieces import StreamChunk, StreamEnd
from penstock.core.agents.progress import Progress
from penstock.core.agents.retention import RunRules
from penstock.core.agents.unit import DeadLetter, RunChange, Sent, Writes
from penstock.core.agents.usage import Usage
from penstock.core.events.blobs import whole
from penstock.core.events.envelope import Envelope, Position, Recorded, event_of
from penstock.core.sessions.history import MESSAGES_MAX, History, decode_messages
from penstock.core.timing.timers import Place, Timer, TimerClock
from penstock.errors import Fenced, Refused
from penstock.ports.blobs import Swept
from penstock.ports.inbox import Waiting
from penstock.ports.permits import Holding, Wish
from penstock.ports.retention import NOW, EndedRun, How, OldEvents, Pruned
from penstock.ports.rows import Kind, Page
from penstock.ports.state import ALL_DEAD, Claim, DeadFilter, RunFilter, StoredRun
from penstock.ports.workers import Membership

__all__ = ["PARTITION", "Disk", "MemoryStore"]


class MemoryStore(Erases):
    """A log and a state store on one `Disk`. `now_ms` is its clock: it tells who has been silent for too long."""

    def __init__(self, disk: Disk | None = None, *, now_ms: Callable[[], int] | None = None) -> None:
        self.disk = disk if disk is not None else Disk()
        self._now_ms = now_ms or _monotonic_ms

    # the log

    async def append(self, topic: str, events: Sequence[Envelope]) -> Sequence[Position]:
        await self.claim("append")
        log = self.disk.logs.setdefault((topic, PARTITION), [])
        places: list[Position] = []
        for event in events:
            known = self.disk.ids.get(event.id)
            if known is None:
                known = Recorded(Position(topic, PARTITION, end_of(log) + 1), event)
                self._write_event(known)
            places.append(known.position)
        self.disk.watchers.wake()
        return places

    async def read(self, topic: str, partition: int, *, after: int, limit: int) -> Sequence[Recorded]:
        log = self.disk.logs.get((topic, partition), [])
        first = bisect_right(log, max(after, 0), key=offset_of)
        return log[first : first + limit]

    async def ends(self) -> Mapping[tuple[str, int], int]:
        return self.disk.ends()

    def watch(self, wake: Callable[[], None]) -> Callable[[], None]:
        return self.disk.watchers.watch(wake)

    # the workers

    async def claim(self, owner: str) -> Claim:
        self.disk.members.clear()
        claim = self._member(owner, alone=True)
        self.disk.owners = dict.fromkeys(self.disk.owners, claim.epoch)
        return claim

    async def join(self, owner: str) -> Claim:
        self._end({epoch for epoch, member in self.disk.members.items() if member.alone})
        return self._member(owner, alone=False)

    async def renew(self, claim: Claim, *, ttl_ms: int) -> Membership:
        now_ms = self._now_ms()
        self._require(claim).seen_ms = now_ms
        silent = {
            epoch
            for epoch, member in self.disk.members.items()
            if not member.alone and now_ms - member.seen_ms >= ttl_ms
        }
        self._end(silent - {claim.epoch})
        return Membership(tuple(sorted(self.disk.members)), dict(self.disk.owners))

    async def take(self, claim: Claim, partitions: Collection[int]) -> frozenset[int]:
        self._require(claim)
        owners, wanted = self.disk.owners, set(partitions)
        owners.update({each: claim.epoch for each in wanted if owners.get(each) == 0})
        return frozenset(each for each in wanted if owners.get(each) == claim.epoch)

    async def give(self, claim: Claim, partitions: Collection[int]) -> None:
        self._require(claim)
        owners = self.disk.owners
        owners.update({each: 0 for each in partitions if owners.get(each) == claim.epoch})

    async def leave(self, claim: Claim) -> None:
        if claim.epoch in self.disk.members:
            self._end({claim.epoch})

    async def divide(self, claim: Claim, partitions: int) -> None:
        if not self._require(claim).alone:
            raise Refused("several workers share the store", "stop them first: a lone worker changes the partitions")
        if partitions < len(self.disk.owners):
            raise Refused(f"the store has {len(self.disk.owners)} partitions already", "ask for as many, or for more")
        self.disk.owners = dict.fromkeys(range(partitions), claim.epoch)

    def _member(self, owner: str, *, alone: bool) -> Claim:
        self.disk.claim = Claim(owner, self.disk.claim.epoch + 1)
        self.disk.members[self.disk.claim.epoch] = Member(self.disk.claim, alone, self._now_ms())
        return self.disk.claim

    def _end(self, epochs: set[int]) -> None:
        for epoch in epochs:
            del self.disk.members[epoch]
        self.disk.owners.update({each: 0 for each, epoch in self.disk.owners.items() if epoch in epochs})

    def _require(self, claim: Claim) -> Member:
        member = self.disk.members.get(claim.epoch)
        if member is None or member.claim != claim:
            raise Fenced(claim.owner, claim.epoch)
        return member

    async def hold(self, claim: Claim, wishes: Sequence[Wish]) -> Sequence[Holding]:
        self._require(claim)
        return [held(self.disk, claim.epoch, wish) for wish in wishes]

    # the inbox

    async def submit(self, events: Sequence[Sent]) -> None:
        self._send(events)
        self.disk.watchers.wake()

    async def submitted(
        self, partitions: Collection[int], *, limit: int, without: Collection[str] = ()
    ) -> Sequence[Waiting]:
        found = [
            Waiting(number, sent, sent.event.id in self.disk.ids)
            for number, sent in self.disk.waiting.items()
            if sent.partition in partitions and sent.topic not in without
        ]
        return found[:limit]

    async def places(self, ids: Collection[str]) -> Mapping[str, Position | None]:
        return self.disk.places(ids)

    def _send(self, events: Iterable[Sent]) -> None:
        disk = self.disk
        ids = disk.ids.keys() | {sent.event.id for sent in disk.waiting.values()}
        for sent in events:
            if sent.event.id not in ids:
                ids = ids | {sent.event.id}
                disk.sent += 1
                disk.waiting[disk.sent] = sent

    # the state

    async def commit(self, claim: Claim, number: int, writes: Writes) -> None:
        disk, member = self.disk, self._require(claim)
        if number <= member.number:
            return
        if not self._fits(writes):
            raise Fenced(claim.owner, claim.epoch)
        member.number = number
        disk.take(writes.received, writes.taken)
        self._write_runs(writes)
        self._write_memory(writes)
        write_blobs(disk, writes)
        for done in writes.progress:
            disk.progress[done.agent, done.topic, done.partition] = Progress(done.low, done.above)
        for each in writes.timers:
            if each.timer is None:
                disk.timers.pop(each.id, None)
            else:
                disk.timers[each.id] = each.timer
        if writes.sent:
            self._send(writes.sent)
        if writes.is_news:
            self.disk.watchers.wake()

    async def progress(self) -> Mapping[tuple[str, str, int], Progress]:
        return {which: Progress(done.low, done.above) for which, done in self.disk.progress.items()}

    async def run(self, run_id: str) -> StoredRun | None:
        change = self.disk.runs.get(run_id)
        if change is None:
            event_id, agent = event_of(run_id)
            recorded = self.disk.event(event_id)
            if recorded is None:
                return None
            event = recorded.event
            change = RunChange(run_id, agent, event.tenant, event.key, "queued", 0, event.time_ms)
        chunks = self.disk.chunks.get(run_id, [])
        bodies = [*chunks, change.records] if change.records else chunks
        records = [record for body in bodies for record in decode_chunk(body)]
        return StoredRun(change, records, self.disk.next_chunk(run_id), run_id in self.disk.streams)

    async def history(self, tenant: str, session: str, *, now_ms: int) -> History:
        history = History()
        for number, _, expires_ms, body in self.disk.sessions.get((tenant, session), []):
            messages = decode_messages(whole(body, self.disk.blobs, f"the session {session!r}"))
            history.number = number
            history.add(messages if expires_ms > now_ms else [])
            history.number = number + len(messages)
        return history

    async def values(self, tenant: str, agent: str, key: str) -> Mapping[str, bytes]:
        return dict(self.disk.values.get((tenant, agent, key), {}))

    # the catalogue

    async def runs(self, which: RunFilter) -> Sequence[RunChange]:
        return catalog.runs(self.disk, which)

    async def dead_letters(self, which: DeadFilter = ALL_DEAD) -> Sequence[DeadLetter]:
        return catalog.dead_letters(self.disk, which)

    async def event(self, event_id: str) -> Recorded | None:
        return self.disk.event(event_id)

    async def origin(self, correlation_id: str) -> Sequence[Recorded]:
        found = [each for each in self.disk.ids.values() if each.event.correlation_id == correlation_id]
        return sorted(found, key=lambda each: each.event.id)  # the origin's id begins those of all others

    # the timers

    async def timers_due(
        self, clock: TimerClock, *, after: Place, limit: int, partitions: Sequence[int] | None = None
    ) -> Sequence[Timer]:
        found = [each for each in self._timers_of(partitions) if each.clock == clock and each.place > after]
        return sorted(found, key=lambda each: each.place)[:limit]

    async def timers_set_ms(self, *, partitions: Sequence[int] | None = None) -> int:
        return max((each.set_ms for each in self._timers_of(partitions) if each.clock == "elapsed"), default=0)

    async def timer(self, id: str) -> Timer | None:
        return self.disk.timers.get(id)

    async def timers(self, *, tenant: str | None = None, limit: int = 50) -> Sequence[Timer]:
        found = [each for each in self.disk.timers.values() if tenant in (None, each.event.tenant)]
        return sorted(found, key=lambda each: each.place)[:limit]

    def _timers_of(self, partitions: Sequence[int] | None) -> list[Timer]:
        return [each for each in self.disk.timers.values() if partitions is None or each.partition in partitions]

    # the streams

    async def pieces(
        self, tenant: str, run_id: str, name: str, *, from_offset: int, limit: int
    ) -> Sequence[StreamChunk]:
        chunks = self.disk.streams.get(run_id, {}).get(name, [])
        found = [each for each in chunks if each.first + each.count > from_offset and each.tenant == tenant]
        return found[:limit]

    async def streams(self, tenant: str, run_id: str) -> Sequence[StreamEnd]:
        found = sorted(self.disk.streams.get(run_id, {}).items())
        return [
            StreamEnd(name, last.first + last.count, sum(len(each.body) for each in chunks), len(chunks))
            for name, chunks in found
            if (last := chunks[-1]).tenant == tenant
        ]

    # the blobs

    async def blobs(self, digests: Sequence[bytes]) -> Mapping[bytes, bytes]:
        return {digest: self.disk.blobs[digest] for digest in digests if digest in self.disk.blobs}

    async def sweep_blobs(self, *, before_ms: int, after: bytes, limit: int, dry: bool = False) -> Swept:
        return sweep_blobs(self.disk, before_ms, after, limit, dry=dry)

    # what is not needed any more

    async def prune_events(self, old: OldEvents, *, after: int, limit: int, how: How = NOW) -> Pruned:
        return pruning.prune_events(self.disk, old, after, limit, how)

    async def prune_runs(self, rules: RunRules, *, after: int, limit: int, how: How = NOW) -> Pruned:
        return pruning.prune_runs(self.disk, rules, after, limit, how)

    async def prune_sessions(self, now_ms: int, *, after: bytes, limit: int, dry: bool = False) -> Swept:
        return pruning.prune_sessions(self.disk, now_ms, after, limit, dry=dry)

    async def prune_values(self, before_ms: Mapping[str, int], *, after: bytes, limit: int, dry: bool = False) -> Swept:
        return pruning.prune_values(self.disk, before_ms, after, limit, dry=dry)

    async def ended_runs(self, *, before: int, limit: int) -> Sequence[EndedRun]:
        return pruning.ended_runs(self.disk, before, limit)

    # the rows as they are

    async def usage(self) -> Usage:
        return all_rows.usage(self.disk)

    async def partitions(self) -> int:
        return len(self.disk.owners)

    async def rows(self, kind: Kind, *, after: bytes, limit: int) -> Page:
        return all_rows.rows(self.disk, kind, after, limit)

    async def rows_of(self, event_ids: Sequence[str]) -> Writes:
        return all_rows.rows_of(self.disk, event_ids)

    async def known(self, rows: Writes) -> Writes:
        return all_rows.known(self.disk, rows)

    def _fits(self, writes: Writes) -> bool:
        """Whether no offset, event id or chunk is taken: otherwise somebody else wrote, and nothing may be written (S1)."""
        ends = self.disk.ends()
        ids: set[str] = set()
        for recorded in writes.events:
            place, event_id = recorded.position, recorded.event.id
            which = (place.topic, place.partition)
            end = ends.get(which, 0)
            if event_id in self.disk.ids or event_id in ids or self._is_taken(place, end):
                return False
            assert place.offset == end + 1 or self.disk.gaps, f"{place} leaves a gap after {end}"
            ends[which] = max(end, place.offset)
            ids.add(event_id)
        numbers: dict[str, int] = {}
        for chunk in writes.journal:
            next_number = numbers.get(chunk.run_id, self.disk.next_chunk(chunk.run_id))
            if chunk.number < next_number:
                return False
            assert next_number in (0, chunk.number), (
                f"chunk {chunk.number} of {chunk.run_id} follows {next_number} others"
            )
            numbers[chunk.run_id] = next_number + 1
        return self._continues(writes)

    def _is_taken(self, place: Position, end: int) -> bool:
        if place.offset > end or not self.disk.gaps:
            return place.offset <= end
        log = self.disk.logs.get((place.topic, place.partition), [])
        first = bisect_right(log, place.offset, key=offset_of)
        return first > 0 and offset_of(log[first - 1]) == place.offset

    def _continues(self, writes: Writes) -> bool:
        """Whether no piece of a stream is written twice."""
        firsts: dict[tuple[str, str], int] = {}
        for chunk in writes.streams:
            which = (chunk.run_id, chunk.name)
            stored = self.disk.streams.get(chunk.run_id, {}).get(chunk.name)
            end = firsts.get(which, stored[-1].first + stored[-1].count if stored else 0)
            if chunk.first < end:
                return False
            firsts[which] = chunk.first + chunk.count
        return True

    def _write_event(self, recorded: Recorded) -> None:
        place = recorded.position
        insort(self.disk.logs.setdefault((place.topic, place.partition), []), recorded, key=offset_of)
        self.disk.ids[recorded.event.id] = recorded

    def _write_runs(self, writes: Writes) -> None:
        for recorded in writes.events:
            self._write_event(recorded)
        for cut in writes.cuts:
            self.disk.cut_off(cut)
        for chunk in writes.journal:
            self.disk.add_chunk(chunk)
        for change in writes.runs:
            self.disk.runs[change.run_id] = change
        for run_id in writes.settled:
            self.disk.dead.pop(run_id, None)
        for letter in writes.dead:
            self.disk.dead.pop(letter.run_id, None)  # one that died again is the newest
            self.disk.dead[letter.run_id] = letter

    def _write_memory(self, writes: Writes) -> None:
        for chunk in writes.streams:
            self.disk.streams.setdefault(chunk.run_id, {}).setdefault(chunk.name, []).append(chunk)
        for delta in writes.sessions:
            deltas = self.disk.sessions.setdefault((delta.tenant, delta.session), [])
            deltas.append((delta.number, delta.count, delta.expires_ms, delta.body))
            del deltas[:-MESSAGES_MAX]
            self.disk.subjects[delta.tenant, delta.session, delta.number] = delta.subject
        for value in writes.values:
            which = (value.tenant, value.agent, value.key)
            values, times = self.disk.values.setdefault(which, {}), self.disk.values_at.setdefault(which, {})
            note_value(self.disk, value)
            values.pop(value.name, None)
            if value.body is not None:
                values[value.name], times[value.name] = value.body, value.at_ms


def _monotonic_ms() -> int:
    return int(time.monotonic() * 1000)
