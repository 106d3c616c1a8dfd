"""From the log to the lanes: what each agent has still to handle, in the order of the log.

Events that this engine appends are offered at once, before they are durable, as long as the agent has read all before them;
otherwise the agent is behind, and reads on from the log. Memory is bounded so: what does not fit waits in the log.
"""

import asyncio
from collections.abc import Callable, Container, Sequence
from typing import TypeAlias

from penstock.core.agents.declaration import Agent
from penstock.core.agents.progress import Progress
from penstock.core.events.envelope import Recorded
from penstock.core.events.event import Event
from penstock.errors import Invalid
from penstock.ports.log import EventLog
from penstock.runtime.appending import Appender
from penstock.runtime.decoding import is_of_another_version
from penstock.runtime.lanes import Delivery, Lanes
from penstock.runtime.topology import Kind

WAITING_MAX = 8192  # events of one agent in memory
PAGE = 512
TYPES_MAX = 1024  # types that are remembered as passed over
LaneOf: TypeAlias = Callable[[Recorded], str]


class Subscription:
    """One agent at one partition of one topic."""

    def __init__(self, agent: Agent, topic: str, partition: int, progress: Progress, lanes: Lanes) -> None:
        self.agent = agent
        self.topic = topic
        self.partition = partition
        self.progress = progress
        self.lanes = lanes
        self.read_to = progress.low
        self.behind = True  # until it is open, nothing is delivered
        self.closed = False
        self.known_to = 0  # up to this offset the store may know something of a run
        self.met: set[str] = set()  # lanes of which a known event was handled again
        self.on_skipped: Callable[[Subscription], object] = _nobody  # progress was made without a handling
        self.on_caught_up: Callable[[], object] = _nobody
        self.lane_of: dict[str, LaneOf] = {}
        self.app_types: Container[str] = ()  # all that the app knows
        self._passed_over: set[str] = set()
        self._is_choosy = agent.is_choosy
        self.turned = asyncio.Event()  # something changed for one who is behind

    def takes(self, kind: Kind, partitions: int = 1) -> None:
        """Deliver events of this kind, of all versions that can be read."""
        lane_of = lane_finder(self.agent, kind, partitions)
        for each in kind.event.reads_():
            self.lane_of[each] = lane_of

    def open(self, appender: Appender) -> None:
        """Begin to deliver."""
        self.behind = self.read_to < appender.end(self.topic, self.partition)
        if self.behind:
            self.turned.set()

    def close(self) -> None:
        """Deliver nothing more: the partition is handed over to another worker."""
        self.closed = self.behind = True
        self.turned.set()

    def redrives(self, run_id: str) -> bool:
        """Whether a run that had ended is handled again."""
        _ = run_id
        return False

    def offer(self, recorded: Recorded) -> bool:
        """Deliver an event that follows all that was read; False when the agent is behind and will read it later."""
        offset = recorded.position.offset
        if self.behind or offset != self.read_to + 1 or self.lanes.held >= WAITING_MAX:
            self.behind = True
            self.turned.set()
            return False
        self._deliver(recorded)
        return True

    def postpone(self, recorded: Recorded) -> None:
        """Deliver an event once it is durable, as one of which the store may know something."""
        self.known_to = max(self.known_to, recorded.position.offset)
        self.behind = True
        self.turned.set()

    def _deliver(self, recorded: Recorded) -> None:
        offset = recorded.position.offset
        self.read_to = offset
        lane_of = self.lane_of.get(recorded.event.type) or self._unread(recorded.event.type)
        if lane_of is None or (self._is_choosy and not self.agent.selects(recorded.event)):
            self.progress.mark(offset)  # a topic may carry types, and events, that this agent does not take
            self.on_skipped(self)
            return
        lane = f"{recorded.event.tenant}/{lane_of(recorded)}"
        self.lanes.offer(Delivery(self.agent, [recorded], lane, known=offset <= self.known_to))

    def _unread(self, type: str) -> LaneOf | None:
        """Return the lane of an event whose version this code cannot read; None when the agent does not take it at all.

        It is delivered, so that it ends in the dead letters, where it waits for code that can (C6).
        """
        if type in self._passed_over:
            return None
        if type in self.app_types or not is_of_another_version(self.agent, type):
            if len(self._passed_over) < TYPES_MAX:
                self._passed_over.add(type)
            return None
        return (lambda _: "") if self.agent.options.batch else _by_key

    def _skip_to(self, last: int) -> None:
        """What is gone from the log is done with, by whoever comes too late for it."""
        self.progress.mark_all(self.read_to + 1, last)
        self.read_to = last
        self.on_skipped(self)

    async def catch_up(self, log: EventLog, appender: Appender) -> None:
        """Read on whenever behind, until it is closed, up to the last offset that was given out."""
        while not self.closed:
            await self.turned.wait()
            self.turned.clear()
            while self.behind and not self.closed and self.lanes.held < WAITING_MAX // 2:
                page = await log.read(self.topic, self.partition, after=self.read_to, limit=PAGE)
                if not self.closed:
                    await self.take(page)
                if self.read_to >= appender.end(self.topic, self.partition) and not self.closed:
                    self.behind = False
                    self.on_caught_up()
                elif not page:
                    break  # the rest is not durable yet: the next commit turns us on

    async def take(self, page: Sequence[Recorded]) -> None:
        """Deliver what was read and is not done with."""
        for recorded in page:
            if recorded.position.offset > self.read_to + 1:
                self._skip_to(recorded.position.offset - 1)
            if recorded.position.offset in self.progress:
                self.read_to = recorded.position.offset
            else:
                self._deliver(recorded)


def _nobody(*_: object) -> None:
    """Stand in for an engine that is not running yet."""


def lane_finder(agent: Agent, kind: Kind, partitions: int) -> LaneOf:
    """Return how an event finds its lane. Without a key each event is a lane of its own: nothing asks for order."""
    field = agent.key_field(kind.event)
    if agent.options.batch and partitions == 1:
        return lambda _: ""
    if agent.options.batch:  # each partition may be another worker's: what an agent remembers is of one of them
        return lambda recorded: f"#{recorded.position.partition}"
    if field is None:
        return _by_key
    if field == kind.key:
        return lambda recorded: recorded.event.key
    return lambda recorded: _field(kind.event, field, recorded)


def _by_key(recorded: Recorded) -> str:
    return recorded.event.key or recorded.event.id


def _field(event: type[Event], field: str, recorded: Recorded) -> str:
    try:
        return str(getattr(event.decoded_as(recorded.event.type, recorded.event.data), field))
    except Invalid:
        return recorded.event.id  # the handling will say what is wrong with it
