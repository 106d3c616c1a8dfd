"""The worker's side of a host: it calls handlers and the functions of their steps, and asks the engine for the rest.

It decides nothing: whether a step is executed, what is recorded, and what counts, is said by the engine. It may die at any
moment, and nothing is lost but what it was doing.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import msgspec

from penstock.core.agents.declaration import Agent
from penstock.core.agents.journal import decode_value, encode_value
from penstock.core.agents.tools import Attempt, NotDone, Reconcile, Skip, Tool
from penstock.core.events import codec
from penstock.core.events.envelope import Recorded
from penstock.core.hosting.faults import error_of, fault_of
from penstock.core.hosting.messages import (
    Answer,
    Ask,
    Beat,
    Ended,
    Execute,
    FromWorker,
    Handle,
    Leave,
    Left,
    Outcome,
    Step,
    Stop,
    Told,
    ToolForm,
    decode_to_worker,
    encode_batch,
)
from penstock.errors import Missing
from penstock.ports.clock import Clock
from penstock.runtime.calling import called, is_awaitable, type_returned
from penstock.runtime.context import entered
from penstock.runtime.decoding import Decoders, decoded_by, decoders_of
from penstock.runtime.lanes import Delivery
from penstock.runtime.models import Models
from penstock.runtime.outcomes import place_of, require_annotated
from penstock.runtime.remote_context import Given, RemoteContext
from penstock.runtime.remote_results import ended_well
from penstock.runtime.tool_calls import Call, shown_call
from penstock.runtime.tracing import Traces
from penstock.runtime.tracing_calls import handled_there

BEAT_S = 1.0  # so often the engine hears of a worker that has nothing to say
HEARD_BYTES = 4 * 1024 * 1024  # from so much on the rest is heard next time
_executing: ContextVar[int] = ContextVar("penstock_executing", default=0)


@dataclass(frozen=True, slots=True)
class Served:
    """What a worker serves: the agents of an app, and the models that its handlers ask."""

    agents: Mapping[str, Agent]
    models: Models
    clock: Clock
    traces: Traces | None = None
    leave: Callable[[], None] = lambda: None  # sends what is still to be sent


@asynccontextmanager
async def working(served: Served) -> AsyncGenerator["RemoteWorker"]:
    """Execute what is said until the block is left; then all that is under way is cut off."""
    failure: BaseException | None = None
    async with asyncio.TaskGroup() as group:
        worker = RemoteWorker(served, group)
        try:
            yield worker
        except BaseException as error:  # noqa: BLE001 - it leaves as it came, outside of any group
            failure = error
        finally:
            worker.cut_off()
    if failure is not None:
        raise failure


class RemoteWorker:
    """The handlings of one process."""

    def __init__(self, served: Served, group: asyncio.TaskGroup) -> None:
        self._served = served
        self._group = group
        self._decoders: dict[str, Decoders] = {}
        self._handlings: dict[int, _Handling] = {}
        self._said: deque[FromWorker] = deque()
        self._some = asyncio.Event()

    async def say(self, body: bytes) -> None:
        """Take what the engine says."""
        for message in decode_to_worker(body):
            if isinstance(message, Handle):
                self._begin(message)
            elif isinstance(message, Leave):
                self.start(self._leave())
            elif (handling := self._handlings.get(message.handling)) is not None:
                handling.hear(message)

    async def hear(self) -> bytes:
        """Return what there is to say, soon, or nothing."""
        if not self._said:
            try:
                async with asyncio.timeout(BEAT_S):
                    await self._some.wait()
            except TimeoutError:
                return b""
        self._some.clear()
        batch: list[FromWorker] = []
        size = 0
        while self._said and size < HEARD_BYTES:
            batch.append(self._said.popleft())
            size += _size(batch[-1])
        if self._said:
            self._some.set()
        return encode_batch(batch) if batch else b""

    def tell(self, message: FromWorker) -> None:
        self._said.append(message)
        self._some.set()

    def start(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        return self._group.create_task(work)

    def cut_off(self) -> None:
        """End all handlings, as the end of the process would."""
        for each in list(self._handlings.values()):
            each.cut_off()

    async def _leave(self) -> None:
        await asyncio.to_thread(self._served.leave)
        self.tell(Left())

    def _begin(self, message: Handle) -> None:
        agent = self._served.agents.get(message.agent)
        if agent is None:
            missing = Missing(f"the agent {message.agent!r}", "the worker has other code than the engine")
            self.tell(Ended(message.handling, fault=fault_of(missing)))
            return
        if agent.name not in self._decoders:
            self._decoders[agent.name] = decoders_of(agent)
        handling = _Handling(self, message, agent, self._served)
        self._handlings[message.handling] = handling
        handling.task = self.start(self._handle(handling, self._decoders[agent.name]))

    async def _handle(self, handling: "_Handling", decoders: Decoders) -> None:
        number, agent = handling.number, handling.agent
        try:
            context = handling.context()
            entered(context)
            events = [decoded_by(decoders, agent, each.event) for each in context.events]
            argument = events if agent.options.batch else events[0]
            handled = agent.handler(argument, context) if agent.wants_context else agent.handler(argument)
            result = await handling.traced(handled)
            require_annotated(agent, result)
            self.tell(ended_well(number, context, result))
        except asyncio.CancelledError as error:
            self.tell(Ended(number, fault=fault_of(error), is_cancelled=True))
        except BaseException as error:  # noqa: BLE001 - a handler is the user's code, and may raise anything
            self.tell(Ended(number, fault=fault_of(error, place_of(error))))
        finally:
            entered(None)
            handling.over()
            self._handlings.pop(number, None)


class _Step(NamedTuple):
    call: Callable[..., Any]
    given: Given


class _Handling:
    """One handling: what it has asked for, and the steps that it is in."""

    def __init__(self, worker: RemoteWorker, message: Handle, agent: Agent, served: Served) -> None:
        self.number = message.handling
        self.agent = agent
        self.task: asyncio.Task[None] | None = None
        self._worker = worker
        self._message = message
        self._served = served
        self._context: RemoteContext | None = None
        self._asked: dict[int, asyncio.Future[Answer]] = {}
        self._steps: dict[int, _Step] = {}
        self._own: dict[int, Any] = {}  # what the functions of steps returned or raised, until the engine has said so
        self._executing: dict[int, asyncio.Task[None]] = {}
        self._count = 0

    def context(self) -> RemoteContext:
        """Return the context that the handler gets."""
        message = self._message
        events = [Recorded(position, codec.decode(body)) for position, body in message.events]
        delivery = _Delivery(self.agent, events, message.lane, known=False)
        delivery.run_id, delivery.attempt, delivery.model = message.run_id, message.attempt, message.model
        self._context = RemoteContext(delivery, self._served.clock, self._served.models, self)
        return self._context

    def hear(self, message: Execute | Answer | Stop) -> None:
        match message:
            case Stop() if message.call:
                executing = self._executing.get(message.call)
                if executing is not None:
                    executing.cancel()
            case Stop():
                self._cancel()
            case Answer():
                asked = self._asked.get(message.call)
                if asked is not None and not asked.done():
                    asked.set_result(message)
            case Execute():
                self._executing[message.call] = self._worker.start(self._execute(message))

    def over(self) -> None:
        """The handler has ended: what it left behind goes."""
        if self._context is not None:
            self._context.let_go()
        for each in self._executing.values():
            each.cancel()

    def cut_off(self) -> None:
        self._cancel()
        for each in self._executing.values():
            each.cancel()

    def _cancel(self) -> None:
        if self.task is not None:
            self.task.cancel()

    async def traced(self, work: Awaitable[Any]) -> Any:
        """Wait for the handler, as a part of the trace that the engine is in."""
        traces, message = self._served.traces, self._message
        return await (work if traces is None or not message.traceparent else handled_there(traces, message, work))

    # the wire

    async def step(self, name: str, call: Callable[..., Any], given: Given, *, effects: bool) -> Any:
        number = self._next()
        self._steps[number] = _Step(call, given)
        tool = cast("Tool[..., Any]", call) if isinstance(call, Tool) else None
        form = None if tool is None else tool_form(tool, Call(name, *given))
        try:
            answer = await self._answered(number, Step(self.number, number, name, effects, form))
            own = self._own.get(number)
            if answer.is_own:
                if isinstance(own, _Raised):
                    raise own.error
                return own
            if answer.fault is not None:
                raise error_of(answer.fault)
            function = cast("Callable[..., Any]", call if tool is None else tool.function)
            return decode_value(answer.value or b"\xc0", type_returned(function))
        finally:
            self._steps.pop(number, None)
            self._own.pop(number, None)

    async def ask(self, what: str, body: Any) -> Any:
        number = self._next()
        asked = Ask(self.number, number, what, encode_value(body, what))
        answer = await self._answered(number, asked)
        if answer.fault is not None:
            raise error_of(answer.fault)
        return None if answer.value is None else msgspec.msgpack.decode(answer.value)

    def tell(self, stream: str, name: str, piece: bytes) -> None:
        self._worker.tell(Told(self.number, _executing.get(), stream, name, piece))

    def _next(self) -> int:
        self._count += 1
        return self._count

    async def _answered(self, number: int, message: Step | Ask) -> Answer:
        self._asked[number] = asyncio.get_running_loop().create_future()
        self._worker.tell(message)
        try:
            return await self._asked[number]
        finally:
            del self._asked[number]

    # executing

    async def _execute(self, message: Execute) -> None:
        """Call the function of a step, or ask that of its tool what became of it; tell what it came to."""
        number, turn, step = message.call, message.turn, self._steps.get(message.call)
        if step is None:
            return
        entered(self._context)
        _executing.set(number)
        traces = self._served.traces
        try:
            with nullcontext() if traces is None else traces.tracer.below(message.traceparent):
                result = self._called(step, message)
                if is_awaitable(result):
                    result = await result
            if message.reconcile and isinstance(result, NotDone):
                self._worker.tell(Outcome(self.number, number, not_done=True, turn=turn))
                return
            body = encode_value(result, message.step)
            self._own[number] = result
            self._worker.tell(Outcome(self.number, number, body, turn=turn))
        except asyncio.CancelledError as error:
            self._worker.tell(Outcome(self.number, number, fault=fault_of(error), turn=turn))
        except BaseException as error:  # noqa: BLE001 - a step is the user's code, and may raise anything
            self._own[number] = _Raised(error)
            self._worker.tell(Outcome(self.number, number, fault=fault_of(error, place_of(error)), turn=turn))
        finally:
            if self._executing.get(number) is asyncio.current_task():
                del self._executing[number]

    def _called(self, step: _Step, message: Execute) -> Any:
        call, (args, options) = step
        if not isinstance(call, Tool):
            return called(message.step, call, args, options)
        tool = cast("Tool[..., Any]", call)
        if message.reconcile:
            assert isinstance(tool.options.unknown, Reconcile)
            return tool.options.unknown.happened(message.idempotency_key)
        details = None if message.details is None else msgspec.msgpack.decode(message.details)

        def beat(said: Any) -> None:
            self._worker.tell(Beat(self.number, message.call, encode_value(said, "a sign of life")))

        attempt = Attempt(message.idempotency_key, message.attempt, details, beat)
        return called(message.step, tool.function, args, tool.given(args, options, attempt))


class _Delivery(Delivery):
    """A handling that the engine described."""

    __slots__ = ("model",)


class _Raised(NamedTuple):
    error: BaseException


def tool_form(tool: Tool[..., Any], call: Call) -> ToolForm:
    """Return how a tool is called, for the engine, which minds its options."""
    options, unknown = tool.options, tool.options.unknown
    retry = options.retry
    return ToolForm(
        tool.name,
        shown_call(tool.name, call),
        unknown if isinstance(unknown, str) else "skip" if isinstance(unknown, Skip) else "reconcile",
        encode_value(unknown.value, tool.name) if isinstance(unknown, Skip) else None,
        None if retry is None else (retry.attempts_max, retry.delay_s, retry.factor, retry.delay_max_s),
        options.timeout_s,
        options.total_s,
        options.idle_s,
        tool.wants_details,
    )


def _size(message: FromWorker) -> int:
    match message:
        case Outcome():
            return 256 + len(message.value or b"")
        case Told():
            return 256 + len(message.piece)
        case _:
            return 256
