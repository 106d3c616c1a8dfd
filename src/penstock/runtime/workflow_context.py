"""What a workflow has in its hands: steps, calls of agents, waiting, branches.

Whatever it waits for is recorded when it comes, so a workflow that is resumed runs from its first line, finds all that came
before in the journal, and goes on where it was. Between the operations of this class it may do what it likes, as long as
the same records lead it the same way.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from types import CoroutineType
from typing import Any, Literal, NoReturn, ParamSpec, TypeVar, overload

import msgspec

from penstock.core.agents.approvals import Approval, OnTimeout
from penstock.core.agents.control import Cancel, Signal
from penstock.core.agents.declaration import Agent
from penstock.core.agents.journal import decode_value, shaped
from penstock.core.events.envelope import Envelope
from penstock.core.events.event import Event
from penstock.errors import Invalid, Refused, RunFailed
from penstock.runtime import approving, branches, continuing, waiting
from penstock.runtime.exposing import exposed
from penstock.runtime.hearing import Listener, Match, listening
from penstock.runtime.models import BoundModel
from penstock.runtime.operations import Calls, Operations
from penstock.runtime.run_streams import Teller
from penstock.runtime.services import Services
from penstock.runtime.steps import scope
from penstock.runtime.streams import StreamWriter
from penstock.runtime.workflow_run import WorkflowRun

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
E = TypeVar("E", bound=Event)
OnEnd = Literal["cancel", "leave"]


class WorkflowContext:
    """One life of one workflow run."""

    __slots__ = ("_calls", "_operations", "_partition", "_run", "_services", "_teller", "over")

    def __init__(
        self,
        run: WorkflowRun,
        calls: Calls,
        services: Services,
        partition: int,
        operations: Operations | None = None,
    ) -> None:
        self._run = run
        self._calls = calls
        self._services = services
        self._partition = partition
        self.over = False  # tasks that it left behind may still run
        self._operations = operations or Operations(run, calls, services)

    @property
    def run_id(self) -> str:
        return self._run.run_id

    @property
    def operations(self) -> Operations:
        """What all of this is made of, for those who write no workflow but lead one."""
        return self._operations

    @property
    def event(self) -> Envelope:
        """The envelope of the event that the run began with."""
        return self._run.cause

    @property
    def tenant(self) -> str:
        return self._run.cause.tenant

    @property
    def agent(self) -> str:
        """The name of the workflow."""
        return self._run.agent.name

    @property
    def journal_share(self) -> float:
        """How full the run's journal is, from 0 to 1: beyond 1 the run fails (C9)."""
        return self._run.journal.share

    @overload
    async def step(self, name: str, call: Callable[P, Awaitable[R]], /, *args: P.args, **options: P.kwargs) -> R: ...
    @overload
    async def step(self, name: str, call: Callable[P, R], /, *args: P.args, **options: P.kwargs) -> R: ...
    def step(self, name: str, call: Callable[..., Any], /, *args: Any, **options: Any) -> Any:
        """Call something outside once, and remember what it returned. It begins when all that led to it is durable (C7)."""
        return self._execute(name, call, args, options, effects=True)

    def read(
        self, name: str, call: Callable[..., Any], /, *args: Any, **options: Any
    ) -> "CoroutineType[Any, Any, Any]":
        """A step whose call changes nothing outside: it need not wait for durability."""
        return self._execute(name, call, args, options, effects=False)

    def idempotency_key(self, name: str) -> str:
        """Return the key of the *next* call of step `name`: the same each time the run is resumed."""
        journal = self._run.journal
        return f"{self.run_id}/{journal.named(journal.upcoming_step(scope.get() + name))}"

    async def call(self, agent: str, event: Event) -> Any:
        """Have an agent (or another workflow) handle an event, and return what it returns. `RunFailed` when it gave up.

        When nobody waits for it any more, since the run was made to end or another branch was first, it is cancelled.
        """
        operations, run = self._operations, self._run
        step = operations.ask(f"call:{agent}")
        taker = self._calls.taker(agent, event)
        if await operations.found(step) is None:
            if run.journal.find(f"{step}/sent") is None:
                self._calls.send(run, step, agent, event)
            await operations.under_way(step, run.arrival(step))
        return _returned(operations, step, taker)

    def start(self, workflow: str, event: Event, *, on_end: OnEnd = "cancel") -> "Started":
        """Begin a run of another workflow (or agent) beside this one, and return a handle to it.

        `on_end` says what becomes of it if it is still under way when this run ends: "cancel", or "leave" it alone.
        """
        operations = self._operations
        if on_end not in ("cancel", "leave"):
            raise Refused(f"on_end is {on_end!r}", "one of cancel, leave")
        step = operations.ask(f"start:{workflow}")
        taker = self._calls.taker(workflow, event)
        if self._run.journal.find(step) is None:
            self._calls.start(self._run, step, workflow, event, on_end)
        return Started(operations, step, taker, self._calls.called(self._run, step))

    def emit(self, event: Event, *, key: str | None = None) -> None:
        """Append an event to its topic with the next commit, once."""
        step = self._operations.ask("emit")
        if self._run.journal.find(step) is None:
            self._calls.emit(self._run, step, event, key)

    def signal(self, run_id: str, name: str, payload: Any = None) -> None:
        """Send a signal to another run with the next commit, once."""
        self.emit(Signal(run_id=run_id, name=name, payload=payload))

    def cancel(self, run_id: str, reason: str = "cancelled") -> None:
        """Have another run end where it is, with the next commit."""
        self.emit(Cancel(run_id=run_id, reason=reason))

    async def sleep(self, delay_s: float) -> None:
        """Wait, over restarts too."""
        await waiting.slept(self._operations, delay_s)

    @overload
    async def wait_for(self, what: str, to: Any = Any, *, timeout_s: float | None = None) -> Any: ...
    @overload
    async def wait_for(
        self, what: type[E], *, key: str | None = None, match: Match | None = None, timeout_s: float | None = None
    ) -> E: ...
    async def wait_for(
        self,
        what: "str | type[Event]",
        to: Any = Any,
        *,
        key: str | None = None,
        match: Match | None = None,
        timeout_s: float | None = None,
    ) -> Any:
        """Wait for a signal, or for an event, and return it; `TimedOut` when none came in time.

        A signal, by its name: its payload as type `to`. Signals of one name are taken in the order in which they came, also
        those that came before they were waited for. A wait that was given up takes none.

        An event, by its class: the first one that comes from now on with this `key`, and with these values in its fields
        (`match={"order": 7}`). What may come earlier is caught by `ctx.listen`. It reaches all who wait for it.
        """
        if isinstance(what, str):
            return await waiting.signalled(self._operations, what, to, timeout_s)
        listener = listening(self._operations, what, key, match, once=True)
        try:
            return await listener.next(timeout_s=timeout_s)
        finally:
            listener.close()

    def listen(self, event: type[E], *, key: str | None = None, match: Match | None = None) -> Listener[E]:
        """Keep the events of a class that come from now on, with this key and these values in their fields.

        `await listener.next(timeout_s=...)` takes the oldest one that came, or waits for it. It ends with `close`, or the run.
        """
        return listening(self._operations, event, key, match, once=False)

    @overload
    async def approval(
        self,
        title: str,
        *,
        payload: Any = None,
        timeout_s: float | None = None,
        on_timeout: OnTimeout = "raise",
    ) -> Approval[None]: ...
    @overload
    async def approval(
        self,
        title: str,
        *,
        payload: Any = None,
        to: type[T],
        timeout_s: float | None = None,
        on_timeout: OnTimeout = "raise",
    ) -> Approval[T | None]: ...
    @overload
    async def approval(
        self,
        title: str,
        *,
        payload: Any = None,
        options: Sequence[T],
        timeout_s: float | None = None,
        on_timeout: OnTimeout = "raise",
    ) -> Approval[T | None]: ...
    async def approval(self, title: str, *, payload: Any = None, **asked: Any) -> Approval[Any]:
        """Have a person approve something, and return what he said; the run waits, over restarts too.

        `payload` is shown to him. An approval has a value of type `to`, or one of the `options`; without them, none. `timeout_s`:
        how long it waits; then `TimedOut` is raised, or it counts as `on_timeout` says: "approve" or "reject".
        """
        return await approving.approved(self._operations, approving.requested(title, payload, asked))

    def expose(self, name: str, value: Any) -> None:
        """Let others see a value: `live.query(run_id, name)`; the newest of a name, also when the run has ended."""
        exposed(self._operations, name, value)

    async def gather(self, *branches_: Awaitable[T]) -> list[T]:
        """Go on with all branches side by side, and return what they return, in their order. The first error ends all."""
        return await branches.gathered(self._operations, branches_)

    async def map(self, call: Callable[[Any], Awaitable[T]], items: Sequence[Any], *, limit: int = 100) -> list[T]:
        """Call for each item, at most `limit` at once, and return the results in the order of the items."""
        return await branches.mapped(self._operations, call, items, limit)

    async def first(self, *branches_: Awaitable[T]) -> tuple[int, T]:
        """Go on with all branches until one ends: return its number and what it returned.

        The others are cancelled, with the agents and workflows that they were waiting for.
        """
        return await branches.first_of(self._operations, branches_)

    async def shielded(self, work: Awaitable[T]) -> T:
        """Do `work` to its end, even if the run is made to end meanwhile: for what belongs together, or undoes something."""
        return await branches.shielded(self._operations, work)

    async def continue_as(self, event: Event) -> NoReturn:
        """End here, and have the run go on from the workflow's first line with another event, by the newest code.

        Its id and its key stay, so whoever waits for its result gets the last one's; its journal begins anew. Signals that
        nobody took are carried over. What it had begun is dealt with as at its end: calls and children are cancelled, but for
        those to be left alone. Of what follows here only `finally` is executed, and may not ask for anything.
        """
        await continuing.continued(self._operations, event)

    def version(self, change: str, newest: int) -> int:
        """Return which version of a part of the workflow this run follows: `newest` for runs that come here first now."""
        return waiting.recorded_once(self._operations, f"version:{change}", newest)

    def now_ms(self) -> int:
        """Return the time, the same each time the run is resumed."""
        return waiting.recorded_once(self._operations, "now", self._services.clock.now_ms())

    def model(self, name: str = "default") -> BoundModel:
        """Return a model of the app, whose answers are steps of this run."""
        return self._services.models.bound(name, self)

    def tell(self, text: str, *, name: str = "") -> None:
        """Show a piece of an answer to whoever follows the run, at once: `ctx.stream().write(text)`."""
        self._services.streams.token(self._telling(), "", text, name)

    def stream(self, name: str = "") -> StreamWriter:
        """Return a stream of this run to write to. What is told outside of a step is told again when the run is resumed."""
        return StreamWriter(self._services.streams, self._telling, name)

    def _telling(self) -> Teller:
        if self.over:
            raise Refused("the run has ended", "await in the workflow what it starts")
        try:
            return self._teller
        except AttributeError:  # made when it is needed: most runs tell nothing
            self._teller = teller_of(self._run, self._partition)
            return self._teller

    async def _execute(
        self, name: str, call: Callable[..., Any], args: tuple[Any, ...], options: dict[str, Any], *, effects: bool
    ) -> Any:
        operations = self._operations
        step, is_known = operations.upcoming(name)
        if is_known:
            try:
                return await operations.steps.execute(name, call, args, options, effects=effects)
            except Invalid as error:
                operations.misfit(step, error)
        if not operations.may_begin(step):
            return await operations.rest(operations.ask(name))
        under_way = self._run.under_way  # as `Operations.under_way` does it, with a coroutine less for every step
        under_way[step] = None
        try:
            return await operations.steps.execute(name, call, args, options, effects=effects)
        except asyncio.CancelledError:
            operations.cut_off(step)
            raise
        finally:
            under_way.pop(step, None)


