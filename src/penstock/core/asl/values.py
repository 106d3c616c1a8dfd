"""The values that the States Language computes with, and the texts that it makes of them.

A value is what JSON can hold: None, bool, int, float, str, list, dict. Values are never changed in place: what changes, copies.
"""

import json
from decimal import Decimal
from typing import TypeAlias, TypeGuard

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

_JAVA_PLAIN_MIN, _JAVA_PLAIN_MAX = 1e-3, 1e7


def is_number(value: object) -> TypeGuard[int | float]:
    """Tell whether a value is a JSON number: a bool is none, though Python takes it for one."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def json_text(value: Json) -> str:
    """Return the shortest JSON text, as Step Functions writes it in causes, events and by `States.JsonToString`."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def parsed_json(text: str) -> Json:
    """Return the value of a JSON text. Raise `ValueError` for what is none, NaN and what is nested too deeply among it."""
    try:
        return json.loads(text, parse_constant=_refused)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def equal(left: Json, right: Json) -> bool:
    """Compare as JSON: 1 equals 1.0, but true does not equal 1."""
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(equal(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(equal(one, other) for one, other in zip(left, right, strict=True))
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    return left == right


def java_text(value: Json) -> str:
    """Return a value as Java's `toString` shows it, which is what `States.Format` puts in: `{a=1, b=[x, null]}`."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}={java_text(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(java_text, value)) + "]"
    if isinstance(value, float):
        return java_double(value)
    return json_text(value)


def java_double(value: float) -> str:
    """Return a number as Java's `Double.toString`: with an exponent below 0.001 and from ten million on."""
    exact = Decimal(repr(value))
    if value == 0 or _JAVA_PLAIN_MIN <= abs(value) < _JAVA_PLAIN_MAX:
        plain = format(exact, "f")
        return plain if "." in plain else f"{plain}.0"
    sign, digits, exponent = exact.normalize().as_tuple()
    first, *rest = map(str, digits)
    return f"{'-' if sign else ''}{first}.{''.join(rest) or 0}E{len(rest) + int(exponent)}"


def _refused(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")
