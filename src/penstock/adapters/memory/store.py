"""Log and state in memory, for tests and simulations: nothing survives the process.

What would lie on a disk is a `Disk`, so that a test can crash a store and open another on what was committed. It
checks what a real backend would refuse, and serves as the plain statement of what the ports mean.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from penstock.core.agents.journal import decode_chunk
from penstock.core.agents.pieces import StreamChunk, StreamEnd
from penstock.core.agents.progress import Progress
from penstock.core.agents.unit import DeadLetter, RunChange, Writes
from penstock.core.events.envelope import Envelope, Position, Recorded, event_of
from penstock.core.sessions.history import MESSAGES_MAX, History, decode_messages
from penstock.core.timing.timers import Place, Timer, TimerClock
from penstock.errors import Fenced
from penstock.ports.state import Claim, RunFilter, StoredRun

PARTITION = 0


@dataclass
class Disk:
    """What was committed."""

    claim: Claim = field(default_factory=lambda: Claim("", 0))
    number: int = 0
    logs: dict[str, list[Recorded]] = field(default_factory=dict[str, list[Recorded]])
    ids: dict[str, Recorded] = field(default_factory=dict[str, Recorded])
    runs: dict[str, RunChange] = field(default_factory=dict[str, RunChange])
    chunks: dict[str, list[bytes]] = field(default_factory=dict[str, list[bytes]])
    sessions: dict[tuple[str, str], list[tuple[int, int, int, bytes]]] = field(
        default_factory=dict[tuple[str, str], list[tuple[int, int, int, bytes]]]
    )
    values: dict[tuple[str, str, str], dict[str, bytes]] = field(
        default_factory=dict[tuple[str, str, str], dict[str, bytes]]
    )
    progress: dict[tuple[str, str, int], Progress] = field(default_factory=dict[tuple[str, str, int], Progress])
    dead: dict[str, DeadLetter] = field(default_factory=dict[str, DeadLetter])
    timers: dict[str, Timer] = field(default_factory=dict[str, Timer])
    streams: dict[str, dict[str, list[StreamChunk]]] = field(default_factory=dict[str, dict[str, list[StreamChunk]]])


class MemoryStore:
    """A log and a state store on one `Disk`."""

    def __init__(self, disk: Disk | None = None) -> None:
        self.disk = disk if disk is not None else Disk()
        self._watchers: list[Callable[[], None]] = []

    # the log

    async def append(self, topic: str, events: Sequence[Envelope]) -> Sequence[Position]:
        await self.claim("append")
        log = self.disk.logs.setdefault(topic, [])
        places: list[Position] = []
        for event in events:
            known = self.disk.ids.get(event.id)
            if known is None:
                known = Recorded(Position(topic, PARTITION, len(log) + 1), event)
                self._write_event(known)
            places.append(known.position)
        self._wake()
        return places

    async def read(self, topic: str, partition: int, *, after: int, limit: int) -> Sequence[Recorded]:
        after = max(after, 0)
        return self.disk.logs.get(topic, [])[after : after + limit] if partition == PARTITION else []

    async def ends(self) -> Mapping[tuple[str, int], int]:
        return {(topic, PARTITION): len(log) for topic, log in self.disk.logs.items() if log}

    def watch(self, wake: Callable[[], None]) -> Callable[[], None]:
        self._watchers.append(wake)
        return lambda: self._watchers.remove(wake)

    # the state

    async def claim(self, owner: str) -> Claim:
        self.disk.claim = Claim(owner, self.disk.claim.epoch + 1)
        self.disk.number = 0
        return self.disk.claim

    async def commit(self, claim: Claim, number: int, writes: Writes) -> None:
        disk = self.disk
        if claim != disk.claim:
            raise Fenced(claim.owner, claim.epoch)
        if number <= disk.number:
            return
        if not self._fits(writes):
            raise Fenced(claim.owner, claim.epoch)
        disk.number = number
        self._write_runs(writes)
        self._write_memory(writes)
        for done in writes.progress:
            disk.progress[done.agent, done.topic, done.partition] = Progress(done.low, done.above)
        for each in writes.timers:
            if each.timer is None:
                disk.timers.pop(each.id, None)
            else:
                disk.timers[each.id] = each.timer
        if writes.events:
            self._wake()

    async def progress(self) -> Mapping[tuple[str, str, int], Progress]:
        return {which: Progress(done.low, done.above) for which, done in self.disk.progress.items()}

    async def run(self, run_id: str) -> StoredRun | None:
        change = self.disk.runs.get(run_id)
        if change is None:
            event_id, agent = event_of(run_id)
            recorded = self.disk.ids.get(event_id)
            if recorded is None:
                return None
            event = recorded.event
            change = RunChange(run_id, agent, event.tenant, event.key, "queued", 0, event.time_ms)
        chunks = self.disk.chunks.get(run_id, [])
        bodies = [*chunks, change.records] if change.records else chunks
        records = [record for body in bodies for record in decode_chunk(body)]
        return StoredRun(change, records, len(chunks), run_id in self.disk.streams)

    async def history(self, tenant: str, session: str, *, now_ms: int) -> History:
        history = History()
        for number, _, expires_ms, body in self.disk.sessions.get((tenant, session), []):
            messages = decode_messages(body)
            history.number = number
            history.add(messages if expires_ms > now_ms else [])
            history.number = number + len(messages)
        return history

    async def values(self, tenant: str, agent: str, key: str) -> Mapping[str, bytes]:
        return dict(self.disk.values.get((tenant, agent, key), {}))

    # the catalogue

    async def runs(self, which: RunFilter) -> Sequence[RunChange]:
        found = [
            run
            for run in reversed(self.disk.runs.values())
            if which.tenant in (None, run.tenant)
            and which.agent in (None, run.agent)
            and which.status in (None, run.status)
        ]
        return found[: which.limit]

    async def dead_letters(self, *, tenant: str | None = None, limit: int = 50) -> Sequence[DeadLetter]:
        letters = [
            letter for letter in reversed(self.disk.dead.values()) if tenant in (None, letter.event.event.tenant)
        ]
        return letters[:limit]

    async def event(self, event_id: str) -> Recorded | None:
        return self.disk.ids.get(event_id)

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

    def _wake(self) -> None:
        for wake in tuple(self._watchers):  # one who is woken may stop watching
            wake()

    def _fits(self, writes: Writes) -> bool:
        """Whether no offset, event id or chunk is taken: otherwise somebody else wrote, and nothing may be written (S1)."""
        ends = {topic: len(log) for topic, log in self.disk.logs.items()}
        ids: set[str] = set()
        for recorded in writes.events:
            place, event_id = recorded.position, recorded.event.id
            end = ends.get(place.topic, 0)
            if place.offset <= end or event_id in self.disk.ids or event_id in ids:
                return False
            assert place.offset == end + 1, f"{place} leaves a gap after {end}"
            ends[place.topic] = place.offset
            ids.add(event_id)
        numbers: dict[str, int] = {}
        for chunk in writes.journal:
            next_number = numbers.get(chunk.run_id, len(self.disk.chunks.get(chunk.run_id, ())))
            if chunk.number < next_number:
                return False
            assert chunk.number == next_number, f"chunk {chunk.number} of {chunk.run_id} follows {next_number} others"
            numbers[chunk.run_id] = next_number + 1
        return self._continues(writes)

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
        self.disk.logs.setdefault(recorded.position.topic, []).append(recorded)
        self.disk.ids[recorded.event.id] = recorded

    def _write_runs(self, writes: Writes) -> None:
        for recorded in writes.events:
            self._write_event(recorded)
        for chunk in writes.journal:
            self.disk.chunks.setdefault(chunk.run_id, []).append(chunk.body)
        for change in writes.runs:
            self.disk.runs[change.run_id] = change
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
        for value in writes.values:
            values = self.disk.values.setdefault((value.tenant, value.agent, value.key), {})
            if value.body is None:
                values.pop(value.name, None)
            else:
                values[value.name] = value.body
