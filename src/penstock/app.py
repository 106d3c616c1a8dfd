"""An app: agents, knowledge and models under one name. Declaring it opens nothing; `running` does."""

import asyncio
import inspect
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar, Unpack, overload

import msgspec

from penstock.core.agents.comparing import Verdict
from penstock.core.agents.control import Cancel, Signal
from penstock.core.agents.declaration import Agent, Handler, WorkflowOptions, declared, declared_workflow
from penstock.core.agents.flow import Flow
from penstock.core.agents.pieces import Piece
from penstock.core.agents.policy import DEFAULT_RETRY, Retry
from penstock.core.agents.resources import Resources
from penstock.core.agents.retention import DEFAULT_RETENTION, Retention, require_valid
from penstock.core.agents.unit import DeadLetter
from penstock.core.events.event import Event
from penstock.core.timing.plans import EventMaker, Plan, PlanOptions, planned
from penstock.core.timing.timers import when
from penstock.errors import Finding, Invalid
from penstock.loading import load, read_documents
from penstock.ports.chat_model import ChatModel
from penstock.ports.clock import Clock
from penstock.ports.state import ALL_DEAD, DeadFilter
from penstock.runtime.asking_again import UNSIGNED, AskingAgain, Fork, Signature
from penstock.runtime.buses import ForBuses
from penstock.runtime.declaring import DeclaresKnowledge, require_app_name
from penstock.runtime.declaring_machines import DeclaresServices
from penstock.runtime.declaring_reach import DeclaresReach
from penstock.runtime.engine import running
from penstock.runtime.forgetting_doors import ForSubjects
from penstock.runtime.front import REPLY_WAIT_S
from penstock.runtime.keeping_time import ForTime
from penstock.runtime.knowledge import OpenKnowledge
from penstock.runtime.machine_doors import ForMachines
from penstock.runtime.machines import (
    Definition,
    MachineOptions,
    StateMachine,
    declared_machine,
    folder_of,
    required_machine,
    source_of,
    without_definition,
)
from penstock.runtime.memories import OpenMemories, open_memories
from penstock.runtime.people import ForPeople
from penstock.runtime.pipelines import DeclaresStreams
from penstock.runtime.replaying import History, Stretch, replayed
from penstock.runtime.routers import OpenRouter
from penstock.runtime.services import unobserved
from penstock.runtime.topology import Topology
from penstock.settings import Settings, in_scratch, settings
from penstock.wiring import Declared, opened

E = TypeVar("E", bound=Event)
H = TypeVar("H", bound=Handler)


