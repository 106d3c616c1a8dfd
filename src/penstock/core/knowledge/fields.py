"""The metadata of one segment, by field: which rows a filter lets through.

Each field has a list of (row, value number) pairs, and its distinct values. A leaf of a filter is decided
once for each distinct value; the rows follow by one look-up for all pairs. So memory grows with the
metadata there is, not with fields times rows, and a field with a million values costs no more objects
than its values. What this gives equals `filters.matches` on each row (tested as a property).
"""

import math
from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np
from numpy.typing import NDArray

from penstock.core.knowledge.filters import All, Any, Equal, Exists, Filter, In, Not, Range, number, within
from penstock.core.knowledge.growing import Growing


class Fields:
    """Rows by field and value."""

    def __init__(self) -> None:
        self._of: dict[str, _Field] = {}

    def add(self, rows: Sequence[int], metadata: Sequence[Mapping[str, str]]) -> None:
        """Add rows, each with its metadata."""
        entries: dict[str, tuple[list[int], list[str]]] = {}
        for row, pairs in zip(rows, metadata, strict=True):
            for name, value in pairs.items():
                field_rows, values = entries.setdefault(name, ([], []))
                field_rows.append(row)
                values.append(value)
        for name, (field_rows, values) in entries.items():
            self._of.setdefault(name, _Field()).add(field_rows, values)

    def mask(self, filter: Filter, size: int) -> NDArray[np.bool_]:
        """For each row below `size`, dead ones too, whether the filter matches."""
        match filter:
            case Equal(field) | In(field) | Range(field) | Exists(field):
                mask = np.zeros(size, np.bool_)
                known = self._of.get(field)
                if known is not None:
                    mask[known.rows(filter)] = True
                return mask
            case All(filters):
                mask = np.ones(size, np.bool_)
                for each in filters:
                    mask &= self.mask(each, size)
                return mask
            case Any(filters):
                mask = np.zeros(size, np.bool_)
                for each in filters:
                    mask |= self.mask(each, size)
                return mask
            case Not(inner):
                return ~self.mask(inner, size)

    def by_field(self) -> dict[str, tuple[Sequence[str], NDArray[np.int32], NDArray[np.int32]]]:
        """For each field its values, the rows that have it, and the number of each one's value."""
        return {name: field.entries() for name, field in self._of.items()}

    def renumber(self, new_row: NDArray[np.int32]) -> None:
        """Rows have new numbers, `new_row[old]`; those below 0 are gone, and so are values that only they had."""
        renumbered = {name: field.renumbered(new_row) for name, field in self._of.items()}
        self._of = {name: field for name, field in renumbered.items() if field.values}


class _Field:
    def __init__(self) -> None:
        self.values: dict[str, int] = {}
        self._texts: list[str] = []
        self._numbers = Growing(np.float64)
        self._rows = Growing(np.int32)
        self._value_of = Growing(np.int32)

    def add(self, rows: Sequence[int], values: Sequence[str]) -> None:
        known = len(self.values)
        self._value_of.extend([self.values.setdefault(value, len(self.values)) for value in values])
        self._rows.extend(rows)
        if len(self.values) > known:
            added = _last(self.values, len(self.values) - known)
            self._texts += added
            self._numbers.extend([_number(text) for text in added])

    def rows(self, leaf: Equal | In | Range | Exists) -> NDArray[np.int32]:
        match leaf:
            case Equal(_, value):
                return self._rows.view[self._value_of.view == self.values.get(value, -1)]
            case In(_, values):
                return self._having(self._one_of(values))
            case Range():
                return self._having(self._between(leaf))
            case Exists():
                return self._rows.view

    def entries(self) -> tuple[Sequence[str], NDArray[np.int32], NDArray[np.int32]]:
        return self._texts, self._rows.view, self._value_of.view

    def renumbered(self, new_row: NDArray[np.int32]) -> "_Field":
        rows = new_row[self._rows.view]
        kept = rows >= 0
        values: list[int] = self._value_of.view[kept].tolist()
        field = _Field()
        field.add(cast("list[int]", rows[kept].tolist()), [self._texts[value] for value in values])
        return field

    def _having(self, accepted: NDArray[np.bool_]) -> NDArray[np.int32]:
        return self._rows.view[accepted[self._value_of.view]]

    def _one_of(self, values: Sequence[str]) -> NDArray[np.bool_]:
        accepted = np.zeros(len(self._texts), np.bool_)
        accepted[[self.values[value] for value in values if value in self.values]] = True
        return accepted

    def _between(self, bounds: Range) -> NDArray[np.bool_]:
        given = [bound for bound in (bounds.gte, bounds.gt, bounds.lte, bounds.lt) if bound is not None]
        if not given or any(number(bound) is None for bound in given):
            return np.array([within(bounds, text) for text in self._texts], np.bool_)
        numbers = self._numbers.view
        accepted = np.ones(len(numbers), np.bool_)
        if bounds.gte is not None:
            accepted &= numbers >= float(bounds.gte)
        if bounds.gt is not None:
            accepted &= numbers > float(bounds.gt)
        if bounds.lte is not None:
            accepted &= numbers <= float(bounds.lte)
        if bounds.lt is not None:
            accepted &= numbers < float(bounds.lt)
        # What is no number compares as text, with each bound.
        for value in np.flatnonzero(np.isnan(numbers)).tolist():
            accepted[value] = within(bounds, self._texts[value])
        return accepted


def _number(text: str) -> float:
    read = number(text)
    return math.nan if read is None else read


def _last(values: dict[str, int], count: int) -> list[str]:
    newest_first = [value for value, _ in zip(reversed(values), range(count), strict=False)]
    return newest_first[::-1]
