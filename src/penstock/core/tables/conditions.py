"""Conditions on an item: `attribute_exists(a) AND b.c[0] > :n`. They are read once, and then asked of an item.

What is wrong with a condition whatever the item is refused when it is read, as DynamoDB does; what an item lacks makes it false.
"""

import base64
from collections.abc import Callable
from typing import Any, Final, TypeAlias

from penstock.core.tables.paths import found
from penstock.core.tables.refusals import TableRefused
from penstock.core.tables.tokens import END, Names, Path, Walker
from penstock.core.tables.values import SPOKEN, TYPES, Item, Value, content_of, equal, ordered, type_of

Condition: TypeAlias = Callable[[Item], bool]
Operand: TypeAlias = Callable[[Item], Value | None]

OPERANDS_IN_MAX: Final = 100
_COMPARED: Final[dict[str, Callable[[int], bool]]] = {
    "<": lambda order: order < 0,
    "<=": lambda order: order <= 0,
    ">": lambda order: order > 0,
    ">=": lambda order: order >= 0,
}
_FUNCTIONS: Final = {
    "attribute_exists": 1,
    "attribute_not_exists": 1,
    "attribute_type": 2,
    "begins_with": 2,
    "contains": 2,
    "size": 1,
}


def condition_of(text: str, kind: str, names: Names) -> Condition:
    """Read a condition; refuse what is none with DynamoDB's words. `kind` is the parameter's name."""
    reader = _Reader(Walker(text, kind, names))
    condition = reader.either()
    if reader.words.here != END:
        raise reader.words.syntax_error()
    return condition


class _Given:
    """An operand, with what is known of it before any item is seen."""

    __slots__ = ("constant", "path", "value_of")

    def __init__(self, value_of: Operand, *, path: Path | None = None, constant: Value | None = None) -> None:
        self.value_of = value_of
        self.path = path
        self.constant = constant

    @property
    def identity(self) -> object:
        return self.path if self.path is not None else self.constant


