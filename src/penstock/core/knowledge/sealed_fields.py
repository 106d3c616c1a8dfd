"""The metadata of a sealed part: which rows a filter lets through, without looking at the others.

A field's values lie in their order, numbers first, and each value's rows lie together: a value or a range is one stretch of
rows, found by bisection. What is asked of several fields starts with the one that lets the fewest through, and looks the
others up for those rows only. What this gives equals `filters.matches` on each row (tested as a property).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from penstock.core.knowledge.filters import All, Any, Equal, Exists, Filter, In, Leaf, Not, Range, number, within
from penstock.core.knowledge.sealed_form import Arrays, hash_of, number_key, text_at, text_key, texts_of

Rows = NDArray[np.int32]
Span = tuple[int, int]

_Keys = tuple[bool, np.uint64, np.uint64, np.uint64]
_ZERO = np.uint64(0)
_ASKED_MAX = 4_096
# Rows of several branches are sorted to tell them apart; with more of them a bit for each row is quicker.
_SORTED_MAX = 20_000


@dataclass(frozen=True, slots=True)
class Some:
    """Rows whose field has one of a few stretches of values. `count` is exact here, and at most that elsewhere."""

    field: int
    spans: tuple[Span, ...]
    count: int


@dataclass(frozen=True, slots=True)
class AllOf:
    parts: tuple["Plan", ...]
    count: int


@dataclass(frozen=True, slots=True)
class AnyOf:
    parts: tuple["Plan", ...]
    count: int


@dataclass(frozen=True, slots=True)
class NoneOf:
    part: "Plan"
    count: int


Plan = Some | AllOf | AnyOf | NoneOf


@dataclass(frozen=True, slots=True)
class _Field:
    begin: int
    texts: int
    end: int
    column: NDArray[np.int32] | None = field(repr=False)


class SealedFields:
    """Rows by field and value, of a part with `size` rows."""

    def __init__(self, arrays: Arrays, size: int) -> None:
        self._size = size
        self._first, self._second = arrays["value_first"], arrays["value_second"]
        self._hashes = arrays["value_hashes"]
        self._bytes, self._ends = arrays["value_bytes"], arrays["value_ends"]
        self._row_ends, self._rows = arrays["value_row_ends"], arrays["value_rows"]
        names = texts_of(arrays["field_bytes"], arrays["field_ends"])
        self._numbers = {name: at for at, name in enumerate(names)}
        self._fields: list[_Field] = []
        begin = 0
        columns = arrays["columns"]
        for end, texts, column in zip(
            arrays["field_value_ends"].tolist(),
            arrays["field_texts"].tolist(),
            arrays["field_columns"].tolist(),
            strict=True,
        ):
            dense = None if column < 0 else columns[column * size : (column + 1) * size]
            self._fields.append(_Field(begin, texts, end, dense))
            begin = end

    def plan(self, filter: Filter) -> Plan:
        """Find out where a filter's rows lie, and how many there may be."""
        match filter:
            case Equal(name) | In(name) | Range(name) | Exists(name):
                return self._leaf(name, filter)
            case All(filters):
                parts = sorted(map(self.plan, filters), key=lambda part: part.count)
                return AllOf(tuple(parts), parts[0].count if parts else self._size)
            case Any(filters):
                each = tuple(map(self.plan, filters))
                return AnyOf(each, min(self._size, sum(part.count for part in each)))
            case Not(inner):
                part = self.plan(inner)
                return NoneOf(part, self._size - part.count if isinstance(part, Some) else self._size)

    def rows(self, plan: Plan) -> Rows:
        """The rows, dead ones too, that a plan lets through, each once, in any order."""
        match plan:
            case Some():
                stretches = [self._rows[begin:end] for begin, end in self._stretches(plan)]
                return stretches[0] if len(stretches) == 1 else np.concatenate([_NO_ROWS, *stretches])
            case AllOf(parts):
                if not parts:
                    return np.arange(self._size, dtype=np.int32)
                rows = self.rows(parts[0])
                for part in parts[1:]:
                    rows = rows[self.accepts(part, rows)]
                return rows
            case AnyOf(parts) if plan.count <= _SORTED_MAX:
                return np.unique(np.concatenate([_NO_ROWS, *map(self.rows, parts)]))
            case AnyOf() | NoneOf():
                everything = np.arange(self._size, dtype=np.int32)
                return everything[self.accepts(plan, everything)]

    def accepts(self, plan: Plan, rows: Rows) -> NDArray[np.bool_]:
        """For each of `rows`, whether a plan lets it through."""
        match plan:
            case Some(number):
                column = self._fields[number].column if plan.spans else None
                return _within(plan.spans, column[rows]) if column is not None else self._held(self.rows(plan), rows)
            case AllOf(parts):
                accepted = np.ones(len(rows), np.bool_)
                for part in parts:
                    accepted &= self.accepts(part, rows)
                return accepted
            case AnyOf(parts):
                accepted = np.zeros(len(rows), np.bool_)
                for part in parts:
                    accepted |= self.accepts(part, rows)
                return accepted
            case NoneOf(part):
                return ~self.accepts(part, rows)

    def _held(self, held: Rows, rows: Rows) -> NDArray[np.bool_]:
        mask = np.zeros(self._size, np.bool_)
        mask[held] = True
        return mask[rows]

    def _stretches(self, plan: Some) -> Iterator[Span]:
        for begin, end in plan.spans:
            yield int(self._row_ends[begin - 1]) if begin else 0, int(self._row_ends[end - 1])

    def _leaf(self, name: str, leaf: Leaf) -> Some:
        at = self._numbers.get(name)
        if at is None:
            return Some(0, (), 0)
        known = self._fields[at]
        match leaf:
            case Equal(_, value):
                spans = self._places(known, (value,))
            case In(_, values):
                spans = self._places(known, values)
            case Range():
                spans = self._between(known, leaf)
            case Exists():
                spans = [(known.begin, known.end)]
        plan = Some(at, tuple(_merged(spans)), 0)
        return Some(at, plan.spans, sum(end - begin for begin, end in self._stretches(plan)))

    def _places(self, known: _Field, values: Iterable[str]) -> list[Span]:
        found = [self._place(known, value) for value in set(values)]
        return [(place, place + 1) for place in found if place is not None]

    def _place(self, known: _Field, value: str) -> int | None:
        is_text, first, second, hashed = _keys(value)
        if is_text:
            begin, end = self._equal(self._first, first, known.texts, known.end)
            begin, end = self._equal(self._second, second, begin, end)
        else:
            begin, end = self._equal(self._first, first, known.begin, known.texts)
        begin, end = self._equal(self._hashes, hashed, begin, end)
        return begin if begin < end else None

    def _equal(self, keys: NDArray[np.uint64], key: np.uint64, begin: int, end: int) -> Span:
        part = keys[begin:end]
        first = int(part.searchsorted(key))
        if first == len(part) or part[first] != key:
            return begin + first, begin + first
        return begin + first, begin + int(part.searchsorted(key, "right"))

    def _between(self, known: _Field, bounds: Range) -> list[Span]:
        lower = [(each, is_open) for each, is_open in ((bounds.gte, False), (bounds.gt, True)) if each is not None]
        upper = [(each, is_open) for each, is_open in ((bounds.lte, False), (bounds.lt, True)) if each is not None]
        if any(
            _keys(each)[0] for each, _ in (*lower, *upper)
        ):  # the field's numbers compare with it as texts, in which order they do not lie
            spans = self._one_by_one(range(known.begin, known.texts), bounds)
        else:
            keys = self._first[known.begin : known.texts]
            low = max((_bisected(keys, each, after=is_open) for each, is_open in lower), default=0)
            high = min((_bisected(keys, each, after=not is_open) for each, is_open in upper), default=len(keys))
            spans = [(known.begin + low, known.begin + high)]
        return spans + self._texts_between(known, [each for each, _ in lower], [each for each, _ in upper], bounds)

    def _texts_between(self, known: _Field, lower: Sequence[str], upper: Sequence[str], bounds: Range) -> list[Span]:
        """Those surely within; and those whose first bytes are a bound's, if they are within."""
        low, high = known.texts, known.end
        if low == high:
            return [(low, high)]
        edges: set[int] = set()
        for bound in (*lower, *upper):
            _, first, second, _ = _text_keys(bound)
            begin, end = self._equal(self._first, first, known.texts, known.end)
            begin, end = self._equal(self._second, second, begin, end)
            edges |= set(range(begin, end))
            if bound in lower:
                low = max(low, end)
            if bound in upper:
                high = min(high, begin)
        return [(low, high), *self._one_by_one(sorted(edges), bounds)]

    def _one_by_one(self, values: Iterable[int], bounds: Range) -> list[Span]:
        return [(each, each + 1) for each in values if within(bounds, text_at(self._bytes, self._ends, each))]


