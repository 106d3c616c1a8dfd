"""Filters as conditions in SQL: on `metadata` (texts by field, jsonb) and `numbers` (what of them reads as a number).

A number is stored as 16 hexadecimal digits in the order of numbers (`sealed_form.number_key`): so it compares as in Python, where
Postgres would refuse 1e999. Texts compare by code point. What is no text for Postgres (a zero byte, half a character) is in no
row.
"""

from collections.abc import Callable

from penstock.core.knowledge.filters import All, Any, Equal, Exists, Filter, In, Leaf, Not, Range, number
from penstock.core.knowledge.sealed_form import number_key

Argument = str | list[str]


class Conditions:
    """Conditions that share the arguments of one statement."""

    def __init__(self, add: Callable[[Argument], str]) -> None:
        """`add` takes an argument, and returns what stands for it."""
        self._add = add

    def of(self, filter: Filter) -> str:
        """The condition of a filter: true or false for each row, never unknown."""
        match filter:
            case Equal() | In() | Range() | Exists():
                unknown = not is_storable(filter.field) or (isinstance(filter, Equal) and not is_storable(filter.value))
                return "false" if unknown else f"COALESCE({self._leaf(filter)}, false)"
            case All(filters):
                return f"({' AND '.join(map(self.of, filters))})" if filters else "true"
            case Any(filters):
                return f"({' OR '.join(map(self.of, filters))})" if filters else "false"
            case Not(inner):
                return f"(NOT {self.of(inner)})"

    def _leaf(self, leaf: Leaf) -> str:
        field = f"{self._add(leaf.field)}::text"
        match leaf:
            case Equal(_, value):
                return f"metadata ->> {field} = {self._add(value)}::text"
            case In(_, values):
                return f"metadata ->> {field} = ANY({self._add([*filter(is_storable, values)])}::text[])"
            case Exists():
                return f"jsonb_exists(metadata, {field})"
            case Range():
                given = ((">=", leaf.gte), (">", leaf.gt), ("<=", leaf.lte), ("<", leaf.lt))
                bounds = [self._bound(field, operator, bound) for operator, bound in given if bound is not None]
                return " AND ".join([f"jsonb_exists(metadata, {field})", *bounds])

    def _bound(self, field: str, operator: str, bound: str) -> str:
        if not is_storable(bound):
            # No text has a zero byte here, so a bound without it is as good: it is just below.
            return self._bound(field, operator.rstrip("=") if operator[0] == ">" else "<=", _storable(bound))
        as_text = f'(metadata ->> {field}) COLLATE "C" {operator} {self._add(bound)}::text'
        read = number(bound)
        if read is None:
            return as_text
        as_number = f'(numbers ->> {field}) COLLATE "C" {operator} {self._add(digits(read))}::text'
        return f"(CASE WHEN jsonb_exists(numbers, {field}) THEN {as_number} ELSE {as_text} END)"


def digits(value: float) -> str:
    """A number as text in the order of numbers."""
    return f"{int(number_key(value)):016x}"


def is_storable(text: str) -> bool:
    """Whether Postgres can hold a text."""
    return _storable(text) == text


def _storable(text: str) -> str:
    cut = text.split("\0", 1)[0]
    try:
        cut.encode()
    except UnicodeEncodeError as error:
        return cut[: error.start]
    return cut
