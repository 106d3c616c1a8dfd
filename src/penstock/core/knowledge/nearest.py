"""Vectors without holes, and the nearest of them to many queries.

- A vector lies at a place; taking one away moves the last one there. So every place is alive, and a scan
  needs no mask.
- Scores are computed again, each by itself, for the few best: equal vectors have equal scores, whatever
  their places and however many queries came at once.
- Up to `EXACT_MAX` vectors, or `GATHERED_MAX` that a filter lets through, the answer is exact. Beyond, codes
  choose the candidates: `docs/decisions/0004-the-embedded-index.md` has the recall.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from penstock.core.knowledge.codes import Codes, Columns
from penstock.core.knowledge.growing import Growing
from penstock.core.knowledge.ranking import highest

EXACT_MAX = 50_000
GATHERED_MAX = 5_000
RESCORED_MIN = 1_600
RESCORED_PER_HIT = 16

Found = tuple[NDArray[np.intp], NDArray[np.int32], NDArray[np.float32]]

_QUERIES_MAX = 64
# Four megabytes of scores: more pieces would find more candidates, fewer would cost memory.
_SCORES_AT_ONCE = 1 << 20
# Copying scattered vectors together costs about as much as multiplying eight times as many in place.
_GATHERING_PAYS = 8
# Both operands of so many products, at 256 dimensions, stay in the cache.
_RESCORED_AT_ONCE = 512
_NONE = -1
# What the sums of a matrix product and of a single product of unit vectors may differ by, with room.
_SLACK = 1e-5
# BLAS packs a matrix before it multiplies: for fewer queries than this, products by one vector are faster.
_PACKING_PAYS = 9
# Microseconds a query, 10,000 x 256, one core: 8 queries 115 instead of 207, 16: 83 / 121, 32: 69 / 80, 64: 58 / 57.
_TRANSPOSING_ENDS = 56
_TURNED_ROWS = 1024
_CACHED_BYTES = 1 << 20
_ANY = np.array([-np.inf], np.float32)


class Vectors:
    """Unit vectors of one length, each belonging to a row of the segment."""

    def __init__(
        self, dims: int, *, exact_max: int = EXACT_MAX, rescored_min: int = RESCORED_MIN, coded_room: int = 0
    ) -> None:
        """`coded_room`: room for so many vectors, each of which gets its code at once: none of them waits for many others."""
        self.dims = dims
        self._rescored_min = rescored_min
        self._exact_max = exact_max
        self._vectors = Growing(np.float32, dims, room=coded_room) if coded_room else Growing(np.float32, dims)
        self._row_at = Growing(np.int32)
        self._place_of = Growing(np.int32)
        self._codes = Codes(dims) if coded_room else None

    def __len__(self) -> int:
        return len(self._vectors)

    def add(self, rows: NDArray[np.int32], vectors: NDArray[np.float32]) -> None:
        """Give new rows (rising, above all earlier ones) their vectors, shape (len(rows), dims)."""
        places = np.arange(len(self), len(self) + len(rows), dtype=np.int32)
        self._vectors.extend(vectors)
        self._row_at.extend(rows)
        self._place_of.extend(np.full(int(rows[-1]) + 1 - len(self._place_of), _NONE))
        self._place_of.view[rows] = places
        if self._codes is not None:
            self._codes.extend(vectors)

    def drop(self, row: int) -> None:
        """Take a row's vector away, if it has one."""
        place = int(self._place_of.view[row]) if row < len(self._place_of) else _NONE
        if place == _NONE:
            return
        last = len(self) - 1
        moved = int(self._row_at.view[last])
        self._vectors.view[place] = self._vectors.view[last]
        self._row_at.view[place] = moved
        self._place_of.view[moved] = place
        self._place_of.view[row] = _NONE
        self._vectors.shorten(last)
        self._row_at.shorten(last)
        if self._codes is not None:
            self._codes.move(last, place)
            self._codes.shorten(last)

    def placed(self) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
        """The vectors, and the row of each."""
        return self._vectors.view, self._row_at.view

    def placed_codes(self) -> Columns | None:
        """The codes of the vectors, a column each, if they have any yet."""
        return None if self._codes is None else self._codes.columns()

    def renumber(self, new_row: NDArray[np.int32], size: int) -> None:
        """Rows have new numbers below `size`: `new_row[old]`."""
        rows = new_row[self._row_at.view]
        self._row_at.view[:] = rows
        self._place_of = Growing(np.int32)
        self._place_of.extend(np.full(size, _NONE))
        self._place_of.view[rows] = np.arange(len(rows), dtype=np.int32)

    def nearest(self, queries: NDArray[np.float32], *, limit: int, rows: NDArray[np.intp] | None) -> Found:
        """Which query, row and cosine: at least the `limit` nearest (of `rows`, if given) for each unit query."""
        places = None if rows is None else self._places(rows)
        candidates = len(self) if places is None else len(places)
        rescored = max(self._rescored_min, RESCORED_PER_HIT * limit)
        if len(self) <= self._exact_max or candidates <= max(GATHERED_MAX, 2 * rescored):
            query, place = self._exact(queries, limit, places)
        else:
            query, place = self._coded(queries, limit, rescored, places)
        scores = self._scores(queries, query, place)
        return query, self._row_at.view[place], scores

    def cosines(
        self, query: NDArray[np.float32], rows: NDArray[np.intp]
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """The rows among `rows` that have a vector, and their cosines to a unit query: the numbers `nearest` gives."""
        places = self._places(rows)
        return self._row_at.view[places], self._scores(query[None], np.zeros(len(places), np.intp), places)

    def _places(self, rows: NDArray[np.intp]) -> NDArray[np.intp]:
        places = self._place_of.view[rows[rows < len(self._place_of)]]
        return places[places != _NONE].astype(np.intp)

    def _exact(
        self, queries: NDArray[np.float32], limit: int, places: NDArray[np.intp] | None
    ) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        vectors, allowed = self._vectors.view, None
        if places is not None and len(places) * _GATHERING_PAYS <= len(self):
            vectors = vectors[places]
        elif places is not None:
            allowed = np.zeros(len(self), np.bool_)
            allowed[places] = True
        found = [
            (query + start, column)
            for start in range(0, len(queries), _QUERIES_MAX)
            for query, column in _best(queries[start : start + _QUERIES_MAX], vectors, allowed, limit)
        ]
        query, column = _joined(found)
        return query, column if places is None or allowed is not None else places[column]

    def _coded(
        self, queries: NDArray[np.float32], limit: int, rescored: int, places: NDArray[np.intp] | None
    ) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        if self._codes is None:
            self._codes = Codes(self.dims)
            for start in range(0, len(self), EXACT_MAX):
                self._codes.extend(self._vectors.view[start : start + EXACT_MAX])
        found: list[NDArray[np.intp]] = []
        for query in queries:
            likely = self._codes.likely(query, rescored, places)
            _, best, _ = highest((self._vectors.view[likely] @ query)[None], limit, slack=_SLACK, at_least=_ANY)
            found.append(likely[best])
        return _joined([(np.full(len(each), query), each) for query, each in enumerate(found)])

    def _scores(
        self, queries: NDArray[np.float32], query: NDArray[np.intp], place: NDArray[np.intp]
    ) -> NDArray[np.float32]:
        scores = np.empty(len(query), np.float32)
        for start in range(0, len(query), _RESCORED_AT_ONCE):
            part = slice(start, start + _RESCORED_AT_ONCE)
            np.einsum("ij,ij->i", self._vectors.view[place[part]], queries[query[part]], out=scores[part])
        return np.clip(scores, -1, 1, out=scores)


def _best(
    queries: NDArray[np.float32], vectors: NDArray[np.float32], allowed: NDArray[np.bool_] | None, limit: int
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    threshold = np.full(len(queries), -np.inf, np.float32)
    step = _SCORES_AT_ONCE // len(queries)
    for start in range(0, len(vectors), step):
        scores = _products(queries, vectors[start : start + step])
        columns = None if allowed is None else np.flatnonzero(allowed[start : start + step])
        if columns is not None:
            scores = scores[:, columns]
        # What an earlier piece has `limit` better ones for need not be found.
        query, column, threshold = highest(scores, limit, slack=_SLACK, at_least=threshold)
        yield query, (column if columns is None else columns[column]) + start


def _joined(found: list[tuple[NDArray[np.intp], NDArray[np.intp]]]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    if len(found) == 1:
        return found[0]
    none = np.zeros(0, np.intp)
    return (
        np.concatenate([none, *(query for query, _ in found)]),
        np.concatenate([none, *(column for _, column in found)]),
    )


def _products(queries: NDArray[np.float32], vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    if len(queries) >= _TRANSPOSING_ENDS:
        return queries @ vectors.T
    scores = np.empty((len(queries), len(vectors)), np.float32)
    if len(queries) >= _PACKING_PAYS:
        # The product is quicker with the longer matrix first, and turning it round is cheap while it is in the cache.
        for start in range(0, len(vectors), _TURNED_ROWS):
            scores[:, start : start + _TURNED_ROWS] = (vectors[start : start + _TURNED_ROWS] @ queries.T).T
        return scores
    # Each piece is read from memory once, and for all queries from the cache.
    step = len(vectors) if len(queries) == 1 else max(1, _CACHED_BYTES // (4 * vectors.shape[1]))
    for start in range(0, len(vectors), step):
        for query, row in zip(queries, scores, strict=True):
            np.dot(vectors[start : start + step], query, out=row[start : start + step])
    return scores
