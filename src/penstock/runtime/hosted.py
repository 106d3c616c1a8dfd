"""Handlers that run on a host: the engine calls them as any other, and answers what they ask of their context.

- All that a remote handler asks for goes through the context of its handling here: so the journal, what is waited for, what is
  recorded, and what is written with the handling, are those of a handler in this process.
- The death of a worker is no attempt: the handler is called again, on another one, and finds its recorded steps. One with which
  workers die again and again is given up, as what kills the engine's own process is.
"""

import asyncio
import sys
from contextvars import copy_context
from typing import Any

import msgspec

from penstock.core.agents.declaration import Agent
from penstock.core.agents.journal import encode_value, plain_of
from penstock.core.events import codec
from penstock.core.hosting.faults import error_of, fault_of
from penstock.core.hosting.messages import (
    Answer,
    Ask,
    Beat,
    Ended,
    FromWorker,
    Handle,
    Outcome,
    Step,
    Stop,
    Told,
)
from penstock.errors import PenstockError, Refused
from penstock.ports.tracer import Tracer
from penstock.runtime.context import Context
from penstock.runtime.found import Search
from penstock.runtime.host_links import Link
from penstock.runtime.host_pools import Pool
from penstock.runtime.hosted_steps import HostedStep
from penstock.runtime.remote_results import ClassOf, taken
from penstock.runtime.routing import RouteAsked

DEATHS_MAX = 3  # the first may be another's fault: after it the handling is alone on its worker
STOP_S = 2.0  # a handler that does not end within it, once it is cancelled, ends with its worker


class HostedHandler:
    """What stands in for the handler of an agent whose handlings are executed on a host."""

    def __init__(self, agent: Agent, pool: Pool, class_of: ClassOf) -> None:
        self._agent = agent
        self._pool = pool
        self._class_of = class_of

    async def __call__(self, _: Any, context: Context) -> Any:
        """Handle the events of a context elsewhere, and return what the handler returned."""
        for deaths in range(DEATHS_MAX):
            if deaths:
                context.begin_again()
            async with self._pool.lease(alone=deaths > 0) as link:  # whom a death is to blame on shows when it is alone
                try:
                    return await taken(await self._handled(link, context), context, self._class_of)
                except WorkerLost:
                    continue
        raise Refused(f"its worker died {DEATHS_MAX} times while it was handled", "mend the handler, and redrive it")

    async def _handled(self, link: Link, context: Context) -> Ended:
        async with asyncio.TaskGroup() as group:
            handling = Handling(link, context, group)
            handling.is_batch = bool(self._agent.options.batch)
            try:
                ended = await handling.begun(self._agent.name)
            except BaseException as error:  # noqa: BLE001 - it leaves as it is, and not as one of a group
                ended = error
            finally:
                handling.close()
        if isinstance(ended, BaseException):
            raise ended
        return ended


class WorkerLost(Exception):
    """The worker died with the handling."""


