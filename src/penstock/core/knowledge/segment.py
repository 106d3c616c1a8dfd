"""One space in memory: found by vectors, words and filters.

- A row belongs to one passage for good: writing a passage again makes a new row and the old one dead.
- Dead rows are in no answer and no statistic. When they are the most, the segment is compacted.
- `put` and `drop` are the only writers; a search between two of them sees all of the first.
"""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from penstock.core.knowledge.fields import Fields
from penstock.core.knowledge.filters import Filter
from penstock.core.knowledge.growing import Growing
from penstock.core.knowledge.nearest import EXACT_MAX, Vectors
from penstock.core.knowledge.passages import Hit
from penstock.core.knowledge.postings import Postings, query_counts
from penstock.core.knowledge.ranking import highest, ranked
from penstock.core.knowledge.rows import COUNT_TYPE, KEY_TYPE, VECTOR_TYPE, Changes, Row, other_length, units
from penstock.errors import LimitReached

HITS_MAX = 10_000

_DEAD_MIN = 1_024
_ABOVE_ZERO = np.array([np.finfo(np.float64).tiny])


class Segment:
    """The passages of one space. `exact_max`: above so many vectors, a search is approximate."""

    def __init__(self, *, exact_max: int = EXACT_MAX) -> None:
        self._exact_max = exact_max
        self._ids: list[str] = []
        self._row_of: dict[str, int] = {}
        self._dead = Growing(np.bool_)
        self._lengths = Growing(np.int32)
        self._total_length = 0
        self._postings = Postings()
        self._fields = Fields()
        self._vectors: Vectors | None = None

    def __len__(self) -> int:
        return len(self._row_of)

    @property
    def vectors(self) -> int:
        """How many of the passages have a vector."""
        return 0 if self._vectors is None else len(self._vectors)

    @property
    def dims(self) -> int | None:
        """The length of the vectors, once there was one."""
        return None if self._vectors is None else self._vectors.dims

    def change(self, changes: Changes) -> None:
        """Drop the ids that have no row, put the others."""
        self.drop([gone for gone, row in changes.items() if row is None])
        self.put([row for row in changes.values() if row is not None])

    def put(self, rows: Sequence[Row]) -> None:
        """Add passages, or replace those of the same ids. Raises `Refused` for vectors of another length."""
        rows = list({row.id: row for row in rows}.values())
        if not rows:
            return
        vectors = self._checked_vectors(rows)
        self.drop(row.id for row in rows)
        first = len(self._ids)
        numbers = np.arange(first, first + len(rows), dtype=np.int32)
        self._ids += [row.id for row in rows]
        self._row_of.update(zip((row.id for row in rows), numbers.tolist(), strict=True))
        self._dead.extend(np.zeros(len(rows), np.bool_))
        self._put_terms(rows, numbers)
        self._fields.add(numbers.tolist(), [row.metadata for row in rows])
        if vectors is not None:
            if self._vectors is None:
                self._vectors = Vectors(vectors.shape[1], exact_max=self._exact_max)
            self._vectors.add(numbers[[row.vector is not None for row in rows]], vectors)

    def drop(self, ids: Iterable[str]) -> None:
        """Take passages away; what is not there is passed over."""
        for gone in ids:
            row = self._row_of.pop(gone, None)
            if row is None:
                continue
            self._dead.view[row] = True
            self._total_length -= int(self._lengths.view[row])
            self._lengths.view[row] = 0
            if self._vectors is not None:
                self._vectors.drop(row)
        dead = len(self._ids) - len(self._row_of)
        if dead >= _DEAD_MIN and dead > len(self._row_of):
            self._compact()

    def nearest(self, queries: NDArray[np.float32], *, limit: int, filter: Filter | None = None) -> list[list[Hit]]:
        """The passages whose vectors have the highest cosines, for each row of `queries`.

        Raises `Refused` for queries of another length, `LimitReached` for a limit above `HITS_MAX`.
        """
        _check_limit(limit)
        if self._vectors is None or not len(queries) or limit < 1:
            return [[] for _ in queries]
        if queries.shape[1] != self._vectors.dims:
            raise other_length(queries.shape[1], self._vectors.dims)
        unit = units(queries)
        known = unit.any(axis=1)
        rows = None if filter is None else self._rows(filter)
        if known.all():
            query, row, scores = self._vectors.nearest(unit, limit=limit, rows=rows)
        else:
            query, row, scores = self._vectors.nearest(unit[known], limit=limit, rows=rows)
            query = np.flatnonzero(known)[query]
        return ranked(query, row, scores, self._ids, count=len(queries), limit=limit)

    def matching(self, queries: Sequence[str], *, limit: int, filter: Filter | None = None) -> list[list[Hit]]:
        """The passages with the highest BM25 scores above 0, for each query.

        Raises `LimitReached` for a limit above `HITS_MAX`.
        """
        _check_limit(limit)
        if not self._row_of or limit < 1:
            return [[] for _ in queries]
        rows = None if filter is None else self._rows(filter)
        return [self._matching(query, limit, rows) for query in queries]

    def cosines(self, queries: NDArray[np.float32], ids: Sequence[Sequence[str]]) -> list[dict[str, float]]:
        """For each query the cosines of those of its `ids` that have a vector. Raises as `nearest` does."""
        if self._vectors is None or not len(queries):
            return [{} for _ in queries]
        if queries.shape[1] != self._vectors.dims:
            raise other_length(queries.shape[1], self._vectors.dims)
        found: list[dict[str, float]] = []
        for query, wanted in zip(units(queries), ids, strict=True):
            rows, scores = self._vectors.cosines(query, self._known(wanted if query.any() else ()))
            found.append({self._ids[row]: score for row, score in zip(rows.tolist(), scores.tolist(), strict=True)})
        return found

    def relevances(self, queries: Sequence[str], ids: Sequence[Sequence[str]]) -> list[dict[str, float]]:
        """For each query the BM25 scores of those of its `ids` that are here; 0 without a word of it."""
        found: list[dict[str, float]] = []
        for query, wanted in zip(queries, ids, strict=True):
            rows = self._known(wanted)
            scores = self._scores(query)[rows] if len(rows) else np.zeros(0)
            found.append({self._ids[row]: score for row, score in zip(rows.tolist(), scores.tolist(), strict=True)})
        return found

    def _known(self, ids: Iterable[str]) -> NDArray[np.intp]:
        return np.array([self._row_of[each] for each in ids if each in self._row_of], np.intp)

    def _scores(self, query: str) -> NDArray[np.float64]:
        dead = self._dead.view if len(self) < len(self._ids) else None
        return self._postings.scores(
            query_counts(query), lengths=self._lengths.view, dead=dead, total_length=self._total_length
        )

    def _matching(self, query: str, limit: int, rows: NDArray[np.intp] | None) -> list[Hit]:
        scores = self._scores(query)
        if rows is not None:
            scores = scores[rows]
        query_of, column, _ = highest(scores[None], limit, at_least=_ABOVE_ZERO)
        found = column if rows is None else rows[column]
        return ranked(query_of, found, scores[column], self._ids, count=1, limit=limit)[0]

    def _rows(self, filter: Filter) -> NDArray[np.intp]:
        return np.flatnonzero(self._fields.mask(filter, len(self._ids)) & ~self._dead.view)

    def _checked_vectors(self, rows: Sequence[Row]) -> NDArray[np.float32] | None:
        given = [row.vector for row in rows if row.vector is not None]
        if not given:
            return None
        expected = len(given[0]) if self.dims is None else self.dims * VECTOR_TYPE.itemsize
        for vector in given:
            if len(vector) != expected:
                raise other_length(len(vector) // VECTOR_TYPE.itemsize, expected // VECTOR_TYPE.itemsize)
        return np.frombuffer(b"".join(given), VECTOR_TYPE).reshape(len(given), -1)

    def _put_terms(self, rows: Sequence[Row], numbers: NDArray[np.int32]) -> None:
        keys = np.frombuffer(b"".join([row.keys for row in rows]), KEY_TYPE)
        counts = np.frombuffer(b"".join([row.counts for row in rows]), COUNT_TYPE)
        sizes = [len(row.keys) // KEY_TYPE.itemsize for row in rows]
        owners = np.repeat(np.arange(len(rows)), sizes)
        lengths = np.bincount(owners, counts, minlength=len(rows)).astype(np.int32)
        self._lengths.extend(lengths)
        self._total_length += int(lengths.sum())
        self._postings.add(numbers[owners], keys, counts)

    def _compact(self) -> None:
        alive = np.flatnonzero(~self._dead.view)
        new_row = np.full(len(self._ids), -1, np.int32)
        new_row[alive] = np.arange(len(alive), dtype=np.int32)
        lengths = self._lengths.view[alive]
        self._ids = [self._ids[row] for row in alive.tolist()]
        self._row_of = dict(zip(self._ids, range(len(self._ids)), strict=True))
        self._dead, self._lengths = Growing(np.bool_), Growing(np.int32)
        self._dead.extend(np.zeros(len(alive), np.bool_))
        self._lengths.extend(lengths)
        self._postings.renumber(new_row)
        self._fields.renumber(new_row)
        if self._vectors is not None:
            self._vectors.renumber(new_row, len(alive))


def _check_limit(limit: int) -> None:
    if limit > HITS_MAX:
        raise LimitReached("limit", limit, HITS_MAX)
