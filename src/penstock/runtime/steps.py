"""The steps of one run: executed once, found in the journal ever after (C4).

Steps of branches that run side by side are told apart by a scope, so that each branch finds its own again, whatever order
the branches went on in.
"""

import typing
from collections.abc import Callable
from contextvars import ContextVar
from inspect import isawaitable
from typing import Any

from penstock.core.agents.journal import Journal, decode_value, encode_value
from penstock.runtime.releases import Piece
from penstock.runtime.services import Services

_TYPES_MAX = 10_000
scope: ContextVar[str] = ContextVar("penstock_scope", default="")
_returned: dict[Any, Any] = {}


class Steps:
    """Executes and records."""

    __slots__ = ("_correlation_id", "_services", "journal", "run_id")

    def __init__(self, run_id: str, journal: Journal, correlation_id: str, services: Services) -> None:
        self.run_id = run_id
        self.journal = journal
        self._correlation_id = correlation_id
        self._services = services

    async def execute(
        self, name: str, call: Callable[..., Any], args: tuple[Any, ...], options: dict[str, Any], *, effects: bool
    ) -> Any:
        """Return what the step returned, once: `effects` says whether it waits until all that led to it is durable."""
        step = self.journal.next_step(scope.get() + name)
        found = self.journal.find(step)
        if found is not None:
            return decode_value(found, type_returned(call))
        services = self._services
        if effects:
            await services.committer.durable()
        services.executing(self.run_id, step)
        result = call(*args, **options)
        if isawaitable(result):
            result = await result
        self.record(step, result)
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
        except (NameError, TypeError):
            known = Any
        if len(_returned) < _TYPES_MAX:  # lambdas made in a loop must not fill the memory
            _returned[function] = known
    return known
