"""Built-in functions of JSONata that the library computes differently from the reference implementation, or with another code.

Each takes undefined as None and null as `NULL`, after the library has checked the arguments by their signature.
"""

import math
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final, cast

from penstock.core.asl.jsonata.library import NULL, Functions, JException, Utils
from penstock.core.asl.jsonata.matching import contains, match, replace, split
from penstock.core.asl.jsonata.pictures import format_number
from penstock.core.asl.jsonata.running import current
from penstock.core.asl.jsonata.texts import string
from penstock.core.asl.jsonata.times import to_millis

_NUMBER: Final = re.compile(r"-?\d+(\.\d+)?([Ee][-+]?\d+)?")
_RADIX: Final = re.compile(r"0([xX][0-9A-Fa-f]+|[oO][0-7]+|[bB][01]+)")
_EXACT_MAX: Final = 10**21


def number(value: Any = None) -> Any:
    if not isinstance(value, str):
        return Functions.number(value)
    if _RADIX.fullmatch(value):
        return int(value, 0)
    found = float(value) if _NUMBER.fullmatch(value) else math.inf
    if not math.isfinite(found):
        raise JException("D3030", -1, value)
    return found


def power(base: Any = None, exponent: Any = None) -> Any:
    if base is None:
        return None
    try:
        result = float(base) ** float(exponent)
    except (OverflowError, ZeroDivisionError):
        result = math.inf
    if isinstance(result, complex) or not math.isfinite(result):
        raise JException("D3061", -1, base, exponent)
    return result


def length(text: Any = None) -> Any:
    if text is NULL:
        raise JException("T0410", -1, 1, "length")
    return None if text is None else len(joined_surrogates(text))


def joined_surrogates(text: str) -> str:
    """Return a text in which two halves of a character, written as two escapes, are one."""
    if not any("\ud800" <= char <= "\udfff" for char in text):
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")


def error(*arguments: Any) -> Any:
    if arguments and arguments[0] is NULL:
        raise JException("T0410", -1, 1, "error")
    return Functions.error(arguments[0] if arguments else None)


def sort(values: Any = None, comparator: Any = None) -> Any:
    """Sort by merging, as the reference does: a comparator says only whether its two arguments are to change places."""
    if values is None or len(values) <= 1:
        return values
    if comparator is None:
        if not Utils.is_array_of_numbers(values) and not Utils.is_array_of_strings(values):
            raise JException("D3070", -1)
        return sorted(values)
    return _merged(
        list(values), lambda one, other: Functions.to_boolean(Functions.func_apply(comparator, [one, other]))
    )


def _merged(values: list[Any], swaps: Callable[[Any, Any], Any]) -> list[Any]:
    if len(values) <= 1:
        return values
    middle = len(values) // 2
    left, right = _merged(values[:middle], swaps), _merged(values[middle:], swaps)
    merged: list[Any] = []
    while left and right:
        merged.append(right.pop(0) if swaps(left[0], right[0]) else left.pop(0))
    return merged + left + right


def shuffle(values: Any = None) -> Any:
    if values is None:
        return None
    left = list(values)
    shuffled: list[Any] = []
    while left:
        shuffled.append(left.pop(int(current().chance.fraction() * len(left))))
    return shuffled


def format_integer(value: Any = None, picture: Any = None) -> Any:
    if value is not None and abs(value) >= _EXACT_MAX:
        value = int(Decimal(repr(float(value))))  # 1e46 is meant, not the binary number next to it
    return Functions.format_integer(value, picture)


def url_function(name: str, method: str) -> Callable[..., Any]:
    """Return one of the four functions for addresses, which tells of a broken one with its own code."""
    convert = getattr(Functions, method)

    def converted(text: Any = None) -> Any:
        try:
            return convert(text)
        except ValueError as broken:
            raise JException("D3140", -1, name, text) from broken

    return converted


def count(values: Any = None) -> Any:
    return 0 if values is None else len(cast("list[Any]", values)) if isinstance(values, list) else 1


def parse_integer(text: Any = None, picture: Any = None) -> Any:
    if text is None or picture is None:
        return None
    try:
        found = Functions.parse_integer(text, picture)
    except ValueError:
        found = None
    return math.nan if found is None else found


MENDED: Final[dict[str, tuple[Callable[..., Any], str]]] = {
    "count": (count, "<x?:n>"),
    "contains": (contains, "<s-(sf):b>"),
    "decodeUrl": (url_function("decodeUrl", "decode_url"), "<s-:s>"),
    "decodeUrlComponent": (url_function("decodeUrlComponent", "decode_url_component"), "<s-:s>"),
    "encodeUrl": (url_function("encodeUrl", "encode_url"), "<s-:s>"),
    "encodeUrlComponent": (url_function("encodeUrlComponent", "encode_url_component"), "<s-:s>"),
    "error": (error, "<s?:x>"),
    "formatNumber": (format_number, "<n-so?:s>"),
    "formatInteger": (format_integer, "<n-s:s>"),
    "match": (match, "<s-f<s:o>n?:a<o>>"),
    "length": (length, "<s-:n>"),
    "number": (number, "<(nsb)-:n>"),
    "parseInteger": (parse_integer, "<s-s:n>"),
    "power": (power, "<n-n:n>"),
    "replace": (replace, "<s-(sf)(sf)n?:s>"),
    "shuffle": (shuffle, "<a:a>"),
    "sort": (sort, "<af?:a>"),
    "split": (split, "<s-(sf)n?:a<s>>"),
    "string": (string, "<x-b?:s>"),
    "toMillis": (to_millis, "<s-s?:n>"),
}
"""Name, implementation and JSONata's signature."""
