"""The functions that Step Functions adds to JSONata, and the one that it takes away (`$eval`).

Fractions count towards zero. What is missing or leads nowhere gives undefined, which fails the field that asked, not the
function: all as observed on AWS.
"""

import hashlib
import json
import math
from collections.abc import Callable
from typing import Any, Final

from penstock.core.asl.java_random import JavaRandom
from penstock.core.asl.jsonata.library import NULL, JException
from penstock.core.asl.jsonata.problems import MEMORY_EXCEEDED
from penstock.core.asl.jsonata.running import current

RANGE_LENGTH_MAX: Final = 360_145  # the longest that AWS gives
_HASHES: Final = {"MD5": "md5", "SHA-1": "sha1", "SHA-256": "sha256", "SHA-384": "sha384", "SHA-512": "sha512"}


def partition(values: Any = None, size: Any = None) -> Any:
    if not values:
        return None
    length = len(values) if size is None else int(size)
    if length < 0:
        raise JException("D3137", -1, "Second argument must be zero or greater")
    return [values[start : start + length] for start in range(0, len(values), length)] if length else None


def number_range(first: Any, last: Any, step: Any = None) -> Any:
    """Return the numbers from first to last. One alone is that number: the list is a sequence, which JSONata unwraps."""
    if first is None or last is None or step is None or int(step) == 0:
        return None
    by = int(step)
    numbers = range(int(first), int(last) + (1 if by > 0 else -1), by)
    if len(numbers) > RANGE_LENGTH_MAX:
        raise MEMORY_EXCEEDED
    return (list(numbers) if len(numbers) > 1 else numbers[0]) if numbers else None


def text_hash(text: Any = None, algorithm: Any = None) -> Any:
    if text is None or algorithm is None:
        return None
    if algorithm not in _HASHES:
        raise JException("D3137", -1, f"Unsupported algorithm {algorithm}: use one of {', '.join(_HASHES)}")
    return hashlib.new(_HASHES[algorithm], text.encode(), usedforsecurity=False).hexdigest()


def random(seed: Any = None) -> Any:
    return current().chance.fraction() if seed is None else JavaRandom(int(seed)).fraction()


def uuid() -> Any:
    return current().chance.uuid()


def parse(text: Any = None) -> Any:
    if text is None:
        return None
    if text is NULL:
        raise JException("T0410", -1, 1, "parse")
    try:
        value = json.loads(text, parse_constant=_refused, parse_float=_finite, object_pairs_hook=_members)
    except (ValueError, RecursionError) as error:
        raise JException("D3137", -1, f"Invalid JSON: {error}") from error
    return NULL if value is None else value


def _refused(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is out of range")
    return number


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise ValueError("a key stands there twice")
    return members


ADDED: Final[dict[str, tuple[Callable[..., Any], str]]] = {
    "hash": (text_hash, "<s?s?:s>"),
    "parse": (parse, "<s?:x>"),
    "partition": (partition, "<an?:a<a>>"),
    "random": (random, "<n?:n>"),
    "range": (number_range, "<nnn?:a<n>>"),
    "uuid": (uuid, "<:s>"),
}
FORBIDDEN: Final = ("eval",)
