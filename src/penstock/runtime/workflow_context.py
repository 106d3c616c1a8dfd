"""What a workflow has in its hands: steps, calls of agents, waiting, branches.

Whatever it waits for is recorded when it comes, so a workflow that is resumed runs from its first line, finds all that came
before in the journal, and goes on where it was. Between the operations of this class it may do what it likes, as long as
the same records lead it the same way.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from typing import Any, ParamSpec, TypeVar, overload

import msgspec

from penstock.core.agents.declaration import Agent
from penstock.core.agents.journal import decode_value, shaped
from penstock.core.events.envelope import Envelope
from penstock.core.events.event import Event
from penstock.errors import LimitReached, Refused, RunFailed, TimedOut
from penstock.runtime.models import BoundModel
from penstock.runtime.run_streams import Teller
from penstock.runtime.services import Services
from penstock.runtime.steps import WorkflowSteps, scope
from penstock.runtime.streams import StreamWriter
from penstock.runtime.workflow_run import Calls, WorkflowRun

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
BRANCHES_MAX = 100_000


class WorkflowContext:
    """One life of one workflow run."""

    __slots__ = ("_calls", "_partition", "_run", "_services", "_steps", "_teller", "over")

    def __init__(self, run: WorkflowRun, calls: Calls, services: Services, partition: int) -> None:
        self._run = run
        self._calls = calls
        self._services = services
        self._steps = WorkflowSteps(run.run_id, run.journal, run.cause, services)
        self._partition = partition
        self.over = False  # tasks that it left behind may still run

    @property
    def run_id(self) -> str:
        return self._run.run_id

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

    @overload
    async def step(self, name: str, call: Callable[P, Awaitable[R]], /, *args: P.args, **options: P.kwargs) -> R: ...
    @overload
    async def step(self, name: str, call: Callable[P, R], /, *args: P.args, **options: P.kwargs) -> R: ...
    async def step(self, name: str, call: Callable[..., Any], /, *args: Any, **options: Any) -> Any:
        """Call something outside once, and remember what it returned. It begins when all that led to it is durable (C7)."""
        return await self._steps.execute(name, call, args, options, effects=True)

    async def read(self, name: str, call: Callable[..., Any], /, *args: Any, **options: Any) -> Any:
        """A step whose call changes nothing outside: it need not wait for durability."""
        return await self._steps.execute(name, call, args, options, effects=False)

    def idempotency_key(self, name: str) -> str:
        """Return the key of the *next* call of step `name`: the same each time the run is resumed."""
        return f"{self.run_id}/{self._run.journal.upcoming_step(scope.get() + name)}"

    async def call(self, agent: str, event: Event) -> Any:
        """Have an agent (or another workflow) handle an event, and return what it returns. `RunFailed` when it gave up."""
        step = self._run.journal.next_step(f"{scope.get()}call:{agent}")
        taker = self._calls.taker(agent, event)
        if self._run.journal.find(step) is None:
            if self._run.journal.find(f"{step}/sent") is None:
                self._calls.send(self._run, step, agent, event)
            await self._run.arrival(step)
        return _returned(self._run, step, taker)

    def emit(self, event: Event, *, key: str | None = None) -> None:
        """Append an event to its topic with the next commit, once."""
        step = self._run.journal.next_step(f"{scope.get()}emit")
        if self._run.journal.find(step) is None:
            self._calls.emit(self._run, step, event, key)

    async def sleep(self, delay_s: float) -> None:
        """Wait, over restarts too."""
        now_ms = self._services.clock.now_ms()
        due_ms = self._recorded_once("sleep", now_ms + int(delay_s * 1000))
        # A clock that was set back must not make it longer than asked.
        await self._services.clock.sleep(min(delay_s, max(0.0, (due_ms - now_ms) / 1000)))

    async def wait_for(self, name: str, to: Any = Any, *, timeout_s: float | None = None) -> Any:
        """Wait for a signal, and return its payload as type `to`; `TimedOut` when none came in time.

        Signals of one name are taken in the order in which they came, also those that came before they were waited for.
        """
        run = self._run
        step = run.journal.next_step(f"signal:{name}")
        if timeout_s is not None:
            await self._await_until(step, timeout_s)
        elif run.journal.find(step) is None:
            await run.arrival(step)
        found = run.journal.find(step)
        assert found is not None
        came: dict[str, Any] = decode_value(found, dict[str, Any])
        if "timed_out_s" in came:
            raise TimedOut(f"waiting for the signal {name!r}", came["timed_out_s"])
        return came["payload"] if to is Any else shaped(came["payload"], to)

    async def gather(self, *branches: Awaitable[T]) -> list[T]:
        """Go on with all branches side by side, and return what they return, in their order. The first error ends all."""
        return await _side_by_side(self._run.journal.next_step(f"{scope.get()}gather"), branches)

    async def map(self, call: Callable[[Any], Awaitable[T]], items: Sequence[Any], *, limit: int = 100) -> list[T]:
        """Call for each item, at most `limit` at once, and return the results in the order of the items."""
        if len(items) > BRANCHES_MAX:
            raise LimitReached("the number of branches", len(items), BRANCHES_MAX)
        name = self._run.journal.next_step(f"{scope.get()}map")
        places = asyncio.Semaphore(limit)

        async def one(item: Any) -> T:
            async with places:
                return await call(item)

        return await _side_by_side(name, [one(item) for item in items])

    async def first(self, *branches: Awaitable[T]) -> tuple[int, T]:
        """Go on with all branches until one ends: return its number and what it returned. The others are cancelled."""
        journal = self._run.journal
        name = journal.next_step(f"{scope.get()}first")
        tasks = [asyncio.ensure_future(_branch(f"{name}[{n}]/", each)) for n, each in enumerate(branches)]
        try:
            found = journal.find(name)
            if found is not None:
                winner: int = decode_value(found, int)
                await asyncio.wait([tasks[winner]])
            else:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                winner = next(number for number, task in enumerate(tasks) if task.done())
                self._steps.record(name, winner)
            return winner, tasks[winner].result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def version(self, change: str, newest: int) -> int:
        """Return which version of a part of the workflow this run follows: `newest` for runs that come here first now."""
        return self._recorded_once(f"version:{change}", newest)

    def now_ms(self) -> int:
        """Return the time, the same each time the run is resumed."""
        return self._recorded_once("now", self._services.clock.now_ms())

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

    def _recorded_once(self, name: str, value: int) -> int:
        step = self._run.journal.next_step(scope.get() + name)
        found = self._run.journal.find(step)
        if found is not None:
            return decode_value(found, int)
        self._steps.record(step, value)
        return value

    async def _await_until(self, step: str, timeout_s: float) -> None:
        """Wait for the signal until its time is up, which is then recorded in its place."""
        run, clock = self._run, self._services.clock
        now_ms = clock.now_ms()
        known = run.journal.find(f"{step}/until")
        due_ms = now_ms + int(timeout_s * 1000) if known is None else decode_value(known, int)
        if known is None:
            self._steps.record(f"{step}/until", due_ms)
        if run.journal.find(step) is not None:
            return
        try:
            async with asyncio.timeout(min(timeout_s, max(0.0, (due_ms - now_ms) / 1000))):
                await run.arrival(step)
        except TimeoutError:
            if run.journal.find(step) is None:
                self._steps.record(step, {"timed_out_s": timeout_s})


def teller_of(run: WorkflowRun, partition: int) -> Teller:
    """Return the run as one that tells on its way."""
    cause = run.cause
    return Teller(run.run_id, cause.tenant, partition, cause.correlation_id or cause.id, run.journal, run.attempt)


async def _branch(name: str, work: Awaitable[T]) -> T:
    scope.set(name)  # of this task only
    return await work


async def _side_by_side(name: str, branches: Iterable[Awaitable[T]]) -> list[T]:
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(_branch(f"{name}[{number}]/", each)) for number, each in enumerate(branches)]
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]


def _returned(run: WorkflowRun, step: str, agent: Agent) -> Any:
    found = run.journal.find(step)
    assert found is not None
    outcome: dict[str, Any] = decode_value(found, dict[str, Any])
    if "failed" in outcome:
        raise RunFailed(outcome["run_id"], outcome["failed"])
    body: bytes = outcome["result"]
    if not body:
        return None
    returns = agent.returns
    if isinstance(returns, type) and issubclass(returns, Event):
        return shaped(msgspec.json.decode(body), returns)  # its version is not told
    plain = msgspec.json.decode(body)
    return plain if agent.emits or returns is Any else shaped(plain, returns)


Workflow = Callable[[Any, WorkflowContext], Coroutine[Any, Any, Any]]
