"""JSON documents as patterns need them: objects whose names may come twice, and numbers that keep their digits."""

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TypeGuard, cast

from penstock.errors import Finding, Invalid


class Members(list[tuple[str, object]]):
    """An object that was read from a text: its members in their order, with those whose name comes twice."""


def read(text: str | bytes, what: str) -> object:
    """Read a JSON text. Raises `Invalid`."""
    try:
        return json.loads(text, object_pairs_hook=Members, parse_float=_number)
    except (ValueError, RecursionError) as error:
        raise Invalid(what, (Finding("$", f"is not JSON: {error}"),)) from error


def read_event(text: str | bytes) -> dict[str, object]:
    """Read an event as its JSON says it. Raises `Invalid`."""
    try:
        event = json.loads(text, parse_float=_number)
    except (ValueError, RecursionError) as error:
        raise Invalid("the event", (Finding("$", f"is not JSON: {error}"),)) from error
    if not isinstance(event, dict):
        raise Invalid("the event", (Finding("$", "is not an object", "events are JSON objects"),))
    return cast("dict[str, object]", event)


def is_object(value: object) -> TypeGuard[Mapping[str, object] | Members]:
    """Whether a value is an object."""
    return isinstance(value, Mapping | Members)


def is_list(value: object) -> TypeGuard[Sequence[object]]:
    """Whether a value is a list."""
    return isinstance(value, Sequence) and not isinstance(value, str | bytes | Members)


def members_of(value: Mapping[str, object] | Members) -> Sequence[tuple[str, object]]:
    """Return the members of an object."""
    return value if isinstance(value, Members) else list(value.items())


def written(value: object) -> str:
    """Return how the first word of a value is written."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if is_object(value):
        return "{"
    return "[" if is_list(value) else str(cast("str | int | float | Decimal", value))


def _number(text: str) -> float | Decimal:
    number, exact = float(text), Decimal(text)
    return number if Decimal(repr(number)) == exact else exact
