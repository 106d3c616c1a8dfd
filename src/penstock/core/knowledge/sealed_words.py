"""The words of a sealed part: the passages with the highest BM25 scores, without scoring all that have a common word.

Words are taken from the rarest on. Once those that are left cannot lift a passage without any of the others above the last
one wanted, only passages found so far are looked at (MaxScore: Turtle and Flood, "Query evaluation: strategies and
optimizations", 1995). Whatever was left out, a score is computed by one function, in the order of the query's words: it is
the same to the last bit in a sealed part and in a segment.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from penstock.core.knowledge.relevance import Term
from penstock.core.knowledge.sealed_form import Arrays
from penstock.core.knowledge.words import saturation

Rows = NDArray[np.int32]
Scores = NDArray[np.float64]

# Postings above which it is worth finding out whether they are needed.
_WORTH_ASKING = 8_192
# Looking up a row among postings takes about as long as adding so many of them.
_LOOKING_UP_PAYS = 16
_LEAST = float(np.finfo(np.float64).tiny)
# Sums in another order differ by less.
_SLACK = 1e-9


@dataclass(frozen=True, slots=True)
class _Found:
    weight: float
    most: float
    rows: Rows
    counts: NDArray[np.uint8] | NDArray[np.int32]


class SealedWords:
    """The postings of a part."""

    def __init__(self, arrays: Arrays) -> None:
        self._lengths = arrays["lengths"]
        self._keys, self._ends = arrays["term_keys"], arrays["term_ends"]
        self._most, self._least = arrays["term_most"], arrays["term_least"]
        self._rows, self._counts = arrays["term_rows"], arrays["term_counts"]
        self._sums: Scores | None = None

    def containing(self, key: int, dead: NDArray[np.bool_] | None) -> int:
        """How many passages have a term, without those of `dead`."""
        at = self._place(key)
        if at is None:
            return 0
        begin, end = self._stretch(at)
        return end - begin if dead is None else end - begin - int(np.count_nonzero(dead[self._rows[begin:end]]))

    def scores(self, rows: Rows, query: Sequence[Term], average_length: float) -> Scores:
        """The scores of some passages."""
        scores = np.zeros(len(rows))
        lengths = self._lengths[rows].astype(np.float64)
        for term in query:
            at = self._place(term.key)
            if at is None:
                continue
            begin, end = self._stretch(at)
            held = self._rows[begin:end]
            place = np.minimum(np.searchsorted(held, rows), len(held) - 1)
            has = held[place] == rows
            occurrences = self._counts[begin:end][place[has]].astype(np.float64)
            scores[has] += term.weight * saturation(occurrences, lengths[has], average_length=average_length)
        return scores

    def best(
        self, query: Sequence[Term], average_length: float, limit: int, *, allowed: NDArray[np.bool_] | None
    ) -> Rows:
        """Rows among which are the `limit` best of those that are `allowed` (all, without it), each once."""
        terms = sorted(self._found(query, average_length), key=lambda term: len(term.rows))
        if self._sums is None:
            self._sums = np.zeros(len(self._lengths))
        sums, touched = self._sums, list[Rows]()
        rest = sum(term.most for term in terms)
        number = 0
        for term in terms:
            if number and len(term.rows) > _WORTH_ASKING and rest + _SLACK < _last_wanted(sums, touched, limit):
                break
            rest -= term.most
            number += 1
            touched.append(self._add(term, average_length, sums, allowed))
        near = _distinct(sums, touched, max(_last_wanted(sums, touched, limit) - rest - _SLACK, _LEAST))
        # Nobody who was not found yet can be among the best: only those found are looked up in the common words.
        for term in terms[number:]:
            rest -= term.most
            if len(term.rows) < _LOOKING_UP_PAYS * len(near):
                touched.append(self._add(term, average_length, sums, allowed))
            else:
                self._look_up(term, average_length, sums, near)
            scores = sums[near]
            if len(near) > limit:
                near = near[scores >= np.partition(scores, -limit)[-limit] - rest - _SLACK]
        for rows in touched:
            sums[rows] = 0.0
        return near

    def _look_up(self, term: _Found, average_length: float, sums: Scores, rows: Rows) -> None:
        place = np.minimum(np.searchsorted(term.rows, rows), len(term.rows) - 1)
        has = term.rows[place] == rows
        having = rows[has]
        counts, lengths = term.counts[place[has]].astype(np.float64), self._lengths[having].astype(np.float64)
        sums[having] += term.weight * saturation(counts, lengths, average_length=average_length)

    def _add(self, term: _Found, average_length: float, sums: Scores, allowed: NDArray[np.bool_] | None) -> Rows:
        rows, counts = term.rows, term.counts
        if allowed is not None:
            taken = allowed[rows]
            rows, counts = rows[taken], counts[taken]
        lengths = self._lengths[rows].astype(np.float64)
        sums[rows] += term.weight * saturation(counts.astype(np.float64), lengths, average_length=average_length)
        return rows

    def _found(self, query: Sequence[Term], average_length: float) -> list[_Found]:
        found: list[_Found] = []
        for term in query:
            at = self._place(term.key)
            if at is None:
                continue
            begin, end = self._stretch(at)
            most = saturation(float(self._most[at]), float(self._least[at]), average_length=average_length)
            found.append(_Found(term.weight, term.weight * most, self._rows[begin:end], self._counts[begin:end]))
        return found

    def _place(self, key: int) -> int | None:
        at = int(np.searchsorted(self._keys, np.uint64(key)))
        return at if at < len(self._keys) and int(self._keys[at]) == key else None

    def _stretch(self, at: int) -> tuple[int, int]:
        return int(self._ends[at - 1]) if at else 0, int(self._ends[at])


def _last_wanted(sums: Scores, touched: Sequence[Rows], limit: int) -> float:
    """A score that at least `limit` passages reach; a passage may be in each of the lists, and is then counted as often."""
    count = limit * len(touched)
    scores = np.concatenate([sums[rows] for rows in touched]) if touched else np.zeros(0)
    return float(np.partition(scores, -count)[-count]) if len(scores) > count else 0.0


def _distinct(sums: Scores, touched: Sequence[Rows], at_least: float) -> Rows:
    """The rows of lists whose sums are high enough, each once."""
    rows = np.sort(np.concatenate([np.zeros(0, np.int32), *(rows[sums[rows] >= at_least] for rows in touched)]))
    return rows[np.concatenate(([True], rows[1:] != rows[:-1]))] if len(rows) else rows
