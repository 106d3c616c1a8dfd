"""A sealed part of a space: never changed, but that passages of it die.

Its arrays may be mapped from files (`sealed_form.py`); what a part itself keeps in memory is a mark for each row that is dead.
"""

from collections.abc import Iterable, Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from penstock.core.knowledge.filters import Filter
from penstock.core.knowledge.growing import Growing
from penstock.core.knowledge.passages import Hit
from penstock.core.knowledge.ranking import highest, ranked
from penstock.core.knowledge.relevance import Term
from penstock.core.knowledge.sealed_fields import Plan, SealedFields
from penstock.core.knowledge.sealed_form import Arrays, text_at
from penstock.core.knowledge.sealed_vectors import READ_MORE, READ_PER_HIT, Gather, Likely, SealedVectors
from penstock.core.knowledge.sealed_words import SealedWords

Rows = NDArray[np.int32]

# Of a filter that lets fewer through, the rows are scored; of one that lets more through, those of the words are asked.
_FEW_ROWS = 5_000
_COUNTED_MAX = 65_536
_NONE_LIKELY: Likely = np.zeros(0, np.int32), np.zeros(0, np.float32)
_ANY, _ANY_NARROW = np.array([-np.inf]), np.array([-np.inf], np.float32)


class Sealed:
    """One part. `dead` marks rows that are in no answer and no statistic."""

    def __init__(self, arrays: Arrays, gather: Gather, dead: NDArray[np.bool_] | None = None) -> None:
        self.arrays = arrays
        lengths = self._lengths = arrays["lengths"]
        self.size = len(lengths)
        self.dead = np.zeros(self.size, np.bool_) if dead is None else dead
        self.ids = Ids(arrays)
        self._fields = SealedFields(arrays, self.size)
        self._words = SealedWords(arrays, self.dead)
        self._vectors = SealedVectors(arrays, gather) if "near" in arrays else None
        self._died = Growing(np.int32)  # in the order in which they died
        self._died.extend(np.flatnonzero(self.dead))
        self._gone_with: dict[int, tuple[int, int]] = {}
        alive = ~self.dead
        self.alive = int(np.count_nonzero(alive))
        self.with_terms = int(np.count_nonzero(lengths[alive]))
        self.total_length = int(lengths[alive].sum())
        self.vectors = 0 if self._vectors is None else int(np.count_nonzero(arrays["has_vector"] & alive))

    @property
    def dims(self) -> int | None:
        return None if self._vectors is None else self._vectors.dims

    def drop(self, ids: Sequence[str], hashes: NDArray[np.uint64]) -> None:
        """Take passages away; what is not there is passed over. `hashes` are those of the ids."""
        if rows := self.ids.rows(ids, hashes):
            self.bury(np.unique(np.array(rows, np.int32)))

    def bury(self, rows: Rows) -> None:
        """Have rows die, each given once; those that are dead already are passed over."""
        rows = rows[~self.dead[rows]]
        lengths = self._lengths[rows]
        self.dead[rows] = True
        self._died.extend(rows)
        self._words.drop(rows)
        self.alive -= len(rows)
        self.with_terms -= int(np.count_nonzero(lengths))
        self.total_length -= int(lengths.sum())
        if self._vectors is not None:
            self.vectors -= int(np.count_nonzero(self.arrays["has_vector"][rows]))

    def chosen(self, filter: Filter | None) -> Rows | None:
        """The living rows that a filter lets through; None for all."""
        return None if filter is None or not self.vectors else self._let_through(self._fields.plan(filter))

    def likely(self, query: NDArray[np.float32], *, limit: int, rows: Rows | None, share: float) -> Likely:
        """Rows among which are the nearest to a unit query, and their cosines, roughly."""
        if self._vectors is None or not self.vectors or (rows is not None and not len(rows)):
            return _NONE_LIKELY
        return self._vectors.likely(query, limit=limit, rows=rows, dead=self.dead, share=share)

    def scored(self, query: NDArray[np.float32], rows: Rows, limit: int) -> list[Hit]:
        """The nearest of some rows."""
        if self._vectors is None or not len(rows):
            return []
        return self._best(rows, self._vectors.cosines(query, rows), limit)

    def matching(
        self, query: Sequence[Term], average_length: float, *, limit: int, filter: Filter | None, floor: float = 0.0
    ) -> list[Hit]:
        """The passages with the highest scores above 0, at most `limit`; those below `floor` may be missing."""
        if not self.alive:
            return []
        plan = None if filter is None else self._fields.plan(filter)
        if plan is not None and plan.count <= _FEW_ROWS:
            rows = self._let_through(plan)
        else:
            rows = self._words.best(query, average_length, limit, allowed=self._allowed(plan), floor=floor)
        scores = self._words.scores(rows, query, average_length)
        above = scores > 0
        return self._best(rows[above], scores[above], limit)

    def containing(self, key: int) -> int:
        """How many living passages have a term."""
        count = self._words.containing(key)
        return count and count - self._gone(key)

    def cosines(self, query: NDArray[np.float32], ids: Sequence[str], hashes: NDArray[np.uint64]) -> dict[str, float]:
        """The cosines of those of `ids` that live here and have a vector."""
        if self._vectors is None or not query.any():
            return {}
        rows = self._vectors.having(self._living(ids, hashes))
        return self._by_id(rows, self._vectors.cosines(query, rows))

    def relevances(
        self, query: Sequence[Term], average_length: float, ids: Sequence[str], hashes: NDArray[np.uint64]
    ) -> dict[str, float]:
        """The scores of those of `ids` that live here."""
        rows = self._living(ids, hashes)
        return self._by_id(rows, self._words.scores(rows, query, average_length))

    def _gone(self, key: int) -> int:
        """How many dead passages have a term: counted once, and then for those that died since."""
        died = self._died.view
        gone, seen = self._gone_with.get(key, (0, 0))
        if seen < len(died):
            gone += self._words.having(key, died[seen:])
            if len(self._gone_with) >= _COUNTED_MAX:
                self._gone_with.clear()
            self._gone_with[key] = gone, len(died)
        return gone

    def _living(self, ids: Sequence[str], hashes: NDArray[np.uint64]) -> Rows:
        rows = np.array(self.ids.rows(ids, hashes), np.int32)
        return rows[~self.dead[rows]]

    def _by_id(self, rows: Rows, scores: NDArray[np.float32] | NDArray[np.float64]) -> dict[str, float]:
        return {self.ids[row]: score for row, score in zip(rows.tolist(), scores.tolist(), strict=True)}

    def _let_through(self, plan: Plan) -> Rows:
        rows = self._fields.rows(plan)
        return rows if self.alive == self.size else rows[~self.dead[rows]]

    def _allowed(self, plan: Plan | None) -> NDArray[np.bool_] | None:
        if plan is None:
            return None
        return self._fields.accepts(plan, np.arange(self.size, dtype=np.int32)) & ~self.dead

    def _best(self, rows: Rows, scores: NDArray[np.float32] | NDArray[np.float64], limit: int) -> list[Hit]:
        _, places, _ = highest(scores[None], limit, at_least=_ANY if scores.dtype == np.float64 else _ANY_NARROW)
        return ranked(np.zeros(len(places), np.intp), rows[places], scores[places], self.ids, count=1, limit=limit)[0]


