"""The deliveries whose turn has come, agent by agent: who of them begins next, and how many are being handled.

An agent without a flow has a plain line, which costs nothing but a count. One with a flow has a gate in it.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from penstock.core.agents.buckets import encode_bucket, restored_bucket
from penstock.core.agents.declaration import Agent
from penstock.core.agents.fair_queue import FairQueue
from penstock.core.agents.gate import Gate, Group, Ticket
from penstock.core.agents.unit import ValueWrite, Writes
from penstock.core.events.envelope import DEFAULT_TENANT, Envelope
from penstock.errors import Invalid
from penstock.ports.state import StateStore
from penstock.runtime.deadlines import Deadlines
from penstock.runtime.decoding import decoded_by, decoders_of
from penstock.runtime.lanes import Delivery
from penstock.runtime.services import Services
from penstock.runtime.tasks import Tasks

LOOKED_UP_AT_ONCE = 32


class Line:
    """The deliveries of one agent that wait for a place, in the order in which they came; tenants take turns."""

    __slots__ = ("_number", "_ready", "agent", "deadlines", "decoders", "listed", "running")

    def __init__(self, agent: Agent) -> None:
        self.agent = agent
        self.decoders = decoders_of(agent)
        self.deadlines = Deadlines(agent.options.timeout_s)
        self.running = 0  # handlings that hold a place
        self.listed = False  # whether it is among the lines that are asked for their next one
        self._ready: FairQueue[Delivery] = FairQueue()
        self._number = 0

    @property
    def waiting(self) -> int:
        """How many wait for a place, or for a limit."""
        return len(self._ready)

    def put(self, delivery: Delivery) -> None:
        """Let a delivery wait until `next` returns it."""
        self._number += 1
        self._ready.put(delivery.events[0].event.tenant, (0.0, self._number), delivery)

    def next(self) -> Delivery | None:
        """Return the next one that may begin; None: the line says by itself when one may."""
        return self._ready.pop() if len(self._ready) else None

    def joined(self, delivery: Delivery) -> None:  # noqa: ARG002 - for lines with a gate
        """An attempt has begun, or goes on after a pause, whatever the limits say by now."""
        self.running += 1

    def left(self, delivery: Delivery) -> None:  # noqa: ARG002 - for lines with a gate
        """An attempt has ended, or pauses."""
        self.running -= 1

    def closed(self, delivery: Delivery) -> None:
        """The delivery is done with."""

    def drop(self, partition: int) -> None:
        """Forget those of a partition that wait: its next owner handles them."""
        waiting = [self._ready.pop() for _ in range(len(self._ready))]
        for delivery in waiting:
            if delivery.partition != partition:
                self.put(delivery)


class GatedLine(Line):
    """Those who wait for the limits of the agent's flow as well. Tokens of a rate are spent durably before one begins."""

    __slots__ = ("_flow", "_looking", "_services", "_store", "_tasks", "_timer", "_timer_ms", "gate", "turn")

    def __init__(self, agent: Agent, gate: Gate[Delivery], services: Services, store: StateStore, tasks: Tasks) -> None:
        super().__init__(agent)
        self.gate = gate
        self._flow = gate.flow
        self._services = services
        self._store = store
        self._tasks = tasks
        self.turn: Callable[[Line], None] = _nobody
        self._timer: asyncio.TimerHandle | None = None
        self._timer_ms = 0
        self._looking = False

    @property
    def waiting(self) -> int:
        return self.gate.waiting

    @property
    def is_rated(self) -> bool:
        """Whether beginning spends tokens, which must be durable before."""
        return bool(self._flow.rates)

    def put(self, delivery: Delivery) -> None:
        self.gate.enter(self.ticket_of(delivery))

    def next(self) -> Delivery | None:
        now_ms = self._services.clock.now_ms()
        ticket = self.gate.next(now_ms)
        if self.gate.unknown and not self._looking:
            self._looking = self._tasks.start(self._look_up()) is not None
        if ticket is not None:
            return ticket.item
        due_ms = self.gate.due_ms
        if due_ms is not None and (self._timer is None or due_ms < self._timer_ms):
            self._wake_at(due_ms, now_ms)
        return None

    def joined(self, delivery: Delivery) -> None:
        super().joined(delivery)
        ticket = self.ticket_of(delivery)
        if ticket.state == "out":
            self.gate.admitted(ticket)

    def left(self, delivery: Delivery) -> None:
        super().left(delivery)
        if delivery.hold is not None and delivery.hold.ticket is not None:
            self.gate.leave(delivery.hold.ticket)

    def closed(self, delivery: Delivery) -> None:
        if delivery.hold is not None and delivery.hold.ticket is not None:
            self.gate.close(delivery.hold.ticket)
            delivery.hold.ticket = None

    def drop(self, partition: int) -> None:
        """Those who wait here are forgotten one by one, by their lanes."""

    def ticket_of(self, delivery: Delivery) -> Ticket[Delivery]:
        """Return the ticket of a delivery, which stays the same over its attempts."""
        hold = delivery.hold
        assert hold is not None, "its lanes give it one"
        if hold.ticket is None:
            recorded = delivery.events[0]
            event = recorded.event
            values = self._values(event) if self._flow.fields else {}
            hold.ticket = self.gate.ticket(delivery, event.tenant, event.time_ms, values, recorded.position.partition)
        return hold.ticket

    def _values(self, event: Envelope) -> dict[str, Any]:
        """Return the fields of an event, as the newest version has them; none for one that cannot be read."""
        try:
            read = decoded_by(self.decoders, self.agent, event)
        except Invalid:
            return {}  # the handling will say what is wrong with it
        return {name: getattr(read, name) for name in self._flow.fields}

    def spend(self, delivery: Delivery, writes: Writes) -> None:
        """Write what is left in the buckets from which this delivery took."""
        for group in self.ticket_of(delivery).kin.groups:
            if group.bucket is not None:
                writes.values.append(self._write(group, encode_bucket(group.bucket)))
        while self.gate.forgotten:
            writes.values.append(self._write(self.gate.forgotten.pop(), None))

    def _write(self, group: Group[Delivery], body: bytes | None) -> ValueWrite:
        return ValueWrite(*self._place(group), f"rate{group.rule}", body)

    def _place(self, group: Group[Delivery]) -> tuple[str, str, str]:
        """Return under which tenant, agent and key its bucket is stored: no agent's name has a colon."""
        return group.tenant or DEFAULT_TENANT, f"flow:{self.agent.name}", group.name

    async def _look_up(self) -> None:
        while self.gate.unknown:
            some = self.gate.unknown[:LOOKED_UP_AT_ONCE]
            del self.gate.unknown[:LOOKED_UP_AT_ONCE]
            await asyncio.gather(*(self._learn(group) for group in some))
            self.turn(self)
        self._looking = False

    async def _learn(self, group: Group[Delivery]) -> None:
        known = await self._store.values(*self._place(group))
        bucket = self.gate.declared_bucket(group, self._services.clock.now_ms())
        body = known.get(f"rate{group.rule}")
        self.gate.learned(group, bucket if body is None else restored_bucket(body, bucket))

    def _wake_at(self, due_ms: int, now_ms: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_ms = due_ms
        self._timer = asyncio.get_running_loop().call_later(max(0, due_ms - now_ms) / 1000, self._wake)

    def _wake(self) -> None:
        self._timer = None
        if not self._tasks.ending:
            self.turn(self)


def _nobody(line: Line) -> None:
    """Stand in for an engine that is not running yet."""


def cut_off(delivery: Delivery, error: asyncio.CancelledError) -> BaseException:
    """Return why a handler was cancelled, which the engine does to one that takes too long or is stopped."""
    if delivery.watched.ran_out:
        delivery.watched.task.uncancel()
        return TimeoutError(f"no result within timeout_s={delivery.agent.options.timeout_s:g}")
    if delivery.stopped:
        delivery.watched.task.uncancel()
    return error  # or the handler cancelled itself, or had itself cancelled
