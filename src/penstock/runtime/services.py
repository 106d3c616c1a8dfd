"""The parts of an engine that a handler's context works with."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from penstock.core.agents.control import AnswerTask, EventHeard, StopMachine
from penstock.core.agents.forgetting import Receipt
from penstock.core.events.envelope import Envelope, Recorded
from penstock.core.knowledge.generation_events import BuildGeneration, VerifyKnowledge
from penstock.core.knowledge.generations import Generation
from penstock.core.telemetry.meters import Meters
from penstock.errors import Missing
from penstock.ports.clock import Clock
from penstock.runtime.activities import Activities
from penstock.runtime.collection import Collection
from penstock.runtime.committer import Committer
from penstock.runtime.listeners import Listeners
from penstock.runtime.machine_tasks import Outside
from penstock.runtime.memory import Memory
from penstock.runtime.models import Models
from penstock.runtime.questions import Questions
from penstock.runtime.releases import Piece, Releases
from penstock.runtime.routing import LiveRouter
from penstock.runtime.streams import Streams
from penstock.runtime.timers import Timers
from penstock.runtime.tracing import Traces
from penstock.runtime.write_points import Reached, StandIn, unwatched


def unobserved(run_id: str, step: str) -> None:
    """Stand in for nobody who watches steps being executed."""


Outlived = Callable[[str], Awaitable[None]]


class PassingOnward(Protocol):
    """What is said to runs of other partitions."""

    async def passed_on(self, run: str, said: Recorded) -> bool: ...


class RunControl(Protocol):
    """What can be said to runs."""

    @property
    def passing_on(self) -> PassingOnward: ...
    async def answered(self, run_id: str, step: str, by: str) -> None: ...
    async def signal(self, run_id: str, tenant: str, name: str, payload: Any) -> None: ...
    async def heard(self, said: EventHeard, tenant: str) -> None: ...
    @property
    def listeners(self) -> Listeners: ...
    async def cancel(self, run_id: str, tenant: str, reason: str) -> None: ...
    async def to_machine(self, said: StopMachine | AnswerTask, tenant: str) -> str: ...
    async def cancel_timer(self, timer_id: str, tenant: str) -> bool: ...
    def followed(self, run_id: str) -> None: ...


class GenerationControl(Protocol):
    """What can be said to the generations of a collection."""

    async def build(self, said: BuildGeneration, asked_by: str) -> Generation: ...
    async def switch(self, number: int, grace_ms: int, asked_by: str) -> Generation: ...
    async def drop(self, number: int, reason: str) -> Generation: ...
    async def verify(self, said: VerifyKnowledge) -> dict[str, Any]: ...
    def turn(self, number: int) -> asyncio.Lock: ...
    async def look(self) -> None: ...


class ForgettingControl(Protocol):
    """Who has all go that is about somebody."""

    async def forget(self, tenant: str, name: str, asked_by: Envelope) -> Receipt: ...
    async def let_go(self, tenant: str, name: str) -> None: ...


@dataclass(slots=True)
class Services:
    """Handed to every context."""

    clock: Clock
    committer: Committer
    memory: Memory
    releases: Releases
    models: Models
    timers: Timers
    streams: Streams
    questions: Questions
    listeners: Listeners
    executing: Callable[[str, str], None] = unobserved
    collections: dict[str, Collection] = field(default_factory=dict[str, Collection])
    keepers: dict[str, GenerationControl] = field(default_factory=dict[str, GenerationControl])
    control: RunControl | None = None
    forgetting: ForgettingControl | None = None
    partitions: int = 1  # of the store
    meters: Meters = field(default_factory=Meters)
    reached: Reached = unwatched
    traces: Traces | None = None  # where the app is traced
    stand_in: StandIn | None = None  # answers in place of the functions of steps
    outlived: Outlived | None = (
        None  # waits until what a run recorded outlives the process, where a commit does not say that
    )
    outside: Outside = field(default_factory=Outside)  # what state machines call
    routers: Mapping[str, LiveRouter] = field(default_factory=dict[str, LiveRouter])
    activities: Activities = field(default_factory=Activities)

    def collection(self, name: str) -> Collection:
        """Return a collection of the app; `Missing` when it declares none of that name."""
        found = self.collections.get(name)
        if found is None and not name and len(self.collections) == 1:
            (found,) = self.collections.values()  # what names none is of the only one
        if found is None:
            raise Missing(f"the knowledge collection {name!r}", f"declare it: app.knowledge({name!r})")
        return found

    def router(self, name: str) -> LiveRouter:
        """Return a router of the app; `Missing` when it declares none of that name."""
        if name not in self.routers:
            raise Missing(f"the router {name!r}", f"declare it: app.router({name!r}, routes={{...}})")
        return self.routers[name]

    def keeper(self, name: str) -> GenerationControl:
        """Return who keeps the generations of a collection; `Missing` as above."""
        self.collection(name)
        return self.keepers[name]

    def told_when_durable(self, correlation_id: str, piece: Piece) -> None:
        """Tell listeners after the next commit."""
        self.committer.add(lambda: self.releases.tell(correlation_id, piece))
