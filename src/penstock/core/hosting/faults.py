"""Errors on their way between the engine and a worker: by name, message and plain arguments. Nothing is called to read one."""

from typing import Any, cast

from msgspec import Struct

from penstock import errors
from penstock.core.events.texts import told
from penstock.errors import Finding, PenstockError

MESSAGE_CHARS_MAX = 4000
_FINDING = "finding"


class Fault(Struct, frozen=True, array_like=True):
    """An error. `ours`: its name in `penstock.errors`, with plain arguments; else the nearest of `KINDS` that it is."""

    name: str
    message: str
    ours: str = ""
    args: tuple[Any, ...] = ()
    kind: str = ""
    place: str = ""  # where in the user's code it was raised


KINDS: dict[str, type[Exception]] = {"time": TimeoutError, "connection": ConnectionError, "type": TypeError}


def fault_of(error: BaseException, place: str = "") -> Fault:
    """Return an error as it travels; `place`: where in the user's code it was raised."""
    name = type(error).__name__
    message = told(error, MESSAGE_CHARS_MAX).removeprefix(f"{name}: ")
    if isinstance(error, PenstockError) and hasattr(errors, name):
        return Fault(name, message, name, tuple(_plain(each) for each in error.args), place=place)
    kind = next((each for each, known in KINDS.items() if isinstance(error, known)), "")
    return Fault(name, message, kind=kind, place=place)


def error_of(fault: Fault) -> Exception:
    """Return the error that a fault tells of: one of ours, or one of the same name and message. It knows its `place`."""
    error: Any = _error(fault)
    error.place = fault.place
    return error


def _error(fault: Fault) -> Exception:
    ours: Any = getattr(errors, fault.ours, None) if fault.ours else None
    if isinstance(ours, type) and issubclass(ours, PenstockError):
        return ours(*(_restored(each) for each in fault.args))
    nearest = KINDS.get(fault.kind, Exception)
    return type(fault.name, (nearest,), {"__module__": "elsewhere"})(fault.message)


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(each) for each in cast("tuple[Any, ...]", value)]
    if isinstance(value, Finding):
        return {_FINDING: [value.path, value.problem, value.hint]}
    return value if isinstance(value, str | int | float | bool) or value is None else str(value)


def _restored(value: Any) -> Any:
    match value:
        case {"finding": [path, problem, hint]}:
            return Finding(str(path), str(problem), str(hint))
        case list():
            return tuple(_restored(each) for each in cast("list[Any]", value))
        case _:
            return value
