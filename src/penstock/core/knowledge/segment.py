"""Passages in memory: found by vectors, words and filters. A small space is one segment; of a large one, what changed last.

- A row belongs to one passage for good: writing a passage again makes a new row and the old one dead.
- Dead rows are in no answer and no statistic. When they are the most, the segment is compacted.
- `put` and `drop` are the only writers; a search between two of them sees all of the first.
- A frozen segment gets no more passages, and what is read of it stays as it is: only that rows die.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from penstock.core.knowledge.codes import Columns
from penstock.core.knowledge.fields import Fields
from penstock.core.knowledge.filters import Filter
from penstock.core.knowledge.growing import Growing
from penstock.core.knowledge.nearest import EXACT_MAX, RESCORED_MIN, Vectors
from penstock.core.knowledge.passages import Hit, Row
from penstock.core.knowledge.postings import Postings
from penstock.core.knowledge.ranking import highest, ranked
from penstock.core.knowledge.relevance import Term
from penstock.core.knowledge.rows import COUNT_TYPE, KEY_TYPE, VECTOR_TYPE, other_length
from penstock.core.knowledge.sealed_form import rounded, widened

_DEAD_MIN = 1_024
_ABOVE_ZERO = np.array([np.finfo(np.float64).tiny])


class Segment:
    """Passages of one space. `exact_max`: above so many vectors, a search is approximate, of `rescored_min` candidates.

    `dims`: the length of the vectors, if it is known. `coded_room`: as in `Vectors`.
    """

    def __init__(
        self,
        *,
        exact_max: int = EXACT_MAX,
        rescored_min: int = RESCORED_MIN,
        dims: int | None = None,
        coded_room: int = 0,
    ) -> None:
        self._vectors_of = partial(Vectors, exact_max=exact_max, rescored_min=rescored_min, coded_room=coded_room)
        self.ids: list[str] = []
        self._row_of: dict[str, int] = {}
        self._dead = Growing(np.bool_)
        self._lengths = Growing(np.int32)
        self.total_length = 0
        self.with_terms = 0
        self.postings = Postings()
        self.fields = Fields()
        self._vectors = None if dims is None else self._vectors_of(dims)
        self._frozen = False

    def __len__(self) -> int:
        return len(self._row_of)

    @property
    def vectors(self) -> int:
        """How many of the passages have a vector, dead ones of a frozen segment included."""
        return 0 if self._vectors is None else len(self._vectors)

    @property
    def dims(self) -> int | None:
        """The length of the vectors, once there was one."""
        return None if self._vectors is None else self._vectors.dims

    @property
    def dead(self) -> NDArray[np.bool_]:
        """A mark for each row that is dead."""
        return self._dead.view

    @property
    def lengths(self) -> NDArray[np.int32]:
        """The number of terms of each row; that of a dead one has no meaning."""
        return self._lengths.view

    def placed_vectors(self) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
        """The vectors, and the row of each."""
        assert self._vectors is not None, "nothing here has a vector"
        return self._vectors.placed()

    def placed_codes(self) -> Columns | None:
        """The codes of the vectors, in their order, if they have any yet."""
        return None if self._vectors is None else self._vectors.placed_codes()

    def freeze(self) -> None:
        """From now on rows only die."""
        self._frozen = True

    def let_go(self, pause: Callable[[], None]) -> None:
        """Give up what a frozen segment holds, in pieces: all at once, it would hold everybody up. Nobody may use it any more."""
        assert self._frozen, "it is in use"
        self.postings.let_go(pause)
        self._row_of.clear()
        pause()
        self.ids = []
        pause()

    def put(self, rows: Sequence[Row]) -> None:
        """Add passages, or replace those of the same ids. Raises `Refused` for vectors of another length."""
        assert not self._frozen, "a frozen segment gets no more passages"
        rows = list({row.id: row for row in rows}.values())
        if not rows:
            return
        vectors, placed = self._checked_vectors(rows)
        self.drop(row.id for row in rows)
        first = len(self.ids)
        numbers = np.arange(first, first + len(rows), dtype=np.int32)
        self.ids += [row.id for row in rows]
        self._row_of.update(zip((row.id for row in rows), numbers.tolist(), strict=True))
        self._dead.extend(np.zeros(len(rows), np.bool_))
        self._put_terms(rows, numbers)
        self.fields.add(numbers.tolist(), [row.metadata for row in rows])
        if vectors is not None:
            if self._vectors is None:
                self._vectors = self._vectors_of(vectors.shape[1])
            self._vectors.add(numbers[placed], vectors)

    def drop(self, ids: Iterable[str]) -> None:
        """Take passages away; what is not there is passed over."""
        for gone in ids:
            row = self._row_of.pop(gone, None)
            if row is None:
                continue
            self._dead.view[row] = True
            self.total_length -= int(self._lengths.view[row])
            self.with_terms -= int(self._lengths.view[row] > 0)
            if self._vectors is not None and not self._frozen:
                self._vectors.drop(row)
        dead = len(self.ids) - len(self._row_of)
        if dead >= _DEAD_MIN and dead > len(self._row_of) and not self._frozen:
            self._compact()

    def nearest(self, queries: NDArray[np.float32], *, limit: int, filter: Filter | None = None) -> list[list[Hit]]:
        """The passages whose vectors have the highest cosines, for each unit query; none for one without direction."""
        known = queries.any(axis=1)
        if self._vectors is None or not self.vectors or not known.any():
            return [[] for _ in queries]
        # Of a frozen segment the vectors of dead rows are still there.
        rows = self._rows(filter) if filter is not None or (self._frozen and len(self) < len(self.ids)) else None
        if known.all():
            query, row, scores = self._vectors.nearest(queries, limit=limit, rows=rows)
        else:
            query, row, scores = self._vectors.nearest(queries[known], limit=limit, rows=rows)
            query = np.flatnonzero(known)[query]
        return ranked(query, row, scores, self.ids, count=len(queries), limit=limit)

    def matching(
        self, query: Sequence[Term], average_length: float, *, limit: int, filter: Filter | None = None
    ) -> list[Hit]:
        """The passages with the highest BM25 scores above 0."""
        if not self._row_of:
            return []
        scores = self._scores(query, average_length)
        rows = None if filter is None else self._rows(filter)
        if rows is not None:
            scores = scores[rows]
        elif len(self) < len(self.ids):
            scores[self._dead.view] = 0
        query_of, column, _ = highest(scores[None], limit, at_least=_ABOVE_ZERO)
        found = column if rows is None else rows[column]
        return ranked(query_of, found, scores[column], self.ids, count=1, limit=limit)[0]

    def containing(self, key: int) -> int:
        """How many passages have a term."""
        return self.postings.containing(key, self._dead.view if len(self) < len(self.ids) else None)

    def cosines(self, query: NDArray[np.float32], ids: Sequence[str]) -> dict[str, float]:
        """The cosines of those of `ids` that have a vector to a unit query; none for one without direction."""
        if self._vectors is None or not query.any():
            return {}
        rows, scores = self._vectors.cosines(query, self._known(ids))
        return {self.ids[row]: score for row, score in zip(rows.tolist(), scores.tolist(), strict=True)}

    def relevances(self, query: Sequence[Term], average_length: float, ids: Sequence[str]) -> dict[str, float]:
        """The BM25 scores of those of `ids` that are here; 0 without a word of the query."""
        rows = self._known(ids)
        scores = self._scores(query, average_length)[rows] if len(rows) else np.zeros(0)
        return {self.ids[row]: score for row, score in zip(rows.tolist(), scores.tolist(), strict=True)}

    def _known(self, ids: Iterable[str]) -> NDArray[np.intp]:
        return np.array([self._row_of[each] for each in ids if each in self._row_of], np.intp)

    def _scores(self, query: Sequence[Term], average_length: float) -> NDArray[np.float64]:
        return self.postings.scores(query, average_length, lengths=self._lengths.view)

    def _rows(self, filter: Filter | None) -> NDArray[np.intp]:
        alive = ~self._dead.view
        return np.flatnonzero(alive if filter is None else self.fields.mask(filter, len(self.ids)) & alive)

    def _checked_vectors(self, rows: Sequence[Row]) -> tuple[NDArray[np.float32] | None, list[int]]:
        """The vectors, and which of the rows they belong to."""
        placed = [at for at, row in enumerate(rows) if row.vector is not None]
        given = [row.vector for row in rows if row.vector is not None]
        if not given:
            return None, placed
        expected = len(given[0]) if self.dims is None else self.dims * VECTOR_TYPE.itemsize
        for vector in given:
            if len(vector) != expected:
                raise other_length(len(vector) // VECTOR_TYPE.itemsize, expected // VECTOR_TYPE.itemsize)
        # In the precision of sealed parts: a score must not change when its passage is sealed.
        vectors = np.frombuffer(b"".join(given), VECTOR_TYPE).reshape(len(given), -1)
        whole = np.isfinite(vectors).all(axis=1)
        if not whole.all():
            # Writes refuse them. A row that a damaged file, or a version before, holds all the same is as one without a
            # vector: one number that is none would stand above all others, in every search.
            vectors, placed = vectors[whole], [placed[at] for at in np.flatnonzero(whole)]
        return (widened(rounded(vectors)) if placed else None), placed

    def _put_terms(self, rows: Sequence[Row], numbers: NDArray[np.int32]) -> None:
        keys = np.frombuffer(b"".join([row.keys for row in rows]), KEY_TYPE)
        counts = np.frombuffer(b"".join([row.counts for row in rows]), COUNT_TYPE)
        sizes = [len(row.keys) // KEY_TYPE.itemsize for row in rows]
        owners = np.repeat(np.arange(len(rows)), sizes)
        lengths = np.bincount(owners, counts, minlength=len(rows)).astype(np.int32)
        self._lengths.extend(lengths)
        self.total_length += int(lengths.sum())
        self.with_terms += int(np.count_nonzero(lengths))
        self.postings.add(numbers[owners], keys, counts)

    def _compact(self) -> None:
        alive = np.flatnonzero(~self._dead.view)
        new_row = np.full(len(self.ids), -1, np.int32)
        new_row[alive] = np.arange(len(alive), dtype=np.int32)
        lengths = self._lengths.view[alive]
        self.ids = [self.ids[row] for row in alive.tolist()]
        self._row_of = dict(zip(self.ids, range(len(self.ids)), strict=True))
        self._dead, self._lengths = Growing(np.bool_), Growing(np.int32)
        self._dead.extend(np.zeros(len(alive), np.bool_))
        self._lengths.extend(lengths)
        self.postings.renumber(new_row)
        self.fields.renumber(new_row)
        if self._vectors is not None:
            self._vectors.renumber(new_row, len(alive))
