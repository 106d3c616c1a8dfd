"""What goes through a pipeline: what windows, embeddings and joins make of values, and the events between stages."""

import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar, cast

import msgspec
from msgspec import Struct

from penstock.core.agents.journal import plain_of, shaped
from penstock.core.events.event import Event
from penstock.errors import Finding, Invalid, Refused

T = TypeVar("T")
F = TypeVar("F")
PLAIN = (type(None), bool, int, float, str, list, dict)


class Pane(Struct, Generic[T], frozen=True):
    """What a window of a key holds at the moment: shown when it closes, and again for each late event that it still takes.

    `number`: how often it, or a part of it that it grew from, was shown before. The newest one counts.
    """

    key: str
    start_ms: int
    end_ms: int
    value: T
    number: int = 0


class Stamped(Struct, Generic[T], frozen=True):
    """A value, when it happened, and under which key it is handled."""

    value: T
    at_ms: int
    key: str


class Embedded(Struct, Generic[T], frozen=True):
    """A value, and the vector of its text."""

    value: T
    vector: tuple[float, ...]


class Joined(Struct, Generic[T, F], frozen=True):
    """A value, and what was found for it, best first."""

    value: T
    found: list[F]


class Pair(Struct, Generic[T, F], frozen=True):
    """Two values of one key that met: one of a stream, and one of the stream that it is joined with."""

    left: T
    right: F


class StreamItem(Event, key="key", topic="penstock-streams"):
    """A value on its way to its new key. `at_ms`: when it happened."""

    key: str
    at_ms: int
    value: Any = None


class StreamTick(Event, key="key", topic="penstock-streams"):
    """Time went on for a key that was silent until `due_ms`, on the clock that events are recorded by."""

    key: str
    window: str
    due_ms: int


def event_class(of: type[Event], stage: str, *, carried: bool = False) -> type[Any]:
    """Return a class of a stage's own: agents take events by their class. `carried`: they go between hosts, over the broker."""
    name = "".join(part.capitalize() for part in stage.replace("_", "-").split("-")) + of.__name__
    topic = f"stream-{stage}" if carried else f"penstock-stream-{stage}"

    def body(namespace: dict[str, Any]) -> None:
        namespace["__module__"] = __name__
        namespace["__doc__"] = of.__doc__

    return cast("type[Any]", types.new_class(name, (of,), {"topic": topic, "key": "key"}, body))


def to_plain(value: Any, holds: Any, step: str) -> Any:
    """Return a value as plain data that `from_plain` reads again; `Refused` where it could not."""
    if holds is Any and type(value) not in PLAIN:
        hint = "annotate what the function before it returns, so that it can be read again"
        raise Refused(f"a {type(value).__name__} cannot go to {step!r}, since its type is not known", hint)
    try:
        return msgspec.to_builtins(value, enc_hook=plain_of)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        hint = "let it be plain data, a dataclass, a Struct or a pydantic model"
        raise Invalid(f"the value for {step!r}", (Finding("value", str(error), hint),)) from error


def from_plain(plain: Any, holds: Any) -> Any:
    """Return what was made plain."""
    return plain if holds is Any else shaped(plain, holds)


def returned_by(call: Callable[..., Any]) -> Any:
    """Return the type that a function says it returns; the class itself for a class; `Any` when it does not say."""
    if isinstance(call, type):
        return call
    try:
        hints = typing.get_type_hints(call)
    except (NameError, AttributeError, TypeError, SyntaxError):
        return Any
    found = hints.get("return", Any)
    return Any if isinstance(found, TypeVar) else found


def items_of(holds: Any) -> Any:
    """Return the type of what is in a list, tuple or other iterable of one type; `Any` when it is not said."""
    arguments = typing.get_args(holds)
    return arguments[0] if arguments else Any


def generic(kind: Any, *holds: Any) -> Any:
    """Return `kind[holds]`: a type that stored values can be read as."""
    return kind[holds]


def getter(of: str | Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return a function, or one that reads a field by name: of a value, of its parts by dots, or of what is within a pane."""
    if not isinstance(of, str):
        return of
    path = of.split(".")

    def read(value: Any) -> Any:
        for name in path:
            value = _field(value, name)
        return value

    return read


def _field(value: Any, name: str) -> Any:
    if isinstance(value, Mapping):
        found = cast("Mapping[str, Any]", value)
        if name in found:
            return found[name]
    elif hasattr(value, name):
        return getattr(value, name)
    elif isinstance(value, Pane | Stamped | Embedded | Joined):
        return _field(cast("Any", value).value, name)
    raise Refused(
        f"a {type(cast('object', value)).__name__} has no field {name!r}", "name one of its fields, or give a function"
    )
