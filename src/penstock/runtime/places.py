"""The places of an engine: how many handlings are under way at once, and which agent gets the next place.

Agents take turns for the places that become free, and each has a few for itself: none keeps the others waiting.
"""

from collections import deque
from collections.abc import Callable

from penstock.core.agents.declaration import Agent
from penstock.core.agents.gate import Gate, nobody
from penstock.ports.state import StateStore
from penstock.runtime.appending import Appender
from penstock.runtime.flow_lanes import FlowLanes
from penstock.runtime.lanes import Delivery, Lanes
from penstock.runtime.lines import GatedLine, Line
from penstock.runtime.services import Services
from penstock.runtime.tasks import Tasks

Begin = Callable[[Delivery, Line], None]

IN_FLIGHT_MAX = 1024
OWN_PLACES = 16  # places that each agent has for itself, whatever the others take


class Places:
    """Who has a place, and the lines of those who wait for one."""

    def __init__(self, services: Services, store: StateStore, tasks: Tasks, appender: Appender, begin: Begin) -> None:
        self._services = services
        self._store = store
        self._tasks = tasks
        self._appender = appender
        self._begin = begin
        self._committer = services.committer
        self.lines: dict[str, Line] = {}
        self.on_short: Callable[[], None] = nobody
        self._asking: deque[Line] = deque()  # lines that may have somebody to begin, in turn
        self._filling = False
        self._taken = 0

    @property
    def quiet(self) -> bool:
        """Whether nobody has a place, and nobody could take one."""
        return not self._taken and not self._asking

    def open(self, agent: Agent, key: str | None) -> None:
        """Have a line for an agent, of whose events `key` decides the partition."""
        flow = agent.options.flow
        if flow is None:
            self.lines.setdefault(agent.name, Line(agent))
            return
        if agent.name not in self.lines:
            partitions, shared = self._appender.partitions, self._appender.shared
            gate: Gate[Delivery] = Gate(flow, key=key, partitions=partitions, shared=shared)
            gate.on_short = self.on_short
            line = self.lines[agent.name] = GatedLine(agent, gate, self._services, self._store, self._tasks)
            line.turn = self.turned

    def drop(self, agent: Agent, lanes: Lanes, partition: int) -> None:
        """Forget those of an agent that wait in a partition: its next owner handles them."""
        line = self.lines[agent.name]
        line.drop(partition)
        if isinstance(lanes, FlowLanes):
            for delivery in lanes.drop():
                delivery.dropped = True
                line.closed(delivery)

    def start(self, delivery: Delivery) -> None:
        """Begin a delivery whose turn has come, when there is room."""
        line = self.lines[delivery.agent.name]
        if self._has_place(line) and not self._filling and not isinstance(line, GatedLine):
            self._begin(delivery, line)
            return
        line.put(delivery)
        self.turned(line)

    def take(self, delivery: Delivery, line: Line) -> None:
        """One more of this line is under way."""
        self._taken += 1
        line.joined(delivery)

    def leave(self, delivery: Delivery, line: Line) -> None:
        """An attempt has ended: its place is free."""
        self._taken -= 1
        line.left(delivery)
        if isinstance(line, GatedLine):
            self.ask(line)

    def ask(self, line: Line) -> None:
        """Ask this line too for its next one, when `fill` is called."""
        if not line.listed:
            line.listed = True
            self._asking.append(line)

    def turned(self, line: Line) -> None:
        """Something changed for those who wait in a line."""
        self.ask(line)
        self.fill()

    def fill(self) -> None:
        """Give the free places to the lines in turn, until there is none or nobody who may have one."""
        asking, passed = self._asking, 0
        if self._filling or not asking:
            return
        self._filling = True
        while passed < len(asking):
            line = asking.popleft()
            if not self._has_place(line):
                asking.append(line)
                passed += 1
                continue
            delivery = line.next()
            if delivery is None:
                line.listed = False
                continue
            asking.append(line)
            passed = 0
            self._begin(delivery, line)
        self._filling = False

    def _has_place(self, line: Line) -> bool:
        return (self._taken < IN_FLIGHT_MAX or line.running < OWN_PLACES) and not self._committer.full
