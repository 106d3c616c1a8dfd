"""Calling what a step calls, and what type comes back from it."""

import typing
from collections.abc import Awaitable, Callable
from inspect import isawaitable
from types import GeneratorType
from typing import Any, TypeGuard

from penstock.core.agents.tools import Tool
from penstock.errors import Refused

_TYPES_MAX = 10_000
_returned: dict[Any, Any] = {}


def called(step: str, call: Callable[..., Any], args: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """Call what a step calls; `Refused` when it cannot be called so, since no other attempt can either."""
    try:
        return call(*args, **options)
    except TypeError as error:
        refuse_wrong_call(step, error)
        raise


def refuse_wrong_call(step: str, error: TypeError) -> None:
    """Raise `Refused` for an error that whoever catches it has from the call itself, and not from within the function."""
    if error.__traceback__ is None or error.__traceback__.tb_next is None:  # no frame of the function is below
        raise Refused(f"step {step} cannot be called so ({error})", "mend the arguments") from error


def is_awaitable(result: object) -> TypeGuard[Awaitable[Any]]:
    """What `inspect.isawaitable` says, in a fifth of the time: nearly all that steps return is a coroutine, or plain data."""
    return hasattr(type(result), "__await__") or (issubclass(type(result), GeneratorType) and isawaitable(result))


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