_NO_ROWS = np.zeros(0, np.int32)


@lru_cache(_ASKED_MAX)
def _keys(value: str) -> _Keys:
    """Whether a value is no number; where it lies among its kind; its hash. Each part is asked for the same few values."""
    read = number(value)
    return _text_keys(value) if read is None else (False, number_key(read), _ZERO, np.uint64(hash_of(value)))


@lru_cache(_ASKED_MAX)
def _text_keys(value: str) -> _Keys:
    return (True, *text_key(value), np.uint64(hash_of(value)))


def _bisected(keys: NDArray[np.uint64], bound: str, *, after: bool) -> int:
    return int(keys.searchsorted(_keys(bound)[1], "right" if after else "left"))


def _merged(spans: Iterable[Span]) -> Iterator[Span]:
    begin = end = 0
    for low, high in sorted(spans):
        if low >= high:
            continue
        if low > end or begin == end:
            if begin < end:
                yield begin, end
            begin, end = low, high
        else:
            end = max(end, high)
    if begin < end:
        yield begin, end


def _within(spans: tuple[Span, ...], values: NDArray[np.int32]) -> NDArray[np.bool_]:
    if len(spans) == 1:
        return (values >= spans[0][0]) & (values < spans[0][1])
    begins = np.array([begin for begin, _ in spans], np.int32)
    ends = np.array([end for _, end in spans], np.int32)
    at = np.searchsorted(begins, values, "right") - 1
    return (at >= 0) & (values < ends[at])
