"""How JavaScript writes values: what `$string` and `&` make of them, as the reference implementation does."""

import json
import math
from decimal import Decimal
from typing import Any, Final, cast

from penstock.core.asl.jsonata.library import NULL, Functions, JException, Utils

LONG_MAX: Final = 2**63 - 1
"""Whole numbers up to here are exact, as in Step Functions; beyond they are floating."""

_PLAIN_DIGITS_MAX: Final = 21
_ZEROS_MAX: Final = 6
_DIGITS: Final = 15


def number_text(value: float) -> str:
    """Return a number as JavaScript writes it: plain below 1e21, with an exponent from there and below 1e-6."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    exact = Decimal(str(value) if abs(value) <= LONG_MAX and isinstance(value, int) else repr(float(value)))
    sign, digits, exponent = exact.normalize().as_tuple()
    point = len(digits) + int(exponent)
    if -_ZEROS_MAX < point <= _PLAIN_DIGITS_MAX:
        return format(exact.normalize(), "f")
    first, *rest = map(str, digits)
    fraction = f".{''.join(rest)}" if rest else ""
    return f"{'-' if sign else ''}{first}{fraction}e{'+' if point > 0 else '-'}{abs(point - 1)}"


def text_of(value: Any, indent: int = 0, level: int = 1) -> str:
    """Return the JSON text of a value in the middle of an evaluation; functions are empty strings in it."""
    if isinstance(value, dict):
        space = ": " if indent else ":"
        members = cast("dict[str, Any]", value).items()
        parts = [f"{_text(key)}{space}{text_of(each, indent, level + 1)}" for key, each in members]
        return _bracketed("{}", parts, indent, level)
    if isinstance(value, list):
        items = [text_of(each, indent, level + 1) for each in cast("list[Any]", value)]
        return _bracketed("[]", items, indent, level)
    return _text(value)


def _text(value: Any) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return number_text(_rounded(value))
    if value is NULL or value is None or isinstance(value, str | bool):
        return json.dumps(None if value is NULL else value, ensure_ascii=False)
    return '""'


def string(value: Any, prettify: Any = None) -> str | None:
    """Do what `$string` does."""
    if getattr(value, "outer_wrapper", False):
        value = value[0]  # the document, when it is a list
    if value is None or isinstance(value, str):
        return value
    if Utils.is_function(value) or Functions.is_lambda(value):
        return ""
    if isinstance(value, float) and not math.isfinite(value):
        raise JException("D3001", -1, value)
    return text_of(value, indent=2 if prettify is True else 0)


def _rounded(value: float) -> int | float:
    """Keep 15 digits of a fraction, so that 0.1 + 0.2 is written as 0.3."""
    if isinstance(value, int):
        return value
    if not math.isfinite(value):
        raise JException("D1001", -1, value)
    return value if value.is_integer() else float(f"{value:.{_DIGITS}g}")


def _bracketed(brackets: str, parts: list[str], indent: int, level: int) -> str:
    if not indent or not parts:
        return f"{brackets[0]}{','.join(parts)}{brackets[1]}"
    inner, outer = " " * indent * level, " " * indent * (level - 1)
    return f"{brackets[0]}\n{inner}{f',{chr(10)}{inner}'.join(parts)}\n{outer}{brackets[1]}"