class _Reader:
    def __init__(self, words: Walker) -> None:
        self.words = words
        self._closed: dict[int, int] = {}
        """Where parentheses end, by where they begin."""

    def either(self) -> Condition:
        sides = [self._both()]
        while self.words.take("OR"):
            sides.append(self._both())
        return sides[0] if len(sides) == 1 else lambda item: any(side(item) for side in sides)

    def _both(self) -> Condition:
        sides = [self._negated()]
        while self.words.take("AND"):
            sides.append(self._negated())
        return sides[0] if len(sides) == 1 else lambda item: all(side(item) for side in sides)

    def _negated(self) -> Condition:
        if self.words.take("NOT"):
            self.words.deeper()
            inner = self._negated()
            self.words.deeper(-1)
            return lambda item: not inner(item)
        return self._primary()

    def _primary(self) -> Condition:
        words = self.words
        if words.take("("):
            return self._in_parentheses()
        name = words.here
        if words.ahead() == "(" and name != "size" and not name.startswith((":", "#")):
            return self._function()
        left = self.operand()
        if words.take("BETWEEN"):
            return self._between(left)
        if words.take("IN"):
            return self._among(left)
        return self._comparison(left)

    def _in_parentheses(self) -> Condition:
        words = self.words
        words.deeper()
        opened = words.at
        inner = self.either()
        words.deeper(-1)
        closed = words.at
        words.require(")")
        if self._closed.get(opened) == closed - 1:
            raise words.refusal("The expression has redundant parentheses;")
        self._closed[opened - 1] = closed
        return inner

    def operand(self) -> _Given:
        words = self.words
        if words.here.startswith(":"):
            _, value = words.value()
            return _Given(lambda _: value, constant=value)
        if words.here == "size" and words.ahead() == "(":
            return self._size()
        path = words.path()
        return _Given(lambda item: found(item, path), path=path)

    def _size(self) -> _Given:
        words = self.words
        words.next()
        words.require("(")
        if words.here.startswith(":"):
            name, value = words.value()
            raise self._wrong_operand("size", value, name)
        path = words.path()
        words.require(")")

        def size(item: Item) -> Value | None:
            value = found(item, path)
            return None if value is None else _size_of(value)

        return _Given(size)

    def _comparison(self, left: _Given) -> Condition:
        words = self.words
        sign = words.next()
        if sign not in ("=", "<>", *_COMPARED):
            words.back()
            raise words.syntax_error()
        right = self.operand()
        self._require_different(sign, left, right)
        if sign == "=":
            return lambda item: _same(left.value_of(item), right.value_of(item))
        if sign == "<>":
            return lambda item: not _same(left.value_of(item), right.value_of(item))
        for side in (left, right):
            self._require_ordered(sign, side)
        holds = _COMPARED[sign]

        def compared(item: Item) -> bool:
            order = _order(left.value_of(item), right.value_of(item))
            return order is not None and holds(order)

        return compared

    def _between(self, value: _Given) -> Condition:
        low = self.operand()
        self.words.require("AND")
        high = self.operand()
        for side in (value, low, high):
            self._require_ordered("BETWEEN", side)
        if low.constant is not None and high.constant is not None:
            order = ordered(low.constant, high.constant)
            if order is None:
                problem = "The BETWEEN operator requires same data type for lower and upper bounds"
                raise self.words.refusal(
                    f"{problem}; lower bound operand: {_spoken(low)}, upper bound operand: {_spoken(high)}"
                )
            if order > 0:
                problem = "The BETWEEN operator requires upper bound to be greater than or equal to lower bound"
                raise self.words.refusal(
                    f"{problem}; lower bound operand: {_spoken(low)}, upper bound operand: {_spoken(high)}"
                )

        def between(item: Item) -> bool:
            given = value.value_of(item)
            above, below = _order(given, low.value_of(item)), _order(given, high.value_of(item))
            return above is not None and below is not None and above >= 0 >= below

        return between

    def _among(self, value: _Given) -> Condition:
        words = self.words
        words.require("(")
        others = [self.operand()]
        while words.take(","):
            others.append(self.operand())
        words.require(")")
        if len(others) > OPERANDS_IN_MAX:
            raise words.refusal(f"Too many operands for the IN operator; number of operands: {len(others)}")
        return lambda item: any(_same(value.value_of(item), each.value_of(item)) for each in others)

    def _function(self) -> Condition:
        words = self.words
        name = words.next()
        if name not in _FUNCTIONS:
            raise words.refusal(f"Invalid function name; function: {name}")
        words.require("(")
        given = [self.operand()]
        while words.take(","):
            given.append(self.operand())
        words.require(")")
        if len(given) != _FUNCTIONS[name]:
            problem = "Incorrect number of operands for operator or function"
            raise words.refusal(f"{problem}; operator or function: {name}, number of operands: {len(given)}")
        first = given[0]
        if name.startswith("attribute_") and first.path is None:
            raise words.refusal(f"Operator or function requires a document path; operator or function: {name}")
        if len(given) == _FUNCTIONS["contains"] and name != "attribute_type":
            self._require_different(name, *given)
        return _MAKERS[name](self, *given)

    def exists(self, given: _Given) -> Condition:
        return lambda item: given.value_of(item) is not None

    def exists_not(self, given: _Given) -> Condition:
        return lambda item: given.value_of(item) is None

    def has_type(self, given: _Given, kind: _Given) -> Condition:
        if kind.constant is None or type_of(kind.constant) != "S":
            wanted = "NONE" if kind.constant is None else type_of(kind.constant)
            problem = "Incorrect operand type for operator or function"
            raise self.words.refusal(f"{problem}; operator or function: attribute_type, operand type: {wanted}")
        name = kind.constant["S"]
        if name not in TYPES:
            valid = ",".join(TYPES)
            raise self.words.refusal(f"Invalid attribute type name found; type: {name}, valid types: {{{valid}}}")

        def is_of_type(item: Item) -> bool:
            value = given.value_of(item)
            return value is not None and type_of(value) == name

        return is_of_type

    def begins(self, given: _Given, prefix: _Given) -> Condition:
        for side in (given, prefix):
            if side.constant is not None and type_of(side.constant) not in ("S", "B"):
                raise self._wrong_operand("begins_with", side.constant)

        def begins_with(item: Item) -> bool:
            value, start = given.value_of(item), prefix.value_of(item)
            if value is None or start is None or type_of(value) != type_of(start) or type_of(value) not in ("S", "B"):
                return False
            return _raw(value).startswith(_raw(start))

        return begins_with

    def holds(self, given: _Given, part: _Given) -> Condition:
        def contains(item: Item) -> bool:
            value, wanted = given.value_of(item), part.value_of(item)
            return value is not None and wanted is not None and _contains(value, wanted)

        return contains

    def _require_ordered(self, sign: str, side: _Given) -> None:
        if side.constant is not None and type_of(side.constant) not in ("S", "N", "B"):
            raise self._wrong_operand(sign, side.constant)

    def _require_different(self, sign: str, left: _Given, right: _Given) -> None:
        if left.path is not None and left.path == right.path:
            problem = "The first operand must be distinct from the remaining operands for this operator or function"
            names = ".".join(map(str, left.path))
            raise self.words.refusal(f"{problem}; operator: {sign}, first operand: [{names}]")

    def _wrong_operand(self, operator: str, value: Value, _name: str = "") -> TableRefused:
        problem = "Incorrect operand type for operator or function"
        return self.words.refusal(f"{problem}; operator or function: {operator}, operand type: {type_of(value)}")


_MAKERS: Final[dict[str, Callable[..., Condition]]] = {
    "attribute_exists": _Reader.exists,
    "attribute_not_exists": _Reader.exists_not,
    "attribute_type": _Reader.has_type,
    "begins_with": _Reader.begins,
    "contains": _Reader.holds,
}


def _same(one: Value | None, other: Value | None) -> bool:
    return one is not None and other is not None and equal(one, other)


def _order(one: Value | None, other: Value | None) -> int | None:
    return None if one is None or other is None else ordered(one, other)


def _size_of(value: Value) -> Value | None:
    kind = type_of(value)
    if kind in ("N", "BOOL", "NULL"):
        return None
    return {"N": str(len(_raw(value) if kind == "B" else content_of(value)))}


def _raw(value: Value) -> Any:
    """Return text as it is, and the bytes of what is binary."""
    return base64.b64decode(value["B"]) if "B" in value else value["S"]


def _contains(value: Value, wanted: Value) -> bool:
    kind = type_of(value)
    if kind == "L":
        return any(equal(each, wanted) for each in content_of(value))
    if kind in ("SS", "NS", "BS"):
        return type_of(wanted) == kind[0] and content_of(wanted) in content_of(value)
    return kind in ("S", "B") and type_of(wanted) == kind and _raw(wanted) in _raw(value)


def _spoken(given: _Given) -> str:
    assert given.constant is not None
    kind = type_of(given.constant)
    return f"AttributeValue: {{{kind}:{content_of(given.constant)}}}" if kind in SPOKEN else kind
