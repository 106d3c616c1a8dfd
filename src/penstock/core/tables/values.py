"""The typed values of a table's attributes: {"S": "text"}, {"N": "12"}, {"L": [...]}: checked, normalised, compared.

A value is what stands on the wire. `normalised` is the only door: what has passed it is well formed, its numbers are written one
way, and its sets are in order, so that equal values are equal dicts.
"""

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from decimal import Context, Decimal
from typing import Any, Final, TypeAlias, cast

from penstock.core.tables.refusals import TableRefused, invalid, invalid_value

Value: TypeAlias = dict[str, Any]
Item: TypeAlias = dict[str, Value]

DIGITS_MAX: Final = 38
DEPTH_MAX: Final = 32
_EXPONENT_MAX, _EXPONENT_MIN = 125, -130
_NUMBER: Final = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_SETS: Final = {"SS": "S", "NS": "N", "BS": "B"}
TYPES: Final = ("B", "NULL", "SS", "BOOL", "L", "BS", "N", "NS", "S", "M")
SPOKEN: Final = {
    "S": "STRING",
    "N": "NUMBER",
    "B": "BINARY",
    "SS": "STRING_SET",
    "NS": "NUMBER_SET",
    "BS": "BINARY_SET",
    "L": "LIST",
    "M": "MAP",
    "NULL": "NULL",
    "BOOL": "BOOLEAN",
}
"""The types as the texts of errors name them."""
_exact = Context(prec=2 * DIGITS_MAX, Emax=10_000, Emin=-10_000)


def type_of(value: Value) -> str:
    """Return the type of a normalised value."""
    return next(iter(value))


def content_of(value: Value) -> Any:
    """Return what a normalised value holds."""
    return next(iter(value.values()))


def number_of(value: Value) -> Decimal:
    """Return the number of a normalised N."""
    return Decimal(value["N"])


def number_value(number: Decimal) -> Value:
    """Return a number as a value; refuse what a table cannot hold."""
    return {"N": _number_text(number)}


def plus(one: Decimal, other: Decimal) -> Decimal:
    """Return a sum without rounding: what a table cannot hold is refused, not rounded."""
    return _exact.add(one, other)


def normalised_item(item: object) -> Item:
    """Return an item whose values are well formed; refuse others with DynamoDB's words."""
    if not isinstance(item, Mapping):
        raise invalid("Item must be an object of attribute values")
    return {str(name): normalised(value) for name, value in cast("Mapping[object, object]", item).items()}


def normalised(value: object, depth: int = 0) -> Value:
    """Return a value that is well formed."""
    if depth > DEPTH_MAX:
        raise invalid_value("Nesting Levels have exceeded supported limits")
    if not isinstance(value, Mapping) or not value:
        raise invalid("Supplied AttributeValue is empty, must contain exactly one of the supported datatypes")
    given = {key: each for key, each in cast("Mapping[str, object]", value).items() if key in _READERS}
    if not given:
        raise invalid("Supplied AttributeValue is empty, must contain exactly one of the supported datatypes")
    if len(given) > 1:
        raise invalid(
            "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes"
        )
    kind, content = next(iter(given.items()))
    return {kind: _READERS[kind](kind, content, depth)}


def equal(one: Value, other: Value) -> bool:
    """Whether two normalised values are of one type and the same."""
    return one == other


def ordered(one: Value, other: Value) -> int | None:
    """Compare two normalised values: below, at or above 0; None where they have no order."""
    kind = type_of(one)
    if kind != type_of(other) or kind not in ("S", "N", "B"):
        return None
    key = _ORDER[kind]
    left, right = key(content_of(one)), key(content_of(other))
    return (left > right) - (left < right)


def size_bytes(item: Item) -> int:
    """Return what an item counts against the limit of its size, as DynamoDB counts."""
    return sum(len(name.encode()) + _bytes(value) for name, value in item.items())


def _bytes(value: Value) -> int:
    kind, content = type_of(value), content_of(value)
    if kind in ("S", "N", "B"):
        return _scalar_bytes(kind, content)
    match kind:
        case "SS" | "NS" | "BS":
            return sum(_scalar_bytes(_SETS[kind], each) for each in content)
        case "L":
            return 3 + sum(1 + _bytes(each) for each in content)
        case "M":
            return 3 + sum(1 + len(name.encode()) + _bytes(each) for name, each in content.items())
        case _:
            return 1


