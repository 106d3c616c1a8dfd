"""A layer: a store whose events of some topics go over a broker, so that others see them, and bring theirs.

- What is sent waits in the store's inbox, which is the outbox here; then it is published. It gets its place in the log when it
  comes from the broker, by the owner of its partition: the order of a partition is that of the broker.
- How far a partition was received is progress, written by the commit that receives. What comes twice is known by its id.
- What a dead worker has not published is published by who takes its partitions over, before anything new of theirs.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from msgspec import structs

from penstock.core.agents.unit import DeadLetter, ProgressWrite, RunChange, Sent, Writes
from penstock.core.events.envelope import Recorded, run_id
from penstock.core.events.messages import (
    AFTER,
    HELD,
    UNREADABLE,
    Carried,
    Lane,
    Message,
    Place,
    arrived,
    header_of,
    id_of,
    is_held,
    problem_of,
    to_message,
    to_structured,
)
from penstock.core.events.partitions import partition_of
from penstock.core.knowledge.ordering import ordered
from penstock.errors import Unavailable
from penstock.layers.passing_store import PassingStore
from penstock.layers.received import Mark, Received, by_lane
from penstock.ports.broker import Broker
from penstock.ports.clock import Clock
from penstock.ports.inbox import Waiting
from penstock.ports.state import Claim
from penstock.ports.store import Store

AGENT = "penstock-broker"  # whose progress says how far each partition was received
FIRST = 1 << 48  # numbers of what comes from the broker; those of the store are below
IN_FLIGHT_MAX = 4096  # events on their way that are looked at together
MARKS_MAX = 4 * IN_FLIGHT_MAX  # of what was shown; who receives takes what he was shown last
UNSENT_MAX = 256  # submissions that the broker did not take, which whoever made them may repeat
OVERDUE_MS = 5_000  # what has not come back from the broker from one look to the next is published once more
_log = logging.getLogger(__name__)


class BrokeredStore(PassingStore):
    """A `Store` over another one and a `Broker`. `carried`: the topics, each with the type of its events if it has one only."""

    def __init__(self, inner: Store, broker: Broker, clock: Clock, carried: Mapping[str, str]) -> None:
        super().__init__(inner)
        self._broker = broker
        self._clock = clock
        self._carried = dict(carried)
        self._received: dict[Lane, Received] = {}
        self._marks: dict[int, Mark] = {}
        self._number = FIRST
        self._last: dict[Lane, str] = {}  # the id of what was published last
        self._publishing: tuple[tuple[int, int], list[tuple[str, int, Message]]] = ((0, 0), [])  # by which commit
        self._unsent: dict[tuple[str, ...], list[tuple[str, int, Message]]] = {}  # by ids: what will be submitted again
        self._overdue: set[int] = set()  # rows that were on their way when it was looked last
        self._before: set[str] = set()  # what waited when partitions were taken over last
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

    @property
    def received(self) -> Mapping[Lane, int]:
        """How far each partition was received that is received here."""
        return {lane: each.low for lane, each in self._received.items()}

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
        self._before = {each.sent.event.id for each in rows}
        last: dict[Lane, str] = {}
        if messages := self._in_line((each.sent for each in rows if not each.known), last):
            await self._broker.publish(messages)
        for lane, event_id in last.items():
            self._last.setdefault(lane, event_id)  # what was sent here meanwhile comes after its own, not after these

    # what is sent

    async def submit(self, events: Sequence[Sent]) -> None:
        await self._inner.submit(events)
        ids = tuple(each.event.id for each in events)
        # Repeated, it comes after what it came after the first time: after its own end it would wait for itself.
        if not (messages := self._unsent.pop(ids, None) or self._in_line(events, self._last)):
            return
        try:
            await self._broker.publish(messages)
        except Unavailable:
            self._unsent[ids] = messages
            if len(self._unsent) > UNSENT_MAX:
                del self._unsent[next(iter(self._unsent))]
            raise

    async def commit(self, claim: Claim, number: int, writes: Writes) -> None:
        marks = [self._marks[each] for each in writes.received if each >= FIRST]
        positions = by_lane(marks)
        await self._inner.commit(claim, number, self._translated(writes, marks, positions) if marks else writes)
        for lane, some in positions.items():
            if lane in self._received:
                self._received[lane].receive(some)
        if writes.sent:
            which = claim.epoch, number
            if self._publishing[0] != which:
                self._publishing = which, self._in_line(writes.sent, self._last)
            # `Unavailable`: the commit is repeated, which writes nothing, and publishes the same again.
            await self._broker.publish(self._publishing[1])
            self._wake_soon()
        for each in writes.received:
            self._marks.pop(each, None)

    def _translated(self, writes: Writes, marks: Sequence[Mark], positions: Mapping[Lane, Collection[int]]) -> Writes:
        """Return the writes as the store takes them: rows of its inbox, progress, and a dead letter of what cannot be read."""
        rows = [each for each in writes.received if each < FIRST]
        taken = [*writes.taken, *(each.id for each in marks)]
        progress = list(writes.progress)
        for lane, some in positions.items():
            if lane in self._received:
                progress.append(ProgressWrite(AGENT, *lane, self._received[lane].through(some), []))
        unreadable = [each for each in writes.events if each.event.type == UNREADABLE]
        runs, dead = list(writes.runs), list(writes.dead)
        for each in unreadable:
            run, reason, now_ms = run_id(each.event.id, AGENT), problem_of(each.event), self._clock.now_ms()
            runs.append(RunChange(run, AGENT, each.event.tenant, "", "failed", 1, now_ms, reason=reason))
            dead.append(DeadLetter(run, AGENT, each, reason, 1, now_ms))
        return structs.replace(writes, received=rows, taken=taken, progress=progress, runs=runs, dead=dead)

    async def _publish(self, events: Iterable[Sent]) -> None:
        if messages := self._in_line(events, {}):
            await self._broker.publish(messages)

    def _in_line(self, events: Iterable[Sent], last: dict[Lane, str]) -> list[tuple[str, int, Message]]:
        """Return events as messages, each with the id of the one before it in its partition; `last`: those before the first."""
        messages: list[tuple[str, int, Message]] = []
        for each in events:
            if each.topic in self._carried:
                lane = each.topic, each.partition
                messages.append((*lane, self._message(each, last.get(lane, ""))))
                last[lane] = each.event.id
        return messages

    def _message(self, sent: Sent, before: str) -> Message:
        message = to_structured(sent.event, before) if self._broker.structured else None
        if message is None or len(message.value) > self._broker.bytes_max:
            plain = to_message(sent.event)
            message = Message(plain.value, plain.key, (*plain.headers, (AFTER, before.encode())))
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

    async def submitted(
        self, partitions: Collection[int], *, limit: int, without: Collection[str] = ()
    ) -> Sequence[Waiting]:
        if not partitions:
            return ()
        lanes = [(topic, each) for topic in self._carried for each in sorted(partitions) if topic not in without]
        await self._load(lanes)
        ours = {lane: self._received[lane] for lane in lanes if lane in self._received}
        # What was fetched and is not received yet comes again, and must not hide what is behind it: it may wait for that.
        held = sum(len(received.fetched) for received in ours.values())
        found = await self._broker.fetch({lane: received.low for lane, received in ours.items()}, limit=limit + held)
        waiting = list(await self._inner.submitted(partitions, limit=limit, without=[*self._carried, *without]))
        new = [each for each in found if ours[each.topic, each.partition].is_new(each.position)]
        waiting += await self._known_beside(partitions, limit)
        return [*waiting[:limit], *await self._waiting(ours, new, limit - len(waiting))]

    async def _load(self, lanes: Sequence[Lane]) -> None:
        """Learn how far partitions were received that are new here."""
        if all(lane in self._received for lane in lanes):
            return
        self._partitions = await self._inner.partitions()
        done = await self._inner.progress()
        for lane in lanes:
            if lane not in self._received:
                known = done.get((AGENT, *lane))
                self._received[lane] = Received(0 if known is None else known.low)

    async def _waiting(self, ours: Mapping[Lane, Received], found: Sequence[Carried], limit: int) -> list[Waiting]:
        """Return what came from the broker, as far as it is its turn, and its partition is still ours; `limit` of it at most.

        What does not come to who receives counts as not shown, or what is to come after it would not wait for it.
        """
        if not found:
            return []
        held = {each.message: await self._inner.event(id_of(each.message)) for each in found if is_held(each.message)}
        sents = [self._sent(each, held.get(each.message) if held else None) for each in found]
        known, late = await self._known(ours, found, sents)
        strays: list[Sent] = []
        waiting: list[Waiting] = []
        shown: dict[tuple[Lane, str], Received] = {}
        for (sent, earlier), carried in zip(sents, found, strict=True):
            lane, event_id = (carried.topic, carried.partition), sent.event.id
            received = ours[lane]
            if len(waiting) >= limit:
                break
            if self._received.get(lane) is not received:
                continue  # given away while the broker and the store were asked: its next owner receives this
            if earlier in late and earlier not in received.recent and (lane, earlier) not in shown:
                continue  # it overtook the one before it, whose publishing is repeated
            self._number += 1
            self._marks[self._number] = Mark(lane, carried.position, event_id)
            stray = event_id not in known and sent.partition != carried.partition
            if stray:
                strays.append(sent)
            before = event_id in self._before if self._before else False
            waiting.append(Waiting(self._number, sent, stray or event_id in known, before))
            known.add(event_id)  # should it come twice
            shown[lane, event_id] = received
        while len(self._marks) > MARKS_MAX:
            del self._marks[next(iter(self._marks))]
        if strays:
            await self.submit(strays)  # first: then they may be received here
        for (_, event_id), received in shown.items():
            received.show(event_id)
        return waiting

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

    def _sent(self, carried: Carried, held: Recorded | None) -> tuple[Sent, str]:
        """Return the event in a message, for the partition of its key, and the id of what was sent before it in its own.

        Others need not have put it into the partition of its key, as penstock does. `held`: the row that holds the event, where
        it is too large for the broker.
        """
        topic, partition = carried.topic, carried.partition
        if held is not None:
            event, after = held.event, header_of(carried.message, AFTER)
        else:
            place = Place(topic, partition, carried.position, self._carried[topic], self._clock.now_ms())
            event, after = arrived(carried.message, place)
        if after is None and event.key and event.type != UNREADABLE:
            event = event if self._partitions == 1 else ordered(event)
            partition = partition_of(event.tenant, event.key, self._partitions)
        return Sent(topic, partition, event), after or ""

    async def _known(
        self, ours: Mapping[Lane, Received], found: Sequence[Carried], sents: Sequence[tuple[Sent, str]]
    ) -> tuple[set[str], set[str]]:
        """Return which events are in the log, and which of those before them are still on their way."""
        unseen = {
            earlier
            for carried, (_, earlier) in zip(found, sents, strict=True)
            if earlier and earlier not in ours[carried.topic, carried.partition].recent
        }
        places = await self._inner.places({sent.event.id for sent, _ in sents} | unseen)
        known = {event_id for event_id, place in places.items() if place is not None}
        return known, {each for each in unseen if each in places and each not in known}
