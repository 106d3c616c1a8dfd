"""What was committed, and who is told of it: what would lie on a disk."""

from collections.abc import Collection
from dataclasses import dataclass, field

from penstock.core.agents.pieces import StreamChunk
from penstock.core.agents.progress import Progress
from penstock.core.agents.unit import DeadLetter, JournalChunk, JournalCut, RunChange, Sent
from penstock.core.events.blobs import Owner
from penstock.core.events.envelope import UNPLACED, Position, Recorded
from penstock.core.events.watchers import Watchers
from penstock.core.timing.timers import Timer
from penstock.ports.state import Claim

PARTITION = 0
Log = dict[tuple[str, int], list[Recorded]]


def offset_of(recorded: Recorded) -> int:
    return recorded.position.offset


def end_of(log: list[Recorded]) -> int:
    """Return the last offset of a partition: what went before it may be gone, it is not."""
    return offset_of(log[-1]) if log else 0


@dataclass
class Member:
    """A claim that has not ended."""

    claim: Claim
    alone: bool
    seen_ms: int
    number: int = 0


@dataclass
class Disk:
    """What was committed, and who is told of it. `gaps`: places in the log may stay free, as where a part was pruned."""

    gaps: bool = False
    claim: Claim = field(default_factory=lambda: Claim("", 0))  # the newest one
    members: dict[int, Member] = field(default_factory=dict[int, Member])
    owners: dict[int, int] = field(default_factory=lambda: {PARTITION: 0})
    permits: dict[str, dict[int, tuple[int, int]]] = field(
        default_factory=dict[str, dict[int, tuple[int, int]]]
    )  # name -> worker -> what it has, and wants
    waiting: dict[int, Sent] = field(default_factory=dict[int, Sent])
    sent: int = 0  # how many events have waited so far
    watchers: Watchers = field(default_factory=Watchers)
    logs: Log = field(default_factory=dict[tuple[str, int], list[Recorded]])
    ids: dict[str, Recorded] = field(default_factory=dict[str, Recorded])
    runs: dict[str, RunChange] = field(default_factory=dict[str, RunChange])
    chunks: dict[str, list[bytes]] = field(default_factory=dict[str, list[bytes]])
    cut: dict[str, int] = field(
        default_factory=dict[str, int]
    )  # run -> the number of the first chunk that it still has
    sessions: dict[tuple[str, str], list[tuple[int, int, int, bytes]]] = field(
        default_factory=dict[tuple[str, str], list[tuple[int, int, int, bytes]]]
    )
    values: dict[tuple[str, str, str], dict[str, bytes]] = field(
        default_factory=dict[tuple[str, str, str], dict[str, bytes]]
    )
    values_at: dict[tuple[str, str, str], dict[str, int]] = field(
        default_factory=dict[tuple[str, str, str], dict[str, int]]
    )
    subjects: dict[tuple[str | int, ...], str] = field(
        default_factory=dict[tuple[str | int, ...], str]
    )  # (tenant, session, number) and (tenant, agent, key, name) -> whom they are about
    progress: dict[tuple[str, str, int], Progress] = field(default_factory=dict[tuple[str, str, int], Progress])
    dead: dict[str, DeadLetter] = field(default_factory=dict[str, DeadLetter])
    timers: dict[str, Timer] = field(default_factory=dict[str, Timer])
    streams: dict[str, dict[str, list[StreamChunk]]] = field(default_factory=dict[str, dict[str, list[StreamChunk]]])
    blobs: dict[bytes, bytes] = field(default_factory=dict[bytes, bytes])
    blob_uses: dict[bytes, dict[Owner, int]] = field(default_factory=dict[bytes, dict[Owner, int]])

    def take(self, numbers: Collection[int], ids: Collection[str]) -> None:
        """Have events wait no longer, by their numbers or by their ids."""
        by_id = [number for number, sent in self.waiting.items() if sent.event.id in set(ids)] if ids else []
        for each in (*numbers, *by_id):
            self.waiting.pop(each, None)

    def log(self, topic: str) -> list[Recorded]:
        """Return the events of a topic, partition by partition."""
        return [each for which in sorted(self.logs) if which[0] == topic for each in self.logs[which]]

    def event(self, event_id: str) -> Recorded | None:
        """Return an event by its id, with its place, or as one that waits for it."""
        found = self.ids.get(event_id)
        waiting = () if found is not None else self.waiting.values()
        for sent in (each for each in waiting if each.event.id == event_id):
            return Recorded(Position(sent.topic, sent.partition, UNPLACED), sent.event)
        return found

    def places(self, ids: Collection[str]) -> dict[str, Position | None]:
        """Return where events are in the log, and None for those that wait."""
        waiting = {sent.event.id for sent in self.waiting.values()}
        known = {each: self.ids.get(each) for each in ids if each in self.ids or each in waiting}
        return {each: None if found is None else found.position for each, found in known.items()}

    def next_chunk(self, run_id: str) -> int:
        """Return the number of the next chunk of a run's journal."""
        return self.cut.get(run_id, 0) + len(self.chunks.get(run_id, ()))

    def add_chunk(self, chunk: JournalChunk) -> None:
        bodies = self.chunks.setdefault(chunk.run_id, [])
        if not bodies and chunk.number:  # of a run whose journal was cut, here or where it was copied from
            self.cut[chunk.run_id] = chunk.number
        bodies.append(chunk.body)

    def cut_off(self, cut: JournalCut) -> None:
        first = self.cut.get(cut.run_id, 0)
        del self.chunks.get(cut.run_id, [])[: max(0, cut.before - first)]
        self.cut[cut.run_id] = max(first, cut.before)

    def ends(self) -> dict[tuple[str, int], int]:
        """Return the last offset of each partition."""
        return {which: end_of(log) for which, log in self.logs.items() if log}