def nearest(
    parts: Sequence[Sealed], queries: NDArray[np.float32], *, limit: int, filter: Filter | None, passages: int
) -> list[list[Hit]]:
    """The nearest passages to each unit query in all the parts, at most `limit` of each; a query without direction has none.

    `passages`: how many the space has in all. Vectors are read in full for those only that are nearest over all the parts.
    """
    rows = [part.chosen(filter) for part in parts]
    found: list[list[Hit]] = []
    for query in queries:
        if not query.any():
            found.append([])
            continue
        likely = [
            part.likely(query, limit=limit, rows=mine, share=part.alive / passages)
            for part, mine in zip(parts, rows, strict=True)
        ]
        count = READ_PER_HIT * limit + READ_MORE
        rough = np.concatenate([scores for _, scores in likely])
        least = np.partition(rough, -count)[-count] if len(rough) > count else -np.inf
        hits = [
            part.scored(query, mine[scores >= least], limit) for part, (mine, scores) in zip(parts, likely, strict=True)
        ]
        together = (
            hits[0] if len(hits) == 1 else sorted(chain.from_iterable(hits), key=lambda hit: (-hit.score, hit.id))
        )
        found.append(together[:limit])
    return found


class Ids(Sequence[str]):
    """The ids of a part's rows."""

    def __init__(self, arrays: Arrays) -> None:
        self._bytes, self._ends = arrays["id_bytes"], arrays["id_ends"]
        self._hashes, self._rows = arrays["id_hashes"], arrays["id_rows"]

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, row: int) -> str:  # pyright: ignore[reportIncompatibleMethodOverride] - nobody asks for a slice
        return text_at(self._bytes, self._ends, row)

    def rows(self, ids: Iterable[str], hashes: NDArray[np.uint64]) -> list[int]:
        """The rows of those of `ids` that are here."""
        first = np.searchsorted(self._hashes, hashes)
        last = np.searchsorted(self._hashes, hashes, "right")
        if not (first < last).any():
            return []
        return [
            row
            for passage_id, begin, end in zip(ids, first.tolist(), last.tolist(), strict=True)
            for row in self._rows[begin:end].tolist()
            if self[row] == passage_id
        ]