def _scalar_bytes(kind: str, content: str) -> int:
    if kind == "N":
        return (len(content.strip("-0").replace(".", "")) + 1) // 2 + 1
    return len(content.encode()) if kind == "S" else len(base64.b64decode(content))


def _number_text(number: Decimal) -> str:
    if not number:
        return "0"
    # Not Decimal.normalize, which would round to the precision of the context.
    sign, digits, exponent = number.as_tuple()
    text = "".join(map(str, digits)).lstrip("0")
    kept = text.rstrip("0")
    exponent = cast("int", exponent) + len(text) - len(kept)
    if len(kept) > DIGITS_MAX:
        raise invalid("Attempting to store more than 38 significant digits in a Number")
    magnitude = exponent + len(kept) - 1
    if magnitude > _EXPONENT_MAX:
        raise invalid("Number overflow. Attempting to store a number with magnitude larger than supported range")
    if magnitude < _EXPONENT_MIN:
        raise invalid("Number underflow. Attempting to store a number with magnitude smaller than supported range")
    return format(Decimal((sign, tuple(map(int, kept)), exponent)), "f")


def _number(_kind: str, content: object, _depth: int) -> str:
    if not isinstance(content, str):
        raise wrong_type("N", content)
    if not _NUMBER.fullmatch(content.strip()):
        raise invalid(f"The parameter cannot be converted to a numeric value: {content}")
    text = content.strip()
    exponent = text.lower().partition("e")[2]
    if exponent and len(exponent.strip("+-0")) > len(str(_exact.Emax)) - 1:  # Decimal itself would not hold it
        way = "underflow" if exponent.startswith("-") else "overflow"
        than = "smaller" if way == "underflow" else "larger"
        raise invalid(f"Number {way}. Attempting to store a number with magnitude {than} than supported range")
    return _number_text(Decimal(text))


def _text(kind: str, content: object, _depth: int) -> str:
    if not isinstance(content, str):
        raise wrong_type(kind, content)
    return content


def _binary(kind: str, content: object, _depth: int) -> str:
    text = _text(kind, content, 0)
    try:
        return base64.b64encode(base64.b64decode(text, validate=True)).decode()
    except (binascii.Error, ValueError) as error:
        raise wrong_type(kind, content) from error


def _truth(kind: str, content: object, _depth: int) -> bool:
    if not isinstance(content, bool):
        raise wrong_type(kind, content)
    if kind == "NULL" and not content:
        raise invalid_value("Null attribute value types must have the value of true")
    return content


def _set(kind: str, content: object, _depth: int) -> list[str]:
    if not isinstance(content, list):
        raise wrong_type(kind, content)
    of = _SETS[kind]
    members = [cast("str", _READERS[of](of, each, 0)) for each in cast("list[object]", content)]
    if not members:
        spoken = {"S": "string", "N": "number", "B": "binary"}[of]
        raise invalid_value(f"An {spoken} set  may not be empty")
    if len(set(members)) < len(members):
        raise invalid_value(f"Input collection [{', '.join(members)}] contains duplicates.")
    return sorted(members, key=_ORDER[of])


def _list(kind: str, content: object, depth: int) -> list[Value]:
    if not isinstance(content, list):
        raise wrong_type(kind, content)
    return [normalised(each, depth + 1) for each in cast("list[object]", content)]


def _map(kind: str, content: object, depth: int) -> dict[str, Value]:
    if not isinstance(content, Mapping):
        raise wrong_type(kind, content)
    return {name: normalised(each, depth + 1) for name, each in cast("Mapping[str, object]", content).items()}


def wrong_type(kind: str, content: object) -> TableRefused:
    """Return the refusal of a value whose content is not that of its type."""
    return invalid(f"The value of an attribute of type {kind} has an invalid format: {content!r:.100}")


_READERS: Final[dict[str, Callable[[str, object, int], Any]]] = {
    "S": _text,
    "N": _number,
    "B": _binary,
    "BOOL": _truth,
    "NULL": _truth,
    "SS": _set,
    "NS": _set,
    "BS": _set,
    "L": _list,
    "M": _map,
}
_ORDER: Final[dict[str, Callable[[str], Any]]] = {
    "S": lambda text: text.encode(),
    "N": Decimal,
    "B": base64.b64decode,
}
