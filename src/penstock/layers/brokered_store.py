"""A layer: a store whose events of some topics go over a broker, so that others see them, and bring theirs.

- What is sent waits in the store's inbox, which is the outbox here; then it is published. It gets its place in the log when it
  comes from the broker, by the owner of its partition: the order of a partition is that of the broker.
- How far a partition was received is progress, written by the commit that receives. What comes twice is known by its id.
- What a dead worker has not published is published by who takes its partitions over, before anything new of theirs.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from msgspec import Struct, field, structs

from penstock.core.agents.unit import DeadLetter, ProgressWrite, RunChange, Sent, Writes
from penstock.core.events.envelope import UNPLACED, Position, Recorded, run_id
from penstock.core.events.messages import (
    AFTER,
    HELD,
    UNREADABLE,
    Carried,
    Lane,
    Message,
    Place,
    header_of,
    id_of,
    is_divided,
    is_held,
    problem_of,
    to_event,
    to_message,
)
from penstock.core.events.partitions import partition_of
from penstock.core.knowledge.ordering import ordered
from penstock.layers.passing_store import PassingStore
from penstock.ports.broker import Broker
from penstock.ports.clock import Clock
from penstock.ports.inbox import Waiting
from penstock.ports.state import Claim
from penstock.ports.store import Store

AGENT = "penstock-broker"  # whose progress says how far each partition was received
FIRST = 1 << 48  # numbers of what comes from the broker; those of the store are below
RECENT_MAX = 8192  # ids of a partition that are remembered
IN_FLIGHT_MAX = 4096  # events on their way that are looked at together
MARKS_MAX = 4 * IN_FLIGHT_MAX  # of what was shown; who receives takes what he was shown last
OVERDUE_MS = 5_000  # what has not come back from the broker from one look to the next is published once more
_log = logging.getLogger(__name__)


class _Mark(Struct, frozen=True):
    """What a number stands for: a message, and the event in it."""

    lane: Lane
    position: int
    id: str


class _Received(Struct):
    """How far a partition of a topic was received: through `low`; of what comes after it, what was fetched."""

    low: int = 0
    fetched: dict[int, bool] = field(default_factory=dict[int, bool])  # position -> whether a commit has received it
    recent: dict[str, None] = field(default_factory=dict[str, None])  # ids that were shown, the newest last

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

    def show(self, event_id: str) -> None:
        self.recent[event_id] = None
        if len(self.recent) > RECENT_MAX:
            del self.recent[next(iter(self.recent))]


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
        self._last: dict[Lane, str] = {}  # the id of what was published last
        self._publishing: tuple[tuple[int, int], list[tuple[str, int, Message]]] = ((0, 0), [])  # by which commit
        self._overdue: set[int] = set()  # rows that were on their way when it was looked last
        self._looked_ms = 0
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
        rows = await self._inner.submitted(everywhere, limit=IN_FLIGHT_MAX)
        await self._publish([each.sent for each in rows if not each.known])
        self._last.clear()

    # what is sent

    async def submit(self, events: Sequence[Sent]) -> None:
        await self._inner.submit(events)
        await self._publish(events)

    async def commit(self, claim: Claim, number: int, writes: Writes) -> None:
        marks = [self._marks[each] for each in writes.received if each >= FIRST]
        await self._inner.commit(claim, number, self._translated(writes, marks) if marks else writes)
        for lane in {each.lane for each in marks if each.lane in self._received}:
            self._received[lane].receive([each.position for each in marks if each.lane == lane])
        if writes.sent:
            which = claim.epoch, number
            if self._publishing[0] != which:
                self._publishing = which, self._in_line(writes.sent)
            # `Unavailable`: the commit is repeated, which writes nothing, and publishes the same again.
            await self._broker.publish(self._publishing[1])
            self._wake_soon()
        for each in writes.received:
            self._marks.pop(each, None)

    def _translated(self, writes: Writes, marks: Sequence[_Mark]) -> Writes:
        """Return the writes as the store takes them: rows of its inbox, progress, and a dead letter of what cannot be read."""
        rows = [each for each in writes.received if each < FIRST]
        taken = [*writes.taken, *(each.id for each in marks)]
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
        return structs.replace(writes, received=rows, taken=taken, progress=progress, runs=runs, dead=dead)

    async def _publish(self, events: Iterable[Sent]) -> None:
        messages = [(each.topic, each.partition, self._message(each)) for each in events if each.topic in self._carried]
        if messages:
            await self._broker.publish(messages)

    def _in_line(self, events: Iterable[Sent]) -> list[tuple[str, int, Message]]:
        """Return the messages of a commit, each with the id of the one before it in its partition."""
        messages: list[tuple[str, int, Message]] = []
        for each in events:
            if each.topic in self._carried:
                lane = each.topic, each.partition
                messages.append((*lane, self._message(each, self._last.get(lane, ""))))
                self._last[lane] = each.event.id
        return messages

    def _message(self, sent: Sent, before: str = "") -> Message:
        message = to_message(sent.event)
        headers = (*message.headers, (AFTER, before.encode()))
        size = len(message.value)
        if size <= self._broker.bytes_max:
            return Message(message.value, message.key, headers)
        # The row that waits holds it all: whoever receives it takes it from there.
        return Message(b"", message.key, (*headers, (HELD, b"%d" % size)))

    def _wake_soon(self) -> None:
        """Have who receives look once more when the commit under way is known to be durable."""
        loop = asyncio.get_running_loop()
        for wake in self._wakes:
            loop.call_soon(wake)

    # what is received

    async def submitted(
        self, partitions: Collection[int], *, limit: int, without: Collection[str] = ()
    ) -> Sequence[Waiting]:
        if not partitions:
            return ()
        lanes = [(topic, each) for topic in self._carried for each in sorted(partitions) if topic not in without]
        await self._load(lanes)
        found = await self._broker.fetch({lane: self._received[lane].low for lane in lanes}, limit=limit)
        waiting = list(await self._inner.submitted(partitions, limit=limit, without=[*self._carried, *without]))
        waiting += await self._waiting([each for each in found if not self._was_received(each)])
        waiting += await self._known_beside(partitions, limit)
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
        lane = self._received.get((carried.topic, carried.partition))
        if lane is None:  # it was given away while the broker was asked: its next owner receives this
            return True
        return lane.fetched.setdefault(carried.position, False) or carried.position <= lane.low

    async def _waiting(self, found: Sequence[Carried]) -> list[Waiting]:
        """Return what came from the broker, as far as it is its turn."""
        if not found:
            return []
        sents = await self._sents(found)
        before = [header_of(each.message, AFTER) for each in found]
        known, late = await self._known(found, sents, before)
        strays: list[Sent] = []
        waiting: list[Waiting] = []
        for sent, carried, earlier in zip(sents, found, before, strict=True):
            lane, event_id = (carried.topic, carried.partition), sent.event.id
            received = self._received.get(lane)
            if received is None:
                continue  # given away meanwhile
            if earlier in late and earlier not in received.recent:
                continue  # it overtook the one before it, whose publishing is repeated
            self._number += 1
            self._marks[self._number] = _Mark(lane, carried.position, event_id)
            stray = event_id not in known and sent.partition != carried.partition
            if stray:
                strays.append(sent)
            waiting.append(Waiting(self._number, sent, known=stray or event_id in known))
            known.add(event_id)  # should it come twice
            received.show(event_id)
        while len(self._marks) > MARKS_MAX:
            del self._marks[next(iter(self._marks))]
        await self.submit(strays)  # first: then they may be received here
        return waiting

    def _recent(self, carried: Carried) -> Collection[str]:
        received = self._received.get((carried.topic, carried.partition))
        return () if received is None else received.recent

    async def _known_beside(self, partitions: Collection[int], limit: int) -> list[Waiting]:
        """Look now and then at what should have come back long ago: publish it once more, or show it if it is known."""
        now_ms = self._clock.now_ms()
        if 0 <= now_ms - self._looked_ms < OVERDUE_MS:
            return []
        self._looked_ms = now_ms
        rows = await self._inner.submitted(partitions, limit=IN_FLIGHT_MAX)
        rows = [each for each in rows if each.sent.topic in self._carried]
        overdue = [each.sent for each in rows if each.number in self._overdue and not each.known]
        self._overdue = {each.number for each in rows}
        if overdue:
            _log.warning("%d events did not come back from the broker: they are published once more", len(overdue))
            await self._publish(overdue)
        return [each for each in rows if each.known][:limit]

    async def _sents(self, found: Sequence[Carried]) -> list[Sent]:
        """Return the events in messages, each for the partition of its key: others need not have put it there."""
        sents: list[Sent] = []
        for each in found:
            topic, partition = each.topic, each.partition
            # What was too large for the broker is in the row that waits for it.
            row = await self._inner.event(id_of(each.message)) if is_held(each.message) else None
            if row is not None:
                event = row.event
            else:
                place = Place(topic, partition, each.position, self._carried[topic], self._clock.now_ms())
                event = to_event(each.message, place)
            if event.key and not is_divided(each.message) and event.type != UNREADABLE:
                event = event if self._partitions == 1 else ordered(event)
                partition = partition_of(event.tenant, event.key, self._partitions)
            sents.append(Sent(topic, partition, event))
        return sents

    async def _known(
        self, found: Sequence[Carried], sents: Sequence[Sent], before: Sequence[str]
    ) -> tuple[set[str], set[str]]:
        """Return which events are in the log, and which of those before them are still on their way."""
        events = [Recorded(Position(each.topic, each.partition, UNPLACED), each.event) for each in sents]
        unseen = {
            earlier: Sent(each.topic, each.partition, structs.replace(sent.event, id=earlier))
            for each, sent, earlier in zip(found, sents, before, strict=True)
            if earlier and earlier not in self._recent(each)
        }
        answer = await self._inner.known(Writes(events=events, sent=list(unseen.values())))
        return {each.event.id for each in answer.events}, {each.event.id for each in answer.sent}
