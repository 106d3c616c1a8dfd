"""Calling what a step calls, and what type comes back from it."""

import typing
from collections.abc import Callable
from typing import Any

from penstock.core.agents.tools import Tool
from penstock.errors import Refused

_TYPES_MAX = 10_000
_returned: dict[Any, Any] = {}


def called(step: str, call: Callable[..., Any], args: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """Call what a step calls; `Refused` when it cannot be called so, since no other attempt can either."""
    try:
        return call(*args, **options)
    except TypeError as error:
        # Raised by the call itself, not within the function: there is no frame of the function below ours.
        if error.__traceback__ is None or error.__traceback__.tb_next is None:
            raise Refused(f"step {step} cannot be called so ({error})", "mend the arguments") from error
        raise


def type_returned(call: Callable[..., Any]) -> Any:
    """The type that a step's function is annotated to return; `Any` where it does not say."""
    function = call.function if isinstance(call, Tool) else call
    function = getattr(function, "__func__", function)
    known = _returned.get(function)
    if known is None:
        try:
            known = typing.get_type_hints(function).get("return", Any)
        except (NameError, AttributeError, TypeError, SyntaxError):
            known = Any
        if len(_returned) < _TYPES_MAX:  # lambdas made in a loop must not fill the memory
            _returned[function] = known
    return known
