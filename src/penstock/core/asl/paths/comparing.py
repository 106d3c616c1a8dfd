"""The operators of filters. Numbers and strings compare with each other as Jayway lets them: a number by its text.

What has no meaning, such as `{} < 3`, is false.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from penstock.core.asl.failures import PathInvalid
from penstock.core.asl.values import Json, is_number, json_text


@dataclass(frozen=True, slots=True)
class Pattern:
    """`/.../` in a filter."""

    regex: re.Pattern[str]


class Undefined:
    """What a path stands for that found nothing: it equals nothing, not even itself."""


UNDEFINED: Final = Undefined()
Operand: TypeAlias = "Json | Pattern | Undefined"


def _equals(left: Operand, right: Operand) -> bool:
    if is_number(left) and isinstance(right, str):
        return _number(right) == left
    if isinstance(left, str) and is_number(right):
        return left == json_text(right)
    if is_number(left) and is_number(right):
        return left == right
    if isinstance(left, Undefined | Pattern) or isinstance(right, Undefined | Pattern):
        return False
    return _same(left, right)


def _same(left: Json, right: Json) -> bool:
    """Compare strictly, as Java's `equals` does inside of lists and maps: 1 is not 1.0."""
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(_same(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_same, left, right))
    return type(left) is type(right) and left == right


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _type_safe_equals(left: Operand, right: Operand) -> bool:
    return _class(left) == _class(right) and _equals(left, right)


def _class(value: Operand) -> str:
    if is_number(value):
        return "number"
    return "json" if isinstance(value, list | dict) else type(value).__name__


def _ordered(holds: Callable[[int], bool]) -> Callable[[Operand, Operand], bool]:
    """Return the operator for an order, given as the sign of left minus right."""

    def compare(left: Operand, right: Operand) -> bool:
        if is_number(left) and is_number(right):
            return holds((left > right) - (left < right))
        if (isinstance(left, str) or is_number(left)) and (isinstance(right, str) or is_number(right)):
            one, other = _text(left), _text(right)
            return holds((one > other) - (one < other))
        return False

    return compare


def _text(value: str | float) -> str:
    return value if isinstance(value, str) else json_text(value)


def _matches(left: Operand, right: Operand) -> bool:
    if isinstance(left, Pattern) == isinstance(right, Pattern):
        return False
    pattern, value = (left, right) if isinstance(left, Pattern) else (right, left)
    assert isinstance(pattern, Pattern), pattern
    return any(pattern.regex.fullmatch(_input(each)) for each in (value if isinstance(value, list) else [value]))


def _input(value: Operand) -> str:
    if isinstance(value, str):
        return value
    return json_text(value) if isinstance(value, bool) or is_number(value) else ""


def _in(left: Operand, right: Operand) -> bool:
    return _holds(_values(right), left)


def _values(value: Operand) -> Sequence[Json]:
    """Return the values of a list; none of an object. Nothing else can be asked for them."""
    if isinstance(value, list):
        return value
    if isinstance(value, dict):
        return ()
    raise PathInvalid("Expected value list node")


def _holds(values: Sequence[Json], wanted: Operand) -> bool:
    return any(_equals(each, wanted) for each in values)


def _contains(left: Operand, right: Operand) -> bool:
    if isinstance(left, str):
        return isinstance(right, str) and right in left
    return isinstance(left, list) and _holds(left, right)


def _size(left: Operand, right: Operand) -> bool:
    if not is_number(right):
        return False
    if isinstance(left, dict):
        return int(right) == -1
    return isinstance(left, str | list) and len(left) == int(right)


def _empty(left: Operand, right: Operand) -> bool:
    if not isinstance(left, str | list | dict):
        return False
    if not isinstance(right, bool):
        raise PathInvalid("Expected boolean node")
    return (len(left) == 0) is right


def _lists(holds: Callable[[Sequence[Json], Sequence[Json]], bool]) -> Callable[[Operand, Operand], bool]:
    def compare(left: Operand, right: Operand) -> bool:
        if isinstance(right, dict):
            return False
        wanted = _values(right)
        return not isinstance(left, dict) and holds(_values(left), wanted)

    return compare


def _all(_left: Operand, _right: Operand) -> bool:
    raise PathInvalid("Expected value list node")  # Jayway's own `ALL` takes no list that can be written


OPERATORS: Final[dict[str, Callable[[Operand, Operand], bool]]] = {
    "==": _equals,
    "!=": lambda left, right: not _equals(left, right),
    "===": _type_safe_equals,
    "!==": lambda left, right: not _type_safe_equals(left, right),
    "<": _ordered(lambda sign: sign < 0),
    "<=": _ordered(lambda sign: sign <= 0),
    ">": _ordered(lambda sign: sign > 0),
    ">=": _ordered(lambda sign: sign >= 0),
    "=~": _matches,
    "IN": _in,
    "NIN": lambda left, right: not _in(left, right),
    "CONTAINS": _contains,
    "SIZE": _size,
    "EMPTY": _empty,
    "SUBSETOF": _lists(lambda left, right: all(_holds(right, each) for each in left)),
    "ANYOF": _lists(lambda left, right: any(_holds(right, each) for each in left)),
    "NONEOF": _lists(lambda left, right: not any(_holds(right, each) for each in left)),
    "ALL": _all,
}