class Handling:
    """The engine's side of one handling elsewhere: it answers what the handler asks."""

    def __init__(self, link: Link, context: Context, group: asyncio.TaskGroup) -> None:
        self.number = 0
        self.is_batch = False
        self.link = link
        self._context = context
        self._group = group
        self._own = copy_context()  # what is asked is answered within it, whoever hears it
        self._ended: asyncio.Future[Ended] = asyncio.get_running_loop().create_future()
        self._steps: dict[int, HostedStep] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._tracer: Tracer | None = None

    async def begun(self, agent: str) -> Ended:
        """Have the handler called, and return how it ended."""
        context = self._context
        try:
            self.number = self.link.joined(self)
        except PenstockError as error:
            raise WorkerLost from error
        lane, model, traces = context.attempted
        place = ""
        if traces is not None:
            self._tracer, self.link.is_traced, place = traces.tracer, True, traces.where()
        events = [(each.position, codec.encode(each.event)) for each in context.events]
        self.link.say(Handle(self.number, agent, context.run_id, context.attempt, lane, events, model, place))
        try:
            ended = await self._ended
        except asyncio.CancelledError:
            await self._stopped()
            raise
        if ended.is_cancelled:
            raise asyncio.CancelledError
        if ended.fault is not None:
            raise error_of(ended.fault)
        return ended

    def close(self) -> None:
        self.link.left(self.number)
        for each in self._tasks:
            each.cancel()

    async def _stopped(self) -> None:
        """Have the handler cancelled, and wait a little for its end; a worker that does not mind is ended."""
        if self.link.failure is not None:
            return
        self._ended = asyncio.get_running_loop().create_future()
        self.link.say(Stop(self.number))
        try:
            async with asyncio.timeout(STOP_S):
                await self._ended
        except (TimeoutError, WorkerLost):
            await self.link.end()

    # what is heard

    def heard(self, message: FromWorker) -> None:
        match message:
            case Step():
                step = self._steps[message.call] = HostedStep(message, self.link, self._told, self._tracer)
                self._start(self._stepped(step))
            case Outcome() | Beat() | Told() if message.call in self._steps:
                self._steps[message.call].heard(message)
            case Told():
                self._told(message)
            case Ask():
                self._start(self._asked(message))
            case Ended():
                if not self._ended.done():
                    self._ended.set_result(message)
            case _:
                pass  # what a step says that nobody waits for any more

    def lost(self, error: PenstockError) -> None:
        """The worker is dead."""
        if not self._ended.done():
            lost = WorkerLost()
            lost.__cause__ = error
            self._ended.set_exception(lost)

    def _start(self, work: Any) -> None:
        task = self._group.create_task(work, context=self._own.copy())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _stepped(self, step: HostedStep) -> None:
        asked = step.asked
        try:
            call = self._context.step if asked.effects else self._context.read
            result = await call(asked.name, step.callable, *step.args)
            answer = Answer(self.number, asked.call, is_own=True)
            if result is not step.own:
                answer = Answer(self.number, asked.call, encode_value(result, asked.name))
        except Exception as error:  # noqa: BLE001 - the handler decides what follows
            answer = Answer(self.number, asked.call, fault=fault_of(error), is_own=error is step.own)
        finally:
            del self._steps[asked.call]
        self.link.say(answer)

    def _told(self, message: Told) -> None:
        piece, context = msgspec.msgpack.decode(message.piece), self._context
        try:
            if self.is_batch:
                context.tell(piece, name=message.name)
            else:
                context.stream(message.stream).write(piece, name=message.name)
        except PenstockError as error:
            if not self._ended.done():
                self._ended.set_exception(error)

    async def _asked(self, message: Ask) -> None:
        try:
            value = await self._answered(message.what, msgspec.msgpack.decode(message.body))
            answer = Answer(self.number, message.call, encode_value(value, message.what))
        except Exception as error:  # noqa: BLE001 - the handler decides what follows
            answer = Answer(self.number, message.call, fault=fault_of(error))
        self.link.say(answer)

    async def _answered(self, what: str, body: Any) -> Any:
        context = self._context
        match what:
            case "session":
                return await context.session_of(body).history()
            case "values":
                return await context.values.stored()
            case "search":
                name, tenant, search = body
                return await context.collection(name).search(msgspec.convert(search, Search), _own(context, tenant))
            case "embed":
                name, text = body
                return await context.collection(name).embedded(text)
            case "route":
                name, tenant, asked = body
                return await context.router(name).choose(msgspec.convert(asked, RouteAsked), _own(context, tenant))
            case "approval":
                body["to"] = _type_named(body["to"])
                return msgspec.to_builtins(await context.approval(body.pop("title"), **body), enc_hook=plain_of)
            case _:
                raise Refused(f"a worker asks for {what!r}", "run the same version of penstock on both sides")


def _own(context: Context, tenant: str) -> str:
    """Return the tenant of the run: what a worker says does not open another one's (C10)."""
    if tenant != context.tenant:
        raise Refused(f"tenant {tenant!r} is not that of the run", "search in the run's own tenant")
    return tenant


def _type_named(names: list[str] | None) -> Any:
    """Return the type that a worker names; `Refused` for one that cannot be found by its name."""
    if names is None:
        return None
    found: Any = sys.modules.get(names[0])
    for part in names[1].split("."):
        found = getattr(found, part, None)
    if not isinstance(found, type):
        raise Refused(f"the type {'.'.join(names)} of an approval is not known here", "define it at module level")
    return found
