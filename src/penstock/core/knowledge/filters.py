"""Which passages a search may return: a small language over metadata, and what it means.

Metadata are texts, and so is what a filter compares them with. Three rules hold everywhere:

- `matches` is the meaning. An index may evaluate a filter in any way that gives the same passages.
- A passage without the field matches no leaf about it, and therefore every `Not` of one.
- A range compares as numbers (double precision) when both sides read as decimal numbers, else as texts
  by code point: ISO 8601 dates of one form order rightly.
"""

import re
from collections.abc import Mapping, Sequence
from typing import cast

from msgspec import Struct

from penstock.errors import Finding, Invalid

DEPTH_MAX = 8
NODES_MAX = 256
VALUES_MAX = 1_000
TEXT_LENGTH_MAX = 4_096

_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
# In this order: a truth value is an `int`, and a text a `Sequence`.
_KINDS = (
    (type(None), "null"),
    (bool, "a truth value"),
    (str, "a text"),
    (int | float, "a number"),
    (Mapping, "an object"),
    (Sequence, "a list"),
)
_BOUNDS = ("gte", "gt", "lte", "lt")
_OPERATORS = ("equal", "in", "exists", *_BOUNDS)


class Equal(Struct, frozen=True, tag="equal"):
    """The field is this text."""

    field: str
    value: str


class In(Struct, frozen=True, tag="in"):
    """The field is one of these texts; of none, nothing matches."""

    field: str
    values: tuple[str, ...]


class Range(Struct, frozen=True, tag="range"):
    """The field lies within all bounds that are given; without any, that the field exists is enough."""

    field: str
    gte: str | None = None
    gt: str | None = None
    lte: str | None = None
    lt: str | None = None


class Exists(Struct, frozen=True, tag="exists"):
    """The passage has the field, whatever it holds."""

    field: str


class All(Struct, frozen=True, tag="all"):
    """Every one of the filters matches; of none, everything does."""

    filters: tuple["Filter", ...]


class Any(Struct, frozen=True, tag="any"):
    """At least one of the filters matches; of none, nothing does."""

    filters: tuple["Filter", ...]


class Not(Struct, frozen=True, tag="not"):
    """The filter does not match."""

    filter: "Filter"


Leaf = Equal | In | Range | Exists
Filter = Leaf | All | Any | Not


def matches(filter: Filter, metadata: Mapping[str, str]) -> bool:
    """Whether a passage with this metadata may be returned."""
    match filter:
        case Equal(field) | In(field) | Range(field) | Exists(field):
            return field in metadata and _accepts(filter, metadata[field])
        case All(filters):
            return all(matches(each, metadata) for each in filters)
        case Any(filters):
            return any(matches(each, metadata) for each in filters)
        case Not(inner):
            return not matches(inner, metadata)


def within(bounds: Range, value: str) -> bool:
    """Whether a value lies within all of the bounds."""
    return (
        (bounds.gte is None or _compared(value, bounds.gte) >= 0)
        and (bounds.gt is None or _compared(value, bounds.gt) > 0)
        and (bounds.lte is None or _compared(value, bounds.lte) <= 0)
        and (bounds.lt is None or _compared(value, bounds.lt) < 0)
    )


def number(text: str) -> float | None:
    """The number that a text reads as (ASCII digits, point, exponent; no spaces, no `inf`), or none."""
    return float(text) if _NUMBER.fullmatch(text) else None


def parse_filter(document: Mapping[str, object]) -> Filter:
    """Read the JSON form of a filter; all members must match.

        {"source": "manual", "year": {"gte": 2020, "lt": 2024}, "lang": {"in": ["en", "de"]},
         "or": [{"a": "x"}, {"b": {"exists": true}}], "not": {"state": "draft"}, "and": [...]}

    A field that is named like a combinator (`and`, `or`, `not`) can be had through the Python form only.
    Raises `Invalid` with every finding, paths from `$`.
    """
    reading = _Reading()
    parsed = reading.members(document, path="$", depth=1)
    if reading.nodes > NODES_MAX:
        reading.wrong("$", f"has {reading.nodes} conditions", f"use {NODES_MAX} at most")
    if reading.findings:
        raise Invalid("the filter", tuple(reading.findings))
    return parsed


def _accepts(leaf: Leaf, value: str) -> bool:
    match leaf:
        case Equal():
            return value == leaf.value
        case In():
            return value in leaf.values
        case Range():
            return within(leaf, value)
        case Exists():
            return True


def _compared(value: str, bound: str) -> float:
    left, right = number(value), number(bound)
    if left is None or right is None:
        return (value > bound) - (value < bound)
    # Not the difference: it is not a number for two infinities (1e999).
    return (left > right) - (left < right)


