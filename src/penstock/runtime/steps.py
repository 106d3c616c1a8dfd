"""The steps of one run: executed once, found in the journal ever after (C4).

Steps of branches that run side by side are told apart by a scope, so that each branch finds its own again, whatever order
the branches went on in.
"""

import asyncio
import typing
from collections.abc import Callable
from contextvars import ContextVar
from inspect import isawaitable
from typing import Any

from penstock.core.agents.journal import Journal, decode_value, encode_value
from penstock.core.events.texts import storable
from penstock.runtime.releases import Piece
from penstock.runtime.run_streams import within
from penstock.runtime.services import Services
from penstock.runtime.write_points import WritePoint

_TYPES_MAX = 10_000
NAME_BYTES_MAX = 4096
Executing = dict[str, "asyncio.Future[None] | None"]  # steps under way, and who waits for their end
scope: ContextVar[str] = ContextVar("penstock_scope", default="")
_returned: dict[Any, Any] = {}


class Steps:
    """Executes and records."""

    __slots__ = ("_correlation_id", "_executing", "_services", "journal", "run_id")

    def __init__(
        self, run_id: str, journal: Journal, correlation_id: str, services: Services, executing: Executing | None = None
    ) -> None:
        self.run_id = run_id
        self.journal = journal
        self._correlation_id = correlation_id
        self._services = services
        self._executing: Executing = {} if executing is None else executing

    async def execute(
        self, name: str, call: Callable[..., Any], args: tuple[Any, ...], options: dict[str, Any], *, effects: bool
    ) -> Any:
        """Return what the step returned, once: `effects` says whether it waits until all that led to it is durable."""
        step = self.journal.next_step(scope.get() + storable("the name of a step", name, NAME_BYTES_MAX))
        executing = self._executing
        while step in executing:  # an earlier attempt failed beside it, and left it under way
            ended = executing[step] = executing[step] or asyncio.get_running_loop().create_future()
            await asyncio.shield(ended)
        found = self.journal.find(step)
        if found is not None:
            return decode_value(found, type_returned(call))
        services = self._services
        executing[step] = None
        token = within.set(step)
        try:
            if effects:
                await services.committer.durable()
                services.reached(WritePoint.BEFORE_EFFECT)
            services.executing(self.run_id, step)
            stand_in = services.stand_in
            result = call(*args, **options) if stand_in is None else stand_in(name, call, args, options)
            if isawaitable(result):
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

    def record(self, step: str, value: Any) -> None:
        """Have the next commit record what a step came to."""
        services = self._services
        self.journal.record(step, encode_value(value, step), services.clock.now_ms())
        services.committer.recorded(self.run_id, self.journal)
        if services.releases.heard(self._correlation_id):
            services.told_when_durable(self._correlation_id, Piece("step", self.run_id, step))


def type_returned(call: Callable[..., Any]) -> Any:
    """The type that a step's function is annotated to return; `Any` where it does not say."""
    function = getattr(call, "__func__", call)
    known = _returned.get(function)
    if known is None:
        try:
            known = typing.get_type_hints(function).get("return", Any)
        except (NameError, AttributeError, TypeError, SyntaxError):
            known = Any
        if len(_returned) < _TYPES_MAX:  # lambdas made in a loop must not fill the memory
            _returned[function] = known
    return known
