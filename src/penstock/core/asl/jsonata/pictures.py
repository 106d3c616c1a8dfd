"""The rules for pictures of `$formatNumber` (XPath F&O 4.7.3). As in the reference implementation the last one broken is told."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from penstock.core.asl.jsonata.library import Functions, JException

_DEFAULTS: Final = {
    "decimal-separator": ".",
    "grouping-separator": ",",
    "exponent-separator": "e",
    "percent": "%",
    "per-mille": "\u2030",
    "zero-digit": "0",
    "digit": "#",
    "pattern-separator": ";",
}


def format_number(value: Any = None, picture: Any = None, options: Any = None) -> Any:
    """Do what `$formatNumber` does, after the picture was checked."""
    if value is not None and isinstance(picture, str):
        properties: dict[str, str] = {**_DEFAULTS, **(options or {})}
        for part in picture.split(properties["pattern-separator"]):
            broken = _broken_rule(part, properties)
            if broken:
                raise JException(broken, -1)
    return Functions.format_number(value, picture, options)


@dataclass(frozen=True, slots=True)
class _Picture:
    """The parts of a sub-picture between its passive prefix and suffix."""

    whole: str
    active: str
    mantissa: str
    integer: str
    fraction: str
    exponent: str | None


def _parts(text: str, properties: Mapping[str, str], active: str) -> _Picture:
    marked = [at for at, char in enumerate(text) if char in active and char != properties["exponent-separator"]]
    first, last = (marked[0], marked[-1] + 1) if marked else (0, len(text))
    inner = text[first:last]
    mantissa, separator, exponent = inner.partition(properties["exponent-separator"])
    integer, point, fraction = mantissa.partition(properties["decimal-separator"])
    return _Picture(text, inner, mantissa, integer, fraction if point else text[last:], exponent if separator else None)


def _broken_rule(text: str, properties: Mapping[str, str]) -> str | None:
    zero = ord(properties["zero-digit"])
    family = "".join(map(chr, range(zero, zero + 10)))
    point, group, digit = properties["decimal-separator"], properties["grouping-separator"], properties["digit"]
    percent, mille = properties["percent"], properties["per-mille"]
    picture = _parts(text, properties, family + point + properties["exponent-separator"] + group + digit)
    active = family + point + properties["exponent-separator"] + group + digit
    exponent = picture.exponent
    rules = {
        "D3081": text.count(point) > 1,
        "D3082": text.count(percent) > 1,
        "D3083": text.count(mille) > 1,
        "D3084": percent in text and mille in text,
        "D3085": not any(char in family or char == digit for char in picture.mantissa),
        "D3086": any(char not in active for char in picture.active),
        "D3087": point in text and (group + point in text or point + group in text),
        "D3088": point not in text and picture.integer.endswith(group),
        "D3089": group * 2 in text,
        "D3090": digit in picture.integer and any(char in family for char in picture.integer.partition(digit)[0]),
        "D3091": digit in picture.fraction and any(char in family for char in picture.fraction.rpartition(digit)[2]),
        "D3092": bool(exponent) and (percent in text or mille in text),
        "D3093": exponent is not None and (not exponent or any(char not in family for char in exponent)),
    }
    return next((code for code in reversed(rules) if rules[code]), None)
