"""Tools: functions that act upon the outside, with what follows when nobody knows whether a call of them happened (C4).

A call that was cut off between its effect and its record has an *unknown* outcome: the process died, the time ran out, the
other side did not answer. Each tool declares what follows then:

- `"retry"`: it is called again with the same idempotency key. Nothing is written beforehand.
- `Skip(value)`: the value is recorded in its place, and the handler goes on.
- `"ask"`: a person decides: it is done (with a value), it is to be tried again, or it has failed.
- `Reconcile(function)`: the function is asked, with the idempotency key, what happened.
"""

import inspect
import typing
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, fields
from math import inf
from types import MethodType
from typing import Any, ClassVar, Final, Generic, Literal, ParamSpec, TypeVar, cast, overload

from penstock.core.agents.policy import Retry
from penstock.errors import Finding, Invalid

P = ParamSpec("P")
R = TypeVar("R")
KEY = "idempotency_key"  # a parameter of this name gets the key of the call


class NotDone:
    """What a `Reconcile` function returns when the effect has not happened: the tool is called (again)."""

    def __repr__(self) -> str:
        return "NOT_DONE"


NOT_DONE: Final = NotDone()


@dataclass(frozen=True, slots=True)
class Skip:
    """Record `value` in place of an unknown outcome, and go on."""

    value: Any = None


@dataclass(frozen=True, slots=True)
class Reconcile:
    """Ask `happened(idempotency_key)`: it returns what the tool would have, or `NOT_DONE`; raising means: ask again later."""

    happened: Callable[[str], Any]


Unknown = Literal["retry", "ask"] | Skip | Reconcile


@dataclass(frozen=True, slots=True)
class ToolOptions:
    """How a tool is called. None: no attempts of its own (those of its handler count), no bound of its own."""

    unknown: Unknown = "retry"
    retry: Retry | None = None
    timeout_s: float | None = None  # of one attempt
    total_s: float | None = None  # of all attempts with the waits between them
    idle_s: float | None = None  # of an attempt without a sign of life

    @property
    def begins(self) -> bool:
        """Whether a durable mark must say that a call begins, before it does."""
        return self.unknown != "retry"


class Attempt:
    """The call that a tool is in. A parameter of this type gets it: `attempt: Attempt = Attempt.alone`."""

    __slots__ = ("_beat", "details", "idempotency_key", "number")
    alone: ClassVar["Attempt"]  # of a tool that is called without a step, by a test

    def __init__(
        self,
        idempotency_key: str = "",
        number: int = 1,
        details: Any = None,
        beat: Callable[[Any], None] | None = None,
    ) -> None:
        self.idempotency_key = idempotency_key
        self.number = number  # 1 for the first
        self.details = details  # what the last sign of life of an earlier attempt said
        self._beat = beat

    def beat(self, details: Any = None) -> None:
        """Give a sign of life. The next attempt reads the `details`, over a restart too, where they are a second old at most."""
        if self._beat is not None:
            self._beat(details)


Attempt.alone = Attempt()


class Tool(Generic[P, R]):
    """A function with its options, which `ctx.step("name", tool, ...)` minds. Called directly it is the function, for tests."""

    def __init__(self, function: Callable[P, R], options: ToolOptions) -> None:
        self.function = function
        self.options = options
        self.name: str = getattr(function, "__qualname__", type(function).__name__).rpartition(".")[2]
        self.__doc__ = function.__doc__
        self._injected = _injected(function)
        findings = [*_findings(options), *self._misfits()]
        if findings:
            raise Invalid(f"the tool {self.name!r}", tuple(findings))

    def __call__(self, *args: P.args, **options: P.kwargs) -> R:
        return self.function(*args, **options)

    def __get__(self, instance: object | None, owner: type | None = None) -> "Tool[..., R]":
        if instance is None:
            return self
        bound = copy(self)
        bound.function = cast("Callable[P, R]", MethodType(self.function, instance))
        bound._injected = {name: place - 1 for name, place in self._injected.items()}  # noqa: SLF001 - of the same class
        return bound

    def __repr__(self) -> str:
        return f"<tool {self.name}>"

    @property
    def wants_details(self) -> bool:
        """Whether it reads what an earlier attempt left."""
        return any(name != KEY for name in self._injected)

    def given(self, args: tuple[Any, ...], options: dict[str, Any], attempt: Attempt) -> dict[str, Any]:
        """Return the named arguments of a call, with what the tool gets from us where the caller did not give it."""
        more = {
            name: attempt.idempotency_key if name == KEY else attempt
            for name, place in self._injected.items()
            if name not in options and place >= len(args)
        }
        return {**options, **more}

    def _misfits(self) -> list[Finding]:
        """Return what does not go together with the function."""
        findings: list[Finding] = []
        bounded = [name for name in ("timeout_s", "idle_s") if getattr(self.options, name) is not None]
        if bounded and not inspect.iscoroutinefunction(getattr(self.function, "__func__", self.function)):
            hint = "write `async def`; what blocks belongs into asyncio.to_thread"
            findings += [
                Finding(name, "is given, and a function that is not async cannot be ended", hint) for name in bounded
            ]
        if self.options.idle_s is not None and not self.wants_details:
            findings.append(
                Finding(
                    "idle_s",
                    "is given, and nothing gives a sign of life",
                    "take `attempt: Attempt`, and call `attempt.beat()`",
                )
            )
        return findings


