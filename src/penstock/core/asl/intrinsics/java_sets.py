"""The order in which a Java HashSet gives its members: that of `States.ArrayUnique`, as observed on AWS.

It follows from the hash codes that Java and Jackson give to JSON values, and from the size of the table.
"""

import struct
from collections.abc import Sequence
from functools import reduce
from typing import Final

from penstock.core.asl.values import Json, equal

_TABLE_MIN: Final = 16
_LOAD: Final = 0.75
_INT_MASK: Final = 2**32 - 1
_HALF: Final = 16
_INT32_MAX: Final = 2**31 - 1


def unique(values: Sequence[Json]) -> list[Json]:
    """Return the different values among some, in a HashSet's order."""
    size = _TABLE_MIN
    while size < int(len(values) / _LOAD) + 1:
        size *= 2
    table: dict[int, list[Json]] = {}
    for value in values:
        code = _hash(value)
        place = table.setdefault((code ^ code >> _HALF) & (size - 1), [])
        if not any(equal(value, each) for each in place):
            place.append(value)
    return [value for index in sorted(table) for value in table[index]]


def _hash(value: Json) -> int:
    """Return Java's hash code, as 32 bits without a sign. Equal values have equal codes: 1.0 has that of 1."""
    match value:
        case None:
            code = 0
        case bool():
            code = 3 if value else 1
        case int() | float():
            code = _number_hash(value)
        case str():
            code = reduce(lambda so_far, unit: so_far * 31 + unit & _INT_MASK, _utf16(value), 0)
        case list():
            code = reduce(lambda so_far, each: so_far * 31 + _hash(each) & _INT_MASK, value, 1)
        case dict():
            code = sum(_hash(key) ^ _hash(each) for key, each in value.items())
    return code & _INT_MASK


def _number_hash(value: float) -> int:
    if isinstance(value, int) or value.is_integer():
        whole = int(value)
        return whole if -_INT32_MAX - 1 <= whole <= _INT32_MAX else whole ^ whole >> 32
    bits: int = struct.unpack(">Q", struct.pack(">d", value))[0]
    return bits ^ bits >> 32


def _utf16(text: str) -> tuple[int, ...]:
    encoded = text.encode("utf-16-be", "surrogatepass")
    return struct.unpack(f">{len(encoded) // 2}H", encoded)
