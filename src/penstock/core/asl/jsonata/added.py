"""The functions that Step Functions adds to JSONata, and the one that it takes away (`$eval`).

Fractions count towards zero. What is missing or leads nowhere gives undefined, which fails the field that asked, not the
function: all as observed on AWS.
"""

import hashlib
import math
from collections.abc import Callable
from typing import Any, Final

from penstock.core.asl.jsonata.library import NULL, JException
from penstock.core.asl.jsonata.problems import QueryProblem
from penstock.core.asl.jsonata.running import current
from penstock.core.asl.scope import SeededChance
from penstock.core.asl.values import parsed_json

RANGE_LENGTH_MAX: Final = 360_145  # the longest that AWS gives
_HASHES: Final = {"MD5": "md5", "SHA-1": "sha1", "SHA-256": "sha256", "SHA-384": "sha384", "SHA-512": "sha512"}


def partition(values: Any = None, size: Any = None) -> Any:
    if not values or size is None or int(size) < 1:
        return None
    return [values[start : start + int(size)] for start in range(0, len(values), int(size))]


def number_range(first: Any = None, last: Any = None, step: Any = None) -> Any:
    """Return the numbers from first to last. One alone is that number: the list is a sequence, which JSONata unwraps."""
    if first is None or last is None or step is None or int(step) == 0:
        return None
    by = int(step)
    numbers = range(int(first), int(last) + (1 if by > 0 else -1), by)
    if len(numbers) > RANGE_LENGTH_MAX:
        raise QueryProblem("", "Expression evaluation memory limit exceeded: Check for excessive memory usage")
    return (list(numbers) if len(numbers) > 1 else numbers[0]) if numbers else None


def text_hash(text: Any = None, algorithm: Any = None) -> Any:
    if text is None or algorithm is None:
        return None
    if algorithm not in _HASHES:
        raise QueryProblem("", f"Unsupported hash algorithm {algorithm!r}: use one of {', '.join(_HASHES)}")
    return hashlib.new(_HASHES[algorithm], text.encode(), usedforsecurity=False).hexdigest()


def random(seed: Any = None) -> Any:
    source = current().chance if seed is None else SeededChance(str(math.floor(seed)))
    return source.fraction()


def uuid() -> Any:
    return current().chance.uuid()


def parse(text: Any = None) -> Any:
    if text is None:
        return None
    try:
        value = parsed_json(text)
    except ValueError as error:
        raise JException("D3137", -1, f"$parse was given no JSON: {error}") from error
    return NULL if value is None else value


ADDED: Final[dict[str, tuple[Callable[..., Any], str]]] = {
    "hash": (text_hash, "<s?s?:s>"),
    "parse": (parse, "<s?:x>"),
    "partition": (partition, "<a?n?:a<a>>"),
    "random": (random, "<n?:n>"),
    "range": (number_range, "<n?n?n?:a<n>>"),
    "uuid": (uuid, "<:s>"),
}
FORBIDDEN: Final = ("eval",)
