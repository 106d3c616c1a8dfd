"""The words of a sealed part: the passages with the highest BM25 scores, without scoring all that have a common word.

Words are taken from the rarest on. Once those that are left cannot lift a passage without any of the others above the last
one wanted, only passages found so far are looked at (MaxScore: Turtle and Flood, "Query evaluation: strategies and
optimizations", 1995). Until then sums are rough, in single precision and by lengths that are nearly right. Whatever was left
out, a score is computed by one function, in the order of the query's words: it is the same to the last bit in a sealed part
and in a segment.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from penstock.core.knowledge.relevance import Term
from penstock.core.knowledge.sealed_form import Arrays
from penstock.core.knowledge.words import K1, B, saturation

Rows = NDArray[np.int32]
Places = NDArray[
    np.intp
]  # rows as numpy wants them: it makes these of others each time, and `take` is quicker than an index
Scores = NDArray[np.float64]
Rough = NDArray[np.float32]

# Postings of so many words, the rarest, are added up at once.
_TOGETHER_MAX = 16_384
_TELLING_PER_HIT = 32
# Looking up a row among postings takes about as long as adding so many of them.
_LOOKING_UP_PAYS = 16
# Writing to every place takes about as long as to a sixteenth of them, here and there.
_FILLING_PAYS = 16
# An average length so near to another one is taken for it. A rough sum is then less than this share off.
_ALIKE = 1e-4
_SLACK = 3e-4
_PLACES_MAX = 65_536
_LEAST = float(np.finfo(np.float32).tiny)


class _Stretch(NamedTuple):
    """Where the postings of a term lie."""

    at: int
    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class _Found:
    weight: float
    most: float
    rows: Rows
    counts: NDArray[np.uint8] | NDArray[np.int32]


class SealedWords:
    """The postings of a part. `dead` is looked at when a part begins to be searched; later deaths are told by `drop`."""

    def __init__(self, arrays: Arrays, dead: NDArray[np.bool_]) -> None:
        self._dead = dead
        self._lengths = arrays["lengths"]
        self._keys, self._ends = arrays["term_keys"], arrays["term_ends"]
        self._most, self._least = arrays["term_most"], arrays["term_least"]
        self._rows, self._counts = arrays["term_rows"], arrays["term_counts"]
        self._known: dict[int, _Stretch | None] = {}
        self._sums: Rough | None = None
        self._norms: Rough | None = None
        self._norms_average = 0.0

    def drop(self, rows: Rows) -> None:
        """Have passages be worth nothing from now on."""
        if self._norms is not None:
            self._norms[rows] = np.inf

    def containing(self, key: int) -> int:
        """How many passages have a term, dead ones too."""
        known = self._stretch(key)
        return 0 if known is None else known.end - known.begin

    def having(self, key: int, rows: Rows) -> int:
        """How many of some passages have a term."""
        known = self._stretch(key)
        if known is None:
            return 0
        held = self._rows[known.begin : known.end]
        if len(held) < len(rows) * _LOOKING_UP_PAYS:
            mask = np.zeros(len(self._lengths), np.bool_)
            mask[rows] = True
            return int(np.count_nonzero(mask[held]))
        return int(np.count_nonzero(_places(held, rows)[1]))

    def scores(self, rows: Rows, query: Sequence[Term], average_length: float) -> Scores:
        """The scores of some passages."""
        scores = np.zeros(len(rows))
        lengths = self._lengths[rows].astype(np.float64)
        for term in query:
            known = self._stretch(term.key)
            if known is None:
                continue
            place, has = _places(self._rows[known.begin : known.end], rows)
            occurrences = self._counts[known.begin : known.end][place[has]].astype(np.float64)
            scores[has] += term.weight * saturation(occurrences, lengths[has], average_length=average_length)
        return scores

    def best(
        self,
        query: Sequence[Term],
        average_length: float,
        limit: int,
        *,
        allowed: NDArray[np.bool_] | None,
        floor: float,
    ) -> Rows:
        """Rows among which are the `limit` best of the living that are `allowed` (all, without it), each once.

        Those whose scores are below `floor` may be missing.
        """
        terms = sorted(self._found(query, average_length), key=lambda term: len(term.rows))
        rest = sum(term.most for term in terms)
        if not terms or rest * (1 + _SLACK) < floor:
            return _NO_ROWS
        norms, sums = self._norms_of(average_length), self._sums
        if sums is None:
            sums = self._sums = np.zeros(len(self._lengths), np.float32)
        number = _rarest(terms)
        touched = [_add_together(terms[:number], norms, sums, allowed)]
        rest -= sum(term.most for term in terms[:number])
        telling = touched[0]
        wanted = _last_wanted(sums, telling, limit, floor)
        while number < len(terms) and rest >= wanted:
            touched.append(_add(terms[number], norms, sums, allowed))
            rest -= terms[number].most
            number += 1
            # Those with rare words tell enough of what the best have, and looking at all would take longer.
            if len(telling) < _TELLING_PER_HIT * limit:
                telling = np.concatenate((telling, touched[-1]))
            wanted = max(wanted, _last_wanted(sums, telling, limit, floor))
        near = touched[0] if len(touched) == 1 else np.concatenate(touched)
        # Nobody who was not found yet can be among the best: only those found are looked up in the common words.
        for term in terms[number:]:
            near = near[sums.take(near) >= wanted - rest]
            rest -= term.most
            if len(term.rows) < _LOOKING_UP_PAYS * len(near):
                touched.append(_add(term, norms, sums, allowed))
            else:
                _look_up(term, norms, sums, near)
            wanted = _last_wanted(sums, near, limit, floor)
        near = np.sort(near[sums.take(near) >= max(_LEAST, wanted - rest)])
        if sum(map(len, touched)) * _FILLING_PAYS > len(sums):
            sums.fill(0.0)
        else:
            for places in touched:
                sums[places] = 0.0
        once = near[np.concatenate(([True], near[1:] != near[:-1]))] if len(near) else near
        return once.astype(np.int32)

    def _norms_of(self, average_length: float) -> Rough:
        """How many occurrences are worth a half in each passage, nearly: none ever are in one that is dead."""
        if self._norms is None or abs(average_length - self._norms_average) > _ALIKE * self._norms_average:
            self._norms = self._lengths.astype(np.float32)
            self._norms *= K1 * B / average_length
            self._norms += K1 * (1 - B)
            self._norms[self._dead] = np.inf
            self._norms_average = average_length
        return self._norms

    def _found(self, query: Sequence[Term], average_length: float) -> list[_Found]:
        found: list[_Found] = []
        for term in query:
            known = self._stretch(term.key)
            if known is None:
                continue
            at, begin, end = known
            most = saturation(float(self._most[at]), float(self._least[at]), average_length=average_length)
            found.append(_Found(term.weight, term.weight * most, self._rows[begin:end], self._counts[begin:end]))
        return found

    def _stretch(self, key: int) -> _Stretch | None:
        try:
            return self._known[key]
        except KeyError:
            pass
        at = int(np.searchsorted(self._keys, np.uint64(key)))
        known = None
        if at < len(self._keys) and int(self._keys[at]) == key:
            known = _Stretch(at, int(self._ends[at - 1]) if at else 0, int(self._ends[at]))
        if len(self._known) >= _PLACES_MAX:
            self._known.clear()
        self._known[key] = known
        return known


_NO_ROWS = np.zeros(0, np.int32)


def _rarest(terms: Sequence[_Found]) -> int:
    """How many of the words, the first ones, are added up at once: one at least."""
    number, postings = 1, len(terms[0].rows)
    while number < len(terms) and postings + len(terms[number].rows) <= _TOGETHER_MAX:
        postings += len(terms[number].rows)
        number += 1
    return number


def _add_together(terms: Sequence[_Found], norms: Rough, sums: Rough, allowed: NDArray[np.bool_] | None) -> Places:
    """Add what a few words are worth where nothing was added yet, and return where, each place once."""
    if len(terms) == 1:
        return _add(terms[0], norms, sums, allowed)
    rows = np.concatenate([term.rows for term in terms]).astype(np.intp)
    counts = np.concatenate([term.counts for term in terms]).astype(np.float32)
    weights = np.repeat(np.array([term.weight for term in terms], np.float32), [len(term.rows) for term in terms])
    if allowed is not None:
        taken = allowed[rows]
        rows, counts, weights = rows[taken], counts[taken], weights[taken]
    # Each row is seen once: the last of its places is the one that stays. That leaves marks, which are then replaced.
    marks = np.arange(1, len(rows) + 1, dtype=np.float32)
    sums[rows] = marks
    once = rows[sums[rows] == marks]
    sums[once] = 0.0
    np.add.at(sums, rows, weights * (counts / (counts + norms.take(rows))))
    return once


def _add(term: _Found, norms: Rough, sums: Rough, allowed: NDArray[np.bool_] | None) -> Places:
    """Add what a word is worth, and return where nothing was before."""
    rows, counts = term.rows, term.counts
    if allowed is not None:
        taken = allowed[rows]
        rows, counts = rows[taken], counts[taken]
    places = rows.astype(np.intp)
    before = sums.take(places)
    sums[places] = before + _worth(term, counts, norms.take(places))
    return places[before == 0]


def _look_up(term: _Found, norms: Rough, sums: Rough, places: Places) -> None:
    place, has = _places(term.rows, places)
    having = places[has]
    sums[having] += _worth(term, term.counts[place[has]], norms.take(having))


def _worth(term: _Found, counts: NDArray[np.uint8] | NDArray[np.int32], norms: Rough) -> Rough:
    occurrences = counts.astype(np.float32)
    norms += occurrences
    occurrences /= norms
    occurrences *= np.float32(term.weight)
    return occurrences


def _places(held: Rows, rows: Rows | Places) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Where rows lie among those of a word, and which ones do."""
    place = np.minimum(np.searchsorted(held, rows), len(held) - 1)
    return place, held[place] == rows


def _last_wanted(sums: Rough, places: Places, limit: int, floor: float) -> float:
    """A score that passages must reach to be wanted, as far as is known; below what it is by what sums may be off."""
    last = 0.0
    if len(places) > limit:
        last = float(np.partition(sums.take(places), -limit)[-limit])
    return max(last, floor) * (1 - _SLACK)
