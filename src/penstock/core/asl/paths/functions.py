"""The functions that may end a path: `$.items.length()`, `$.prices.sum()`."""

import math
from collections.abc import Callable, Sequence
from itertools import chain

from penstock.core.asl.failures import PathInvalid
from penstock.core.asl.values import Json, is_number, json_text


def call_function(name: str, value: Json, arguments: Sequence[Json]) -> Json:
    """Return the result of a function of the value before it. Raise `PathInvalid` when it has none."""
    if name in _AGGREGATES:
        numbers = [
            float(each) for each in _flat(value if isinstance(value, list) else None, arguments) if is_number(each)
        ]
        if not numbers:
            raise PathInvalid("Aggregation function attempted to calculate value using empty array")
        return _AGGREGATES[name](numbers)
    match name:
        case "length" | "size":
            of = arguments[0] if arguments and isinstance(arguments[0], list) else value
            return len(of) if isinstance(of, list | dict) else None
        case "keys":
            return list(value) if isinstance(value, dict) else None
        case "concat":
            texts = [each for each in value if isinstance(each, str)] if isinstance(value, list) else []
            return "".join(_text(each) for each in _flat(texts, arguments))
        case "append":
            return [*value, *arguments] if isinstance(value, list) else value
        case "first" | "last" | "index":
            return _element(name, value, arguments)
        case _:
            raise PathInvalid(f"Function with name: {name} does not exist.")


def _element(name: str, value: Json, arguments: Sequence[Json]) -> Json:
    index = {"first": 0, "last": -1}.get(name)
    if index is None:
        index = int(arguments[0]) if arguments and is_number(arguments[0]) else 0
    if not isinstance(value, list) or not -len(value) <= index < len(value):
        raise PathInvalid("Aggregation function attempted to calculate value using empty array")
    return value[index]


def _flat(values: Sequence[Json] | None, arguments: Sequence[Json]) -> list[Json]:
    spread = (each if isinstance(each, list) else [each] for each in arguments)
    return list(chain(values or (), chain.from_iterable(spread)))


def _text(value: Json) -> str:
    return value if isinstance(value, str) else json_text(value)


def _stddev(numbers: Sequence[float]) -> float:
    mean = sum(numbers) / len(numbers)
    return math.sqrt(max(0.0, sum(each * each for each in numbers) / len(numbers) - mean * mean))


_AGGREGATES: dict[str, Callable[[Sequence[float]], float]] = {
    "avg": lambda numbers: sum(numbers) / len(numbers),
    "max": max,
    "min": min,
    "stddev": _stddev,
    "sum": sum,
}
