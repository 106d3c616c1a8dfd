"""One sealed part out of several, without what is dead in them: in pieces, so that it takes little memory at any size.

Rows keep their order: those of the first part, then those of the next. Everything is copied or renumbered; no text is
analysed again and no vector computed. The caller writes the pieces as they come.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penstock.core.knowledge.merging_fields import fields
from penstock.core.knowledge.merging_vectors import vectors
from penstock.core.knowledge.neighbourhoods import NEIGHBOURED_MIN
from penstock.core.knowledge.sealed_form import Chunks, Columns, picked, pieces

_POSTINGS_AT_ONCE = 500_000
_GONE = -1


class Source:
    """A part that is merged: its arrays, and where each of its rows comes to lie (-1: nowhere)."""

    def __init__(self, arrays: Columns, dead: NDArray[np.bool_], first: int) -> None:
        self.arrays = arrays
        self.alive = ~dead
        self.new_rows = np.where(self.alive, np.cumsum(self.alive) - 1 + first, _GONE).astype(np.int32)

    @property
    def kept(self) -> int:
        return int(np.count_nonzero(self.alive))

    def whole(self, name: str) -> NDArray[Any]:
        column = self.arrays[name]
        return column[0 : len(column)]


def sources(parts: Sequence[tuple[Columns, NDArray[np.bool_]]]) -> list[Source]:
    """Number the rows of parts that are to become one; each with the marks of its dead."""
    found: list[Source] = []
    first = 0
    for arrays, dead in parts:
        found.append(Source(arrays, dead, first))
        first += found[-1].kept
    return found


def merged(parts: Sequence[Source], *, neighboured_min: int = NEIGHBOURED_MIN) -> Chunks:
    """Yield the arrays of the part that they become. With so many vectors they lie by neighbourhoods."""
    yield from _ids(parts)
    yield from _row_by_row(parts, ["lengths"])
    yield from _terms(parts)
    yield from fields([(part.arrays, part.new_rows) for part in parts], sum(part.kept for part in parts))
    yield from vectors(parts, neighboured_min=neighboured_min)


def _ids(parts: Sequence[Source]) -> Chunks:
    hashes: list[NDArray[np.uint64]] = []
    rows: list[NDArray[np.int32]] = []
    end = 0
    for part in parts:
        new = part.new_rows[part.whole("id_rows")]
        hashes.append(part.whole("id_hashes")[new >= 0])
        rows.append(new[new >= 0])
        for data, sizes in picked(part.whole("id_bytes"), part.whole("id_ends"), np.flatnonzero(part.alive)):
            yield "id_bytes", data
            ends = np.cumsum(sizes) + end
            end = int(ends[-1])
            yield "id_ends", ends
    together, numbers = np.concatenate(hashes), np.concatenate(rows)
    order = np.argsort(together, kind="stable")
    yield "id_hashes", together[order]
    yield "id_rows", numbers[order]


def _row_by_row(parts: Sequence[Source], names: Sequence[str]) -> Chunks:
    for part in parts:
        for piece in pieces(len(part.alive)):
            for name in names:
                yield name, part.arrays[name][piece][part.alive[piece]]


def _terms(parts: Sequence[Source]) -> Chunks:
    keys = np.unique(np.concatenate([part.whole("term_keys") for part in parts]))
    stretches = [_stretches(part, keys) for part in parts]
    sizes = np.sum([end - begin for begin, end in stretches], axis=0)
    # Counts of more than a byte are rare: then all of them get four.
    narrow = all(int(part.whole("term_most").max(initial=0)) <= np.iinfo(np.uint8).max for part in parts)
    lengths = np.concatenate([part.whole("lengths")[part.alive] for part in parts])
    total = np.cumsum(sizes)
    first = written = 0
    while first < len(keys):
        before = int(total[first - 1]) if first else 0
        last = max(first + 1, int(np.searchsorted(total, before + _POSTINGS_AT_ONCE, "right")))
        for name, chunk in _postings(parts, stretches, slice(first, last), lengths):
            match name:
                case "terms":
                    yield "term_keys", keys[first:last][chunk]
                case "term_ends":
                    yield name, chunk + written
                    written += int(chunk[-1]) if len(chunk) else 0
                case "term_counts":
                    yield name, chunk.astype(np.uint8 if narrow else np.int32)
                case _:
                    yield name, chunk
        first = last
    # So that each array is there, also when there are no words at all.
    for name, kind in (
        ("term_keys", np.uint64),
        ("term_ends", np.int64),
        ("term_counts", np.uint8 if narrow else np.int32),
    ):
        yield name, np.zeros(0, kind)
    for name in ("term_rows", "term_most", "term_least"):
        yield name, np.zeros(0, np.int32)


def _stretches(part: Source, keys: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where a part has the postings of each of `keys`."""
    begin = np.zeros(len(keys), np.int64)
    end = np.zeros(len(keys), np.int64)
    at = np.searchsorted(keys, part.whole("term_keys"))
    ends = part.whole("term_ends")
    begin[at] = np.concatenate(([0], ends[:-1])) if len(ends) else ends
    end[at] = ends
    return begin, end


def _postings(
    parts: Sequence[Source],
    stretches: Sequence[tuple[NDArray[np.int64], NDArray[np.int64]]],
    terms: slice,
    lengths: NDArray[np.int32],
) -> Iterator[tuple[str, NDArray[Any]]]:
    """The postings of some terms; `terms` are those that have any left."""
    owners: list[NDArray[np.int32]] = []
    rows: list[NDArray[np.int32]] = []
    counts: list[NDArray[np.int32]] = []
    for part, (begins, ends) in zip(parts, stretches, strict=True):
        begin, end = begins[terms], ends[terms]
        has = np.flatnonzero(end > begin)
        if not len(has):
            continue
        # A part's terms lie in the order of their keys: those of a stretch of keys are one stretch of postings.
        piece = slice(int(begin[has[0]]), int(end[has[-1]]))
        new = part.new_rows[part.arrays["term_rows"][piece]]
        kept = new >= 0
        owners.append(np.repeat(has.astype(np.int32), (end - begin)[has])[kept])
        rows.append(new[kept])
        counts.append(part.arrays["term_counts"][piece][kept].astype(np.int32))
    owner, row, count = (np.concatenate([np.zeros(0, np.int32), *each]) for each in (owners, rows, counts))
    order = np.argsort(owner, kind="stable")
    owner, row, count = owner[order], row[order], count[order]
    sizes = np.bincount(owner, minlength=len(stretches[0][0][terms]))
    left = np.flatnonzero(sizes)
    ends_left = np.cumsum(sizes[left])
    yield "terms", left
    yield "term_ends", ends_left.astype(np.int64)
    starts = ends_left - sizes[left]
    yield "term_rows", row
    yield "term_counts", count
    if len(left):
        yield "term_most", np.maximum.reduceat(count, starts)
        yield "term_least", np.minimum.reduceat(lengths[row], starts)