class _Reading:
    """One reading of a document: what it found wrong so far, and how many conditions it met."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []
        self.nodes = 0

    def wrong(self, path: str, problem: str, hint: str) -> All:
        """Note a finding; what is returned stands in for the filter that could not be read."""
        self.findings.append(Finding(path, problem, hint))
        return All(())

    def members(self, document: object, *, path: str, depth: int) -> Filter:
        if not isinstance(document, Mapping):
            return self.wrong(path, f"is {_kind(document)}", 'write an object, as {"source": "manual"}')
        if depth > DEPTH_MAX:
            return self.wrong(path, "is nested too deeply", f"use {DEPTH_MAX} levels at most")
        filters: list[Filter] = []
        for name, value in cast("Mapping[object, object]", document).items():
            self.nodes += 1
            if self.nodes > NODES_MAX:
                break
            if isinstance(name, str) and len(name) <= TEXT_LENGTH_MAX:
                filters.append(self._member(name, value, path=f"{path}.{name}", depth=depth))
            else:
                self.wrong(path, "has a field whose name is no text, or too long", f"use {TEXT_LENGTH_MAX} characters")
        return filters[0] if len(filters) == 1 else All(tuple(filters))

    def _member(self, name: str, value: object, *, path: str, depth: int) -> Filter:
        match name:
            case "and":
                return All(self._branches(value, path=path, depth=depth))
            case "or":
                return Any(self._branches(value, path=path, depth=depth))
            case "not":
                return Not(self.members(value, path=path, depth=depth + 1))
            case _ if isinstance(value, Mapping):
                return self._condition(name, cast("Mapping[object, object]", value), path=path)
            case _:
                return Equal(name, self._text(value, path=path))

    def _branches(self, value: object, *, path: str, depth: int) -> tuple[Filter, ...]:
        if not isinstance(value, Sequence) or isinstance(value, str | bytes):
            self.wrong(path, f"is {_kind(value)}", "write a list of objects")
            return ()
        # No branch is read beyond the bound: a long list must not cost more than its refusal.
        branches = list(cast("Sequence[object]", value))[: NODES_MAX + 1]
        self.nodes += len(branches)
        return tuple(self.members(each, path=f"{path}[{at}]", depth=depth + 1) for at, each in enumerate(branches))

    def _condition(self, field: str, operators: Mapping[object, object], *, path: str) -> Filter:
        if not operators:
            return self.wrong(path, "has no operator", f"use one of {', '.join(_OPERATORS)}")
        filters: list[Filter] = []
        bounds: dict[str, str] = {}
        for operator, value in operators.items():
            at = f"{path}.{operator}"
            match operator:
                case "equal":
                    filters.append(Equal(field, self._text(value, path=at)))
                case "in":
                    filters.append(In(field, self._texts(value, path=at)))
                case "exists":
                    filters.append(self._existence(field, value, path=at))
                case str() if operator in _BOUNDS:
                    bounds[operator] = self._text(value, path=at)
                case _:
                    self.wrong(at, "is no operator", f"use one of {', '.join(_OPERATORS)}")
        if bounds:
            filters.append(Range(field, **bounds))
        return filters[0] if len(filters) == 1 else All(tuple(filters))

    def _existence(self, field: str, value: object, *, path: str) -> Filter:
        if not isinstance(value, bool):
            return self.wrong(path, f"is {_kind(value)}", "write true or false")
        return Exists(field) if value else Not(Exists(field))

    def _texts(self, value: object, *, path: str) -> tuple[str, ...]:
        if not isinstance(value, Sequence) or isinstance(value, str | bytes):
            self.wrong(path, f"is {_kind(value)}", 'write a list, as ["en", "de"]')
            return ()
        values = cast("Sequence[object]", value)
        if len(values) > VALUES_MAX:
            self.wrong(path, f"has {len(values)} values", f"use {VALUES_MAX} at most")
            return ()
        return tuple(self._text(each, path=f"{path}[{at}]") for at, each in enumerate(values))

    def _text(self, value: object, *, path: str) -> str:
        match value:
            case bool():
                return "true" if value else "false"
            # Python refuses to write integers of more than 4,300 digits: they are caught by their size.
            case int() if value.bit_length() > TEXT_LENGTH_MAX:
                self.wrong(path, "is too large a number", "write it as a text")
            case str() | int() | float() if len(text := str(value)) <= TEXT_LENGTH_MAX:
                return text
            case str() | int() | float():
                self.wrong(path, "is too long", f"use {TEXT_LENGTH_MAX} characters at most")
            case list() | tuple():
                self.wrong(path, "is a list", 'write {"in": [...]} for one of several values')
            case _:
                self.wrong(
                    path, f"is {_kind(value)}", 'write a text, a number, true or false; {"exists": false} for none'
                )
        return ""


def _kind(value: object) -> str:
    return next((name for kind, name in _KINDS if isinstance(value, kind)), f"a {type(value).__name__}")