class App(DeclaresKnowledge, DeclaresServices, DeclaresReach, DeclaresStreams):
    """What a user writes: `app = App("support")`, and then its agents.

    `prompts`: the folder of the prompt files; `events`: types that no agent takes or emits; `retention`: how long it is kept.
    """

    def __init__(
        self,
        name: str,
        *,
        prompts: str | Path | None = None,
        events: Sequence[type[Event]] = (),
        retention: Retention = DEFAULT_RETENTION,
    ) -> None:
        require_app_name(name)
        require_valid(retention, f"app {name!r}")
        self.name = name
        self.source = source_of(inspect.currentframe())  # executed by hosts too
        self._retention = retention
        self.agents: dict[str, Agent] = {}
        self.schedules: dict[str, Plan] = {}
        self._events = tuple(events)
        self._prompts = None if prompts is None else Path(prompts)
        DeclaresKnowledge.__init__(self)
        DeclaresServices.__init__(self)
        DeclaresReach.__init__(self)
        DeclaresStreams.__init__(self)
        self._models: dict[str, str | ChatModel] = {}

    @overload
    def agent(self, handler: H, /) -> H: ...
    @overload
    def agent(
        self,
        /,
        *,
        name: str = "",
        key: str | None = None,
        retry: Retry = DEFAULT_RETRY,
        timeout_s: float = 300.0,
        batch: int = 0,
        flow: Flow | None = None,
        retention: Retention | None = None,
        pattern: Mapping[str, object] | None = None,
        resources: Resources | None = None,
    ) -> Callable[[H], H]: ...
    def agent(self, handler: H | None = None, /, *, name: str = "", **options: Any) -> H | Callable[[H], H]:
        """Declare an async function as an agent: its annotations say which events it takes and emits.

        `key`: the field whose value orders its events; `retry`: what follows a failure; `timeout_s`: of one attempt;
        `batch`: take up to so many events at once, as a list; `flow`: how many handlings go on at once, how fast they
        begin, who is first, and what becomes of an event whose key is busy; `retention`: how long its runs and journals are
        kept; `pattern`: take only events that match; `resources`: for a host (`host=ray://...`). Raises `Invalid`, all findings.
        """

        def added(function: H) -> H:
            # What is no function has no name: it is said what is wrong with it.
            self._add(declared(function, name or getattr(function, "__name__", ""), options))
            return function

        return added if handler is None else added(handler)

    @overload
    def workflow(self, handler: H, /) -> H: ...
    @overload
    def workflow(self, /, *, name: str = "", **options: Unpack[WorkflowOptions]) -> Callable[[H], H]: ...
    @overload
    def workflow(self, name: str, /, *, definition: Definition, **options: Unpack[MachineOptions]) -> StateMachine: ...
    def workflow(
        self, handler: H | str | None = None, /, *, name: str = "", definition: Any = None, **given: Any
    ) -> H | Callable[[H], H] | StateMachine:
        """Declare an async function of an event and a `WorkflowContext` as a workflow; or a state machine, by its definition.

        A run begins with the event and may wait for days: for agents that it calls, timers, signals. It survives restarts.
        `version`: declare several under one name, and runs go on with the one that they began with; new ones begin with the
        newest. `timeout_s`: how long a run may take in all, from its event on; then it fails. `flow`: how many runs go on at
        once, how fast they begin, who is first; `retention`: how long ended runs and their journals are kept; `pattern`:
        begin a run only for events whose fields match it.

        `app.workflow("qa", definition="qa.asl.json")` declares a state machine of the Amazon States Language: the path of its
        definition in JSON or YAML, relative to the app's file, the document, or a built `Machine`. `accepts`: events that begin
        runs too, with their data as the input; `substitutions`: values for `${NAME}`; `express`: refuse what an express machine
        may not have.
        """
        if definition is not None:
            called = name if handler is None else str(handler)
            agent = declared_machine(called, definition, folder_of(inspect.currentframe()), given)
            self._add(agent)
            return required_machine(agent)
        if isinstance(handler, str):
            raise without_definition(handler)

        def added(function: H) -> H:
            self._add(declared_workflow(function, name or getattr(function, "__name__", ""), given))
            return function

        return added if handler is None else added(handler)

    def _add(self, agent: Agent) -> None:
        known = self.agents.get(agent.name)
        together = agent if known is None else known.beside(agent)
        if together is None:
            finding = Finding("name", f"{agent.name!r} is taken by another agent", "give name=...")
            raise Invalid(f"app {self.name!r}", (finding,))
        self.agents[agent.name] = together

    def schedule(
        self, name: str, expression: str, *, event: Event | EventMaker, **options: Unpack[PlanOptions]
    ) -> None:
        """Have an event appended again and again: `rate(5 minutes)`, `cron(0 3 * * ? *)`, `at(...)` or crontab's five fields.

        `event`: the event, or a function that makes one from the due time. `timezone`: an IANA name. `catch_up`: what follows
        after the app was down: "latest" (one event), "all" (the last `catch_up_max` of them) or "none". `jitter_s`: fire up to
        so much later, evenly spread. `start`, `end`: bounds. `overlap="skip"`: leave one out while the last one is handled.
        Raises `Invalid` with all findings.
        """
        if name in self.schedules:
            finding = Finding("name", f"{name!r} is taken by another schedule", "rename it")
            raise Invalid(f"app {self.name!r}", (finding,))
        self.schedules[name] = planned(name, expression, event, options)

    def model(self, name: str, model: "str | ChatModel") -> None:
        """Name a chat model for `ctx.model(name)`: a provider string such as "openai:NAME", or a model itself."""
        self._models[name] = model

    @property
    def declared(self) -> Declared:
        """All that was declared so far, for whoever opens the app's parts."""
        return Declared(
            self.name,
            self.agents | self.stream_agents(self.agents),
            self._events,
            self.collections,
            self._models,
            self._prompts,
            self.schedules,
            self._retention,
            self.embedders,
            self.on_change,
            self.registry,
            self.outside,
            self.reach,
            self.routers,
            self.rerankers,
            self.source,
            self.streams,
            self.tracer_provider,
        )

    @asynccontextmanager
    async def running(
        self,
        chosen: Settings | None = None,
        *,
        clock: Clock | None = None,
        executing: Callable[[str, str], None] = unobserved,
        beside: bool = False,
        **flags: str | None,
    ) -> AsyncGenerator["Running"]:
        """Run the app until the block is left. Flags are settings: `store="memory:"`, `model=...`, `embedder=...`.

        `executing` is called with run id and step each time a step is executed, and not when it is found in the journal.
        `beside`: share the store with other workers, as `penstock run --workers` does; it must have been divided.
        """
        chosen = settings(flags) if chosen is None else chosen
        beside = beside or bool(chosen.log)  # whoever comes over a broker is one of several, also alone
        reads = await asyncio.to_thread(read_documents, self.documents) if self.documents else {}
        async with (
            opened(self.declared, chosen, clock=clock, shared=beside) as parts,
            running(replace(parts, executing=executing), owner=self.name, beside=beside) as engine,
        ):
            await load(engine, reads)
            yield Running(self, engine)

    async def replay(
        self, history: History, stretch: Stretch, chosen: Settings | None = None, *, clock: Clock | None = None
    ) -> AsyncGenerator[Verdict]:
        """Replay a stretch of history against this app's code, prompts and models, and compare each run with what it was.

        It happens in a scratch store: `history` is only read, and nothing outside is changed. Settings say which models answer.
        """
        async with (
            opened(self.declared, in_scratch(chosen or settings()), clock=clock) as parts,
            running(replace(parts, topology=Topology({}), schedules=None, tracer=None), owner="replay") as scratch,
        ):
            async for verdict in replayed(history, parts.topology, scratch.services, stretch):
                yield verdict


