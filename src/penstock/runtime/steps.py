"""The steps of one run: executed once, found in the journal ever after (C4).

Steps of branches that run side by side are told apart by a scope, so that each branch finds its own again, whatever order
the branches went on in.
"""

import asyncio
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, ClassVar, cast

from penstock.core.agents.journal import Journal, decode_value, encode_value
from penstock.core.agents.tools import Tool
from penstock.core.events.envelope import Envelope
from penstock.core.events.texts import storable
from penstock.errors import Refused
from penstock.runtime.calling import is_awaitable, refuse_wrong_call, type_returned
from penstock.runtime.releases import Piece
from penstock.runtime.run_streams import within
from penstock.runtime.services import Services
from penstock.runtime.tool_calls import Call, ToolCall
from penstock.runtime.write_points import WritePoint

NAME_BYTES_MAX = 4096
Executing = dict[str, "asyncio.Future[None] | None"]  # steps under way, and who waits for their end
scope: ContextVar[str] = ContextVar("penstock_scope", default="")


class Steps:
    """Executes and records."""

    __slots__ = ("_executing", "cause", "journal", "run_id", "services")
    keeps_failures: ClassVar[bool] = False  # whether a tool that failed for good is recorded to have

    def __init__(
        self, run_id: str, journal: Journal, cause: Envelope, services: Services, executing: Executing | None = None
    ) -> None:
        self.run_id = run_id
        self.journal = journal
        self.cause = cause
        self.services = services
        self._executing: Executing = {} if executing is None else executing

    async def execute(  # noqa: C901, PLR0912 - the hot path is in one piece: a call more is a coroutine more for every step
        self, name: str, call: Callable[..., Any], args: tuple[Any, ...], options: dict[str, Any], *, effects: bool
    ) -> Any:
        """Return what the step returned, once: `effects` says whether it waits until all that led to it is durable."""
        is_plain = type(name) is str and name.isascii() and len(name) <= NAME_BYTES_MAX
        step = self.journal.next_step(
            scope.get() + (name if is_plain else storable("the name of a step", name, NAME_BYTES_MAX))
        )
        executing = self._executing
        while step in executing:  # an earlier attempt failed beside it, and left it under way
            ended = executing[step] = executing[step] or asyncio.get_running_loop().create_future()
            await asyncio.shield(ended)
        found = self.journal.find(step)
        if found is not None:
            return decode_value(found, type_returned(call))
        services = self.services
        executing[step] = None
        token = within.set(step)
        try:
            if isinstance(call, Tool):
                tool = cast("Tool[..., Any]", call)
                return await ToolCall(self, step, tool, Call(name, args, options)).outcome(effects=effects)
            if effects:
                await services.committer.durable()
                if services.outlived is not None:
                    await services.outlived(self.run_id)
                services.reached(WritePoint.BEFORE_EFFECT)
            services.executing(self.run_id, step)
            stand_in = services.stand_in
            if services.traces is not None:
                call = services.traces.step(self.run_id, step, name, call)
            try:
                result = call(*args, **options) if stand_in is None else stand_in(name, call, args, options)
            except TypeError as error:
                refuse_wrong_call(step, error)
                raise
            if is_awaitable(result):
                result = await result
            if effects:
                services.reached(WritePoint.AFTER_EFFECT)
            self.record(step, result)
            if effects:
                services.reached(WritePoint.AFTER_RECORD)
        except Exception:
            if services.streams.runs:
                services.streams.withdraw(self.run_id, step)
            raise
        finally:
            within.reset(token)
            waiting = executing.pop(step)
            if waiting is not None:
                waiting.set_result(None)
        return result

    def simulate(self, name: str, call: Callable[..., Any], outside: Journal) -> Any:
        """Return what a step came to when another run executed it; `Refused` when none did."""
        step = self.journal.next_step(scope.get() + storable("the name of a step", name, NAME_BYTES_MAX))
        found = self.journal.find(step) or outside.find(step)
        if found is None:
            raise Refused(f"step {step!r} has effects, and nothing recorded what it comes to", "do not run it dry")
        return decode_value(found, type_returned(call))

    def record(self, step: str, value: Any) -> None:
        """Have the next commit record what a step came to."""
        services = self.services
        self.journal.record(step, encode_value(value, step), services.clock.now_ms())
        services.committer.recorded(self.run_id, self.journal)
        if services.releases.heard(self.cause.correlation_id):
            services.told_when_durable(self.cause.correlation_id, Piece("step", self.run_id, step))

    def note(self, name: str, value: Any) -> None:
        """Have the next commit write a record; the newest one of a name counts."""
        services = self.services
        self.journal.record(name, encode_value(value, name), services.clock.now_ms())
        services.committer.recorded(self.run_id, self.journal)


class WorkflowSteps(Steps):
    """Those of a workflow, which is resumed by running again: it must meet the same failures too."""

    __slots__ = ()
    keeps_failures: ClassVar[bool] = True
