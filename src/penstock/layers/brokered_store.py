"""A layer: a store whose events of some topics go over a broker, so that others see them, and bring theirs.

- What is sent waits in the store's inbox, which is the outbox here; then it is published. It gets its place in the log when it
  comes from the broker, by the owner of its partition: the order of a partition is that of the broker.
- How far a partition was received is progress, written by the commit that receives. What comes twice is known by its id.
- What a dead worker has not published is published by who takes its partitions over, before anything new of theirs.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from msgspec import Struct, field, structs

from penstock.core.agents.unit import DeadLetter, ProgressWrite, RunChange, Sent, Writes
from penstock.core.events.envelope import UNPLACED, Position, Recorded, run_id
from penstock.core.events.messages import (
    HELD,
    UNREADABLE,
    Carried,
    Lane,
    Message,
    Place,
    id_of,
    is_held,
    problem_of,
    to_event,
    to_message,
)
from penstock.core.events.partitions import partition_of
from penstock.layers.passing_store import PassingStore
from penstock.ports.broker import Broker
from penstock.ports.clock import Clock
from penstock.ports.inbox import Waiting
from penstock.ports.state import Claim
from penstock.ports.store import Store

AGENT = "penstock-broker"  # whose progress says how far each partition was received
FIRST = 1 << 48  # numbers of what comes from the broker; those of the store are below
IN_FLIGHT_MAX = 4096  # events on their way that are looked at together
MARKS_MAX = 4 * IN_FLIGHT_MAX  # of what was shown; who receives takes what he was shown last
OVERDUE_MS = 5_000  # what has not come back from the broker by then is published once more
_log = logging.getLogger(__name__)


class _Mark(Struct, frozen=True):
    """What a number stands for: a message, and the row that waits for it, if it is of ours."""

    lane: Lane
    position: int
    row: int = 0


class _Received(Struct):
    """How far a partition of a topic was received: through `low`; of what comes after it, what was fetched."""

    low: int = 0
    fetched: dict[int, bool] = field(default_factory=dict[int, bool])  # position -> whether a commit has received it

    def through(self, more: Collection[int] = ()) -> int:
        """Return how far it would be with more positions received."""
        low = self.low
        for position, received in self.fetched.items():
            if not received and position not in more:
                break
            low = position
        return low

    def receive(self, positions: Iterable[int]) -> None:
        for position in positions:
            if position in self.fetched:
                self.fetched[position] = True
        self.low = self.through()
        while self.fetched and next(iter(self.fetched)) <= self.low:
            del self.fetched[next(iter(self.fetched))]


def _in_turn(found: Sequence[Carried], ours: Mapping[str, Waiting]) -> list[Carried]:
    """Leave out what is of ours and came before an earlier event of its key: a publishing that failed was repeated."""
    first: dict[tuple[str, int, str], deque[int]] = {}
    for row in ours.values():
        first.setdefault((row.sent.topic, row.sent.partition, row.sent.event.key), deque()).append(row.number)
    kept: list[Carried] = []
    for each in found:
        row = ours.get(id_of(each.message))
        if row is not None and row.sent.event.key:
            numbers = first[row.sent.topic, row.sent.partition, row.sent.event.key]
            if numbers and row.number > numbers[0]:
                continue
            if numbers and row.number == numbers[0]:
                numbers.popleft()
        kept.append(each)
    return kept


class BrokeredStore(PassingStore):
    """A `Store` over another one and a `Broker`. `carried`: the topics, each with the type of its events if it has one only."""

    def __init__(self, inner: Store, broker: Broker, clock: Clock, carried: Mapping[str, str]) -> None:
        super().__init__(inner)
        self._broker = broker
        self._clock = clock
        self._carried = dict(carried)
        self._received: dict[Lane, _Received] = {}
        self._marks: dict[int, _Mark] = {}
        self._number = FIRST
        self._seen_ms: dict[int, int] = {}  # rows on their way: since when
        self._wakes: list[Callable[[], None]] = []
        self._partitions = 0

    def watch(self, wake: Callable[[], None]) -> Callable[[], None]:
        stops = (self._inner.watch(wake), self._broker.watch(wake))
        self._wakes.append(wake)

        def stop() -> None:
            self._wakes.remove(wake)
            for each in stops:
                each()

        return stop

    # who owns what

    async def claim(self, owner: str) -> Claim:
        claim = await self._inner.claim(owner)
        self._received.clear()
        await self._publish_again()
        return claim

    async def take(self, claim: Claim, partitions: Collection[int]) -> frozenset[int]:
        self._drop(partitions)
        taken = await self._inner.take(claim, partitions)
        await self._publish_again()
        return taken

    async def give(self, claim: Claim, partitions: Collection[int]) -> None:
        await self._inner.give(claim, partitions)
        self._drop(partitions)

    def _drop(self, partitions: Collection[int]) -> None:
        for lane in [each for each in self._received if each[1] in partitions]:
            del self._received[lane]

    async def _publish_again(self) -> None:
        """Publish all that is on its way: whoever was to do it may be dead. What comes twice is known by its id."""
        everywhere = range(await self._inner.partitions())
        await self._publish([each.sent for each in await self._inner.submitted(everywhere, limit=IN_FLIGHT_MAX)])

    # what is sent

    async def submit(self, events: Sequence[Sent]) -> None:
        await self._inner.submit(events)
        await self._publish(events)

    async def commit(self, claim: Claim, number: int, writes: Writes) -> None:
        marks = [self._marks[each] for each in writes.received if each >= FIRST]
        await self._inner.commit(claim, number, self._translated(writes, marks) if marks else writes)
        for lane in {each.lane for each in marks if each.lane in self._received}:
            self._received[lane].receive([each.position for each in marks if each.lane == lane])
        await self._publish(
            writes.sent
        )  # `Unavailable`: the commit is repeated, which writes nothing and publishes again
        for each in writes.received:
            self._marks.pop(each, None)
        if writes.sent:
            self._wake_soon()

    def _translated(self, writes: Writes, marks: Sequence[_Mark]) -> Writes:
        """Return the writes as the store takes them: rows of its inbox, progress, and a dead letter of what cannot be read."""
        rows = [each for each in writes.received if each < FIRST] + [each.row for each in marks if each.row]
        progress = list(writes.progress)
        for lane in dict.fromkeys(each.lane for each in marks if each.lane in self._received):
            through = self._received[lane].through({each.position for each in marks if each.lane == lane})
            progress.append(ProgressWrite(AGENT, *lane, through, []))
        unreadable = [each for each in writes.events if each.event.type == UNREADABLE]
        runs, dead = list(writes.runs), list(writes.dead)
        for each in unreadable:
            run, reason, now_ms = run_id(each.event.id, AGENT), problem_of(each.event), self._clock.now_ms()
            runs.append(RunChange(run, AGENT, each.event.tenant, "", "failed", 1, now_ms, reason=reason))
            dead.append(DeadLetter(run, AGENT, each, reason, 1, now_ms))
        return structs.replace(writes, received=rows, progress=progress, runs=runs, dead=dead)

    async def _publish(self, events: Iterable[Sent]) -> None:
        messages = [(each.topic, each.partition, self._message(each)) for each in events if each.topic in self._carried]
        if messages:
            await self._broker.publish(messages)

    def _message(self, sent: Sent) -> Message:
        message = to_message(sent.event)
        size = len(message.value)
        if size <= self._broker.bytes_max:
            return message
        # The row that waits holds it all: whoever receives it takes it from there.
        return Message(b"", message.key, (*message.headers, (HELD, b"%d" % size)))

    def _wake_soon(self) -> None:
        """Have who receives look once more when the commit under way is known to be durable."""
        loop = asyncio.get_running_loop()
        for wake in self._wakes:
            loop.call_soon(wake)

    # what is received

    async def submitted(self, partitions: Collection[int], *, limit: int) -> Sequence[Waiting]:
        if not partitions:
            return ()
        lanes = [(topic, each) for topic in self._carried for each in sorted(partitions)]
        await self._load(lanes)
        found = await self._broker.fetch({lane: self._received[lane].low for lane in lanes}, limit=limit)
        # The rows are read after the messages: what was published before has its row, or its place.
        rows = await self._inner.submitted(partitions, limit=max(limit, IN_FLIGHT_MAX))
        waiting = [each for each in rows if each.known or each.sent.topic not in self._carried][:limit]
        ours = {each.sent.event.id: each for each in rows if each.sent.topic in self._carried and not each.known}
        all_seen = len(rows) < IN_FLIGHT_MAX
        fresh = [each for each in found if not self._was_received(each)]
        fresh = _in_turn(fresh, ours)
        if not all_seen:  # the row of a message that is held may be one of those that are not seen yet
            fresh = [each for each in fresh if not is_held(each.message) or id_of(each.message) in ours]
        waiting += await self._waiting(fresh, ours)
        await self._remind(ours.values())
        return waiting[:limit]

    async def _load(self, lanes: Sequence[Lane]) -> None:
        """Learn how far partitions were received that are new here."""
        if all(lane in self._received for lane in lanes):
            return
        self._partitions = await self._inner.partitions()
        done = await self._inner.progress()
        for lane in lanes:
            if lane not in self._received:
                known = done.get((AGENT, *lane))
                self._received[lane] = _Received(0 if known is None else known.low)

    def _was_received(self, carried: Carried) -> bool:
        lane = self._received[carried.topic, carried.partition]
        return lane.fetched.setdefault(carried.position, False) or carried.position <= lane.low

    async def _waiting(self, found: Sequence[Carried], ours: Mapping[str, Waiting]) -> list[Waiting]:
        """Return what came from the broker; of ours, the row that waits for it is what counts."""
        now_ms = self._clock.now_ms()
        pairs = [(each, ours.get(id_of(each.message))) for each in found]
        sents = [self._sent(each, now_ms) if row is None else row.sent for each, row in pairs]
        known = await self._known([sent for sent, (_, row) in zip(sents, pairs, strict=True) if row is None])
        strays: list[Sent] = []
        waiting: list[Waiting] = []
        for sent, (each, row) in zip(sents, pairs, strict=True):
            self._number += 1
            self._marks[self._number] = _Mark(
                (each.topic, each.partition), each.position, 0 if row is None else row.number
            )
            stray = row is None and sent.event.id not in known and sent.partition != each.partition
            if stray:
                strays.append(sent)
            waiting.append(Waiting(self._number, sent, known=stray or sent.event.id in known))
            known.add(sent.event.id)  # should it come twice
        while len(self._marks) > MARKS_MAX:
            del self._marks[next(iter(self._marks))]
        await self.submit(strays)  # first: then they may be received here
        return waiting

    def _sent(self, carried: Carried, now_ms: int) -> Sent:
        """Return the event in a message of others, for the partition of its key, which need not be where they put it."""
        topic, partition = carried.topic, carried.partition
        event = to_event(carried.message, Place(topic, partition, carried.position, self._carried[topic], now_ms))
        if event.key and event.type != UNREADABLE:
            partition = partition_of(event.tenant, event.key, self._partitions)
        return Sent(topic, partition, event)

    async def _known(self, sents: Sequence[Sent]) -> set[str]:
        if not sents:
            return set()
        events = [Recorded(Position(each.topic, each.partition, UNPLACED), each.event) for each in sents]
        return {each.event.id for each in (await self._inner.known(Writes(events=events))).events}

    async def _remind(self, rows: Collection[Waiting]) -> None:
        """Publish once more what should have come back long ago."""
        now_ms = self._clock.now_ms()
        self._seen_ms = {each.number: self._seen_ms.get(each.number, now_ms) for each in rows}
        overdue = [each for each in rows if now_ms - self._seen_ms[each.number] > OVERDUE_MS]
        if overdue:
            _log.warning("%d events did not come back from the broker: they are published once more", len(overdue))
            for each in overdue:
                self._seen_ms[each.number] = now_ms
            await self._publish([each.sent for each in overdue])