def teller_of(run: WorkflowRun, partition: int) -> Teller:
    """Return the run as one that tells on its way."""
    cause = run.cause
    return Teller(run.run_id, cause.tenant, partition, cause.correlation_id or cause.id, run.journal, run.attempt)


class Started:
    """A run that was begun beside this one."""

    __slots__ = ("_operations", "_step", "_taker", "run_id")

    def __init__(self, operations: Operations, step: str, taker: Agent, run_id: str) -> None:
        self._operations = operations
        self._step = f"{step}/result"
        self._taker = taker
        self.run_id = run_id

    async def result(self) -> Any:
        """Wait for its end, and return what it returns; `RunFailed` when it failed or was cancelled."""
        operations = self._operations
        step = operations.ask(f"result:{self._taker.name}")
        if await operations.found(step) is None:
            if operations.journal.find(self._step) is None:
                await operations.under_way(step, operations.run.arrival(self._step))
            operations.record(step, True)  # from now on it has come, wherever the run is resumed
        return _returned(operations, self._step, self._taker)


def _returned(operations: Operations, step: str, agent: Agent) -> Any:
    found = operations.journal.find(step)
    assert found is not None
    outcome: dict[str, Any] = decode_value(found, Any)
    if "failed" in outcome:
        raise RunFailed(outcome["run_id"], outcome["failed"])
    body: bytes = outcome["result"]
    if not body:
        return None
    returns = agent.returns
    try:
        if isinstance(returns, type) and issubclass(returns, Event):
            return shaped(msgspec.json.decode(body), returns)  # its version is not told
        plain = msgspec.json.decode(body)
        return plain if agent.emits or returns is Any else shaped(plain, returns)
    except Invalid as error:
        operations.misfit(step, error)


Workflow = Callable[[Any, WorkflowContext], Coroutine[Any, Any, Any]]