@overload
def tool(function: Callable[P, R], /) -> Tool[P, R]: ...
@overload
def tool(
    *,
    unknown: Unknown = "retry",
    retry: Retry | None = None,
    timeout_s: float | None = None,
    total_s: float | None = None,
    idle_s: float | None = None,
) -> Callable[[Callable[P, R]], Tool[P, R]]: ...
def tool(function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Declare a function as a tool, for `ctx.step("name", tool, ...)`. Raises `Invalid` with all findings.

    `unknown`: what follows when nobody knows whether a call happened: "retry", "ask", `Skip(value)` or `Reconcile(function)`;
    `retry`: how often a step is tried by itself; `timeout_s`: of one attempt; `total_s`: of all; `idle_s`: without a sign.
    A parameter named `idempotency_key` gets the key of the call, one annotated `Attempt` more than that.
    """
    names = [each.name for each in fields(ToolOptions)]
    strange = [
        Finding(each, "is not an option of a tool", f"one of {', '.join(names)}")
        for each in options
        if each not in names
    ]
    if strange:
        raise Invalid("the tool", tuple(strange))

    def made(called: Callable[..., Any]) -> Tool[..., Any]:
        return Tool(called, ToolOptions(**options))

    return made if function is None else made(function)


def _findings(options: ToolOptions) -> list[Finding]:
    """Return what is wrong with the options. No type checker has seen many of them: they may be anything."""
    findings: list[Finding] = []
    unknown: Any = options.unknown
    if isinstance(unknown, Reconcile):
        if not callable(unknown.happened):
            findings.append(
                Finding("unknown", f"Reconcile({unknown.happened!r}) cannot be called", "give a function of the key")
            )
    elif not isinstance(unknown, Skip) and unknown not in ("retry", "ask"):
        findings.append(Finding("unknown", f"is {unknown!r}", '"retry", "ask", Skip(value) or Reconcile(function)'))
    retry: Any = options.retry
    if retry is not None:
        findings += (
            retry.findings("retry")
            if isinstance(retry, Retry)
            else [Finding("retry", f"is {retry!r}", "give a Retry: Retry(attempts_max=3)")]
        )
    for name in ("timeout_s", "total_s", "idle_s"):
        value: Any = getattr(options, name)
        if value is not None and not (isinstance(value, int | float) and 0 < value < inf):
            findings.append(Finding(name, f"is {value!r}", "a number of seconds, more than 0"))
    if options.total_s is not None and retry is None:
        findings.append(Finding("total_s", "is given, and there is one attempt", "give retry=Retry(...), or timeout_s"))
    return findings


def _injected(function: Callable[..., Any]) -> dict[str, int]:
    """Return the parameters that get the key or the attempt, with their places."""
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):  # some of those written in C tell nobody
        return {}
    try:
        hints = typing.get_type_hints(function)
    except (NameError, AttributeError, TypeError, SyntaxError):
        hints = {}
    return {
        name: place
        for place, name in enumerate(parameters)
        if name == KEY or Attempt in (hints.get(name), *typing.get_args(hints.get(name)))
    }