@dataclass(frozen=True, slots=True)
class Running(ForPeople, ForTime, ForMachines, ForBuses, ForSubjects):
    """An app that runs: what callers from outside do with it."""

    app: App

    async def send(
        self,
        event: Event,
        *,
        id: str | None = None,
        tenant: str = "default",
        key: str | None = None,
        after_s: float | None = None,
        at: datetime | None = None,
    ) -> str:
        """Append an event, and return its id once it is durable. The same `id` twice is one event.

        `after_s`, `at`: so much later, or at a time on the wall, over restarts too. Until then its id is that of a timer.
        """
        chosen = None if after_s is None and at is None else when(after_s, at)
        return await self.engine.send(event, id=id, tenant=tenant, key=key, when=chosen)

    async def ask(
        self,
        event: Event,
        reply: type[E],
        *,
        id: str | None = None,
        tenant: str = "default",
        within_s: float = REPLY_WAIT_S,
    ) -> E:
        """Append an event and return the first `reply` that follows from it, once that is durable.

        Raises `RunFailed` when an agent on the way gave up, `TimedOut` when nothing came (the work goes on).
        """
        return await self.engine.ask(event, reply, id=id, tenant=tenant, within_s=within_s)

    async def call(
        self,
        agent: str,
        event: Event,
        *,
        id: str | None = None,
        tenant: str = "default",
        within_s: float = REPLY_WAIT_S,
    ) -> Any:
        """Append an event and return what `agent` returns for it, as plain data, once that is durable."""
        body = await self.engine.call(agent, event, id=id, tenant=tenant, within_s=within_s)
        return msgspec.json.decode(body) if body else None

    async def stream(
        self, id: str, *, name: str = "", from_offset: int = 0, tenant: str = "default"
    ) -> AsyncGenerator[Piece]:
        """Yield what a run tells on its way, to its end: `async for piece in live.stream(id)`.

        `id`: of the run, or of the event that it handles. First comes what was told from `from_offset` on, then what is told. A
        `reset` says which offsets no longer stand (`penstock.standing` drops them), the last piece, `ended`, how it ended.
        """
        follower = await self.engine.follow(id, name=name, from_offset=from_offset, tenant=tenant)
        async with aclosing(follower.pieces()) as pieces:
            async for piece in pieces:
                yield piece

    async def start(self, agent: str, event: Event, *, id: str | None = None, tenant: str = "default") -> str:
        """Append an event, and return the id of the run in which `agent` handles it, once that is durable."""
        return await self.engine.start(agent, event, id=id, tenant=tenant)

    async def result(self, run_id: str, *, tenant: str = "default", within_s: float = REPLY_WAIT_S) -> Any:
        """Return what a run returns, as plain data, now or when it has ended.

        `RunFailed`: it failed or was cancelled; `Diverged`: it has halted; `TimedOut`: it goes on.
        """
        body = await self.engine.result(run_id, tenant=tenant, within_s=within_s)
        return msgspec.json.decode(body) if body else None

    async def signal(
        self, run_id: str, name: str, payload: Any = None, *, id: str | None = None, tenant: str = "default"
    ) -> str:
        """Send a signal to a workflow run, and return its event's id once it is durable. The same `id` twice is one signal."""
        return await self.engine.send(Signal(run_id=run_id, name=name, payload=payload), id=id, tenant=tenant)

    async def cancel(
        self, run_id: str, reason: str = "cancelled", *, id: str | None = None, tenant: str = "default"
    ) -> str:
        """Have a run end where it is, with those that it waits for; return the event's id. A workflow may still clean up."""
        return await self.engine.send(Cancel(run_id=run_id, reason=reason), id=id, tenant=tenant)

    async def dead_letters(self, which: DeadFilter = ALL_DEAD) -> Sequence[DeadLetter]:
        """Return the newest dead letters: events that agents gave up on, and why."""
        return await self.engine.parts.store.dead_letters(which)

    async def redrive(
        self,
        *which: str | DeadFilter,
        fresh: bool = False,
        event: Event | None = None,
        signed: Signature = UNSIGNED,
        tenant: str | None = None,
    ) -> list[str]:
        """Have runs of dead letters (ids, or filters) tried again from what they recorded; return the runs that will be.

        `fresh`: without what they recorded; `event`: a new run with this one instead. A run keeps its id, so that receivers of
        its idempotency keys know it. It comes after the events of its key that wait already.
        """
        return await self.again.redrive(which, fresh=fresh, event=event, signed=signed, tenant=tenant)

    async def drop(
        self, *which: str | DeadFilter, signed: Signature = UNSIGNED, tenant: str | None = None
    ) -> list[str]:
        """Let dead letters go (ids of their runs, or filters), and return the ids of the runs, which stay as failed."""
        return await self.again.drop(which, signed=signed, tenant=tenant)

    async def fork(  # noqa: PLR0913 - each says how the fork differs
        self,
        run_id: str,
        at: str = "",
        *,
        event: Event | None = None,
        model: str = "",
        dry: bool = False,
        signed: Signature = UNSIGNED,
        tenant: str | None = None,
    ) -> str:
        """Begin a run that has what `run_id` recorded before step `at` and executes the rest anew; return its id.

        It handles `event`, if given, and asks `model` of the app, if given. `dry`: it changes nothing outside.
        """
        return await self.again.fork(run_id, Fork(at, event, model, dry), signed=signed, tenant=tenant)

    @property
    def again(self) -> AskingAgain:
        """The door to runs that are over."""
        return AskingAgain(self.engine, self.engine.parts.store, self.engine.parts.topology)

    def knowledge(self, name: str, *, tenant: str = "default") -> OpenKnowledge:
        """Return a collection to search and to write to."""
        return OpenKnowledge(name, self.engine, tenant)

    def memory(self, name: str = "memories", *, tenant: str = "default") -> OpenMemories:
        """Return a memory to recall from and to add to."""
        return open_memories(self.app.memories, name, self.engine, tenant)

    def router(self, name: str, *, tenant: str = "default") -> OpenRouter:
        """Return a router to ask."""
        return OpenRouter(name, self.engine, tenant)
