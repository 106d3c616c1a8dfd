"""Who may run now: the deliveries of one agent, one at a time per key and in order (C2), keys side by side.

A lane exists while its key has a delivery under way; a delivery that is to be tried again keeps its lane.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from typing import Protocol

from penstock.core.agents.declaration import Agent
from penstock.core.agents.gate import Ticket
from penstock.core.agents.journal import Journal
from penstock.core.agents.unit import RunChange, Status
from penstock.core.events.envelope import Recorded
from penstock.core.events.envelope import run_id as run_id_of
from penstock.runtime.deadlines import Watched

DROP_S = 5.0  # for handlers that do not let themselves be cancelled


class Hold:
    """What is known of a delivery that may be held back, and stopped."""

    __slots__ = ("stopped", "ticket")

    def __init__(self) -> None:
        self.ticket: Ticket[Delivery] | None = None
        self.stopped = ""  # why it is to end


class Delivery:
    """One handling to be: the events (several for an agent that takes batches), and how often it was tried."""

    __slots__ = (
        "agent",
        "attempt",
        "begun_ms",
        "dropped",
        "events",
        "executing",
        "hold",
        "journal",
        "known",
        "lane",
        "run_id",
        "task",
        "waited",
        "watched",
    )

    def __init__(self, agent: Agent, events: list[Recorded], lane: str, *, known: bool) -> None:
        self.agent = agent
        self.events = events
        self.lane = lane
        self.known = known  # whether the store may know something of the run already
        self.executing: dict[str, asyncio.Future[None] | None] = {}  # steps under way, and who waits for their end
        self.task: asyncio.Task[None] | None = None
        self.hold: Hold | None = None  # of an agent with a flow
        self.dropped = False  # its partition was given to another worker, who handles it
        self.attempt = 1
        self.begun_ms = 0
        self.waited = False  # for the time of its next attempt, as the process before had set it
        self.journal = Journal()
        self.run_id = run_id_of(events[0].event.id, agent.name)

    watched: Watched  # from when its handling begins
    alone: bool = False  # whether no batch takes it in
    outside: Journal | None = None  # a dry one changes nothing outside: what steps with effects come to is found here
    model: str = ""  # which model of the app answers in the place of all

    @property
    def begun(self) -> bool:
        """Whether the handler has been called by the task that is under way; before, nothing of it may be cut off."""
        watched: Watched | None = getattr(self, "watched", None)
        return watched is not None and watched.task is self.task

    @property
    def stopped(self) -> str:
        """Why it is to end; empty when it is not."""
        return "" if self.hold is None else self.hold.stopped

    def stop(self, reason: str) -> None:
        """Have it end without a result."""
        self.hold = self.hold or Hold()
        self.hold.stopped = reason

    @property
    def partition(self) -> int:
        return self.events[0].position.partition

    @property
    def original(self) -> Recorded:
        """The event with the place that a dead letter names."""
        return self.events[0]

    def change(self, status: Status, now_ms: int) -> RunChange:
        """Return what is now known of the run."""
        event = self.events[0].event
        return RunChange(self.run_id, self.agent.name, event.tenant, event.key, status, self.attempt, now_ms)

    def join(self) -> None:
        """Take the run id of a batch, which is not that of its first event alone."""
        if len(self.events) > 1:
            self.run_id = run_id_of(f"{self.events[0].event.id}+{len(self.events) - 1}", self.agent.name)


async def dropped(deliveries: Iterable[Delivery]) -> None:
    """Cut deliveries off, as a kill would, and wait until they have ended: one that was just ending is done with."""
    tasks: list[asyncio.Task[None]] = []
    for delivery in deliveries:
        delivery.dropped = True
        if delivery.task is not None:
            delivery.task.cancel()
            tasks.append(delivery.task)
    if tasks:
        await asyncio.wait(tasks, timeout=DROP_S)


Start = Callable[[Delivery], None]


def weight(recorded: Recorded) -> int:
    """Return how many places in memory an event takes: one, and one more for each 64 KiB of its data."""
    return 1 + (len(recorded.event.data) >> 16)


class Lanes(Protocol):
    """The deliveries of one agent."""

    @property
    def held(self) -> int:
        """How many events are in memory, by weight: under way, or waiting for their turn, a place or another attempt."""
        ...

    def offer(self, delivery: Delivery) -> None:
        """Start the delivery when its turn comes."""
        ...

    def finished(self, delivery: Delivery) -> None:
        """The delivery is done with: start what waited for it."""
        ...


class KeyLanes:
    """One lane per key."""

    def __init__(self, start: Start) -> None:
        self._start = start
        self._lanes: dict[str, deque[Delivery] | None] = {}
        self.held = 0

    def offer(self, delivery: Delivery) -> None:
        self.held += weight(delivery.events[0])
        lane = delivery.lane
        if lane not in self._lanes:
            self._lanes[lane] = None
            self._start(delivery)
            return
        queue = self._lanes[lane]
        if queue is None:
            queue = self._lanes[lane] = deque()
        queue.append(delivery)

    def finished(self, delivery: Delivery) -> None:
        self.held -= weight(delivery.events[0])
        queue = self._lanes[delivery.lane]
        if queue:
            self._start(queue.popleft())
        else:
            del self._lanes[delivery.lane]


class BatchLane:
    """All keys in one lane: as many events as wait, up to the agent's batch, are handled together.

    A batch that failed for good is taken apart, so that a poisonous event harms only itself (C6).
    """

    def __init__(self, start: Start, soon: Callable[[Callable[[], None]], object]) -> None:
        self._start = start
        self._soon = soon
        self._queue: deque[Delivery] = deque()
        self._apart: deque[Delivery] = deque()
        self._busy = False
        self.held = 0

    def offer(self, delivery: Delivery) -> None:
        self.held += weight(delivery.events[0])
        self._queue.append(delivery)
        if not self._busy:
            self._busy = True
            self._soon(self._next)  # what else arrives in this tick belongs to the same batch

    def finished(self, delivery: Delivery) -> None:
        self.held -= sum(map(weight, delivery.events))
        self._next()

    def take_apart(self, delivery: Delivery) -> None:
        """Handle the events of a failed batch one by one, before anything else."""
        for each in delivery.events:
            self._apart.append(Delivery(delivery.agent, [each], delivery.lane, known=True))
        self._next()

    def _next(self) -> None:
        if self._apart:
            self._start(self._apart.popleft())
            return
        if not self._queue:
            self._busy = False
            return
        first = self._queue.popleft()
        tenant = first.events[0].event.tenant
        while (
            self._queue
            and len(first.events) < first.agent.options.batch
            and not (first.alone or self._queue[0].alone)
            and self._queue[0].events[0].event.tenant == tenant
        ):
            first.events.extend(self._queue.popleft().events)
        first.join()
        self._start(first)
