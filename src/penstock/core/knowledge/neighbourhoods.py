"""Which vectors of a large part are worth a look at all: those around the centres that lie nearest to a query.

The vectors of a part are put with the nearest of some hundred centres, and their codes lie together, centre by centre, similar
centres beside each other. A search looks through the nearest quarter of them: a few stretches of memory, where it took
all. Writing needs none of this: centres are made when parts are merged, from a sample of what is in them.

A quarter is enough where passages are about something: of real texts it has 98 to 99 % of the ten nearest to a question.
How much it takes is tried out on the sample, and where neighbours lie everywhere (vectors made by chance) a part has no centres.
"""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from penstock.core.knowledge.sealed_form import Arrays

# A scan of fewer codes takes some tenths of a millisecond, and there are too few centres to save much of it.
NEIGHBOURED_MIN = 131_072

_ROWS_PER_CENTER = 3_000
_CENTERS_MAX = 512
_SAMPLED_PER_CENTER = 64
_SAMPLED_MAX = 16_384
_ROUNDS = 8
_SHARE = 0.25
_SHARE_MAX = 0.5
_COVERED = 0.98
_TRIED = 1_024
# Of those looked through, so many times the candidates that are wanted: who asks for many gets more neighbourhoods.
_LOOKED_THROUGH_PER_WANTED = 20
_SEED = 20_111_226

Vectors = NDArray[np.float32]


class Centers(NamedTuple):
    """Unit vectors, similar ones beside each other, and the share of a part's vectors that a search looks through."""

    vectors: Vectors
    share: float

    def nearest(self, vectors: Vectors) -> NDArray[np.int32]:
        """The centre that each vector belongs to."""
        return np.argmax(vectors @ self.vectors.T, axis=1).astype(np.int32)


class Neighbourhoods:
    """The centres of a part, and where the codes around each of them lie."""

    def __init__(self, arrays: Arrays, dims: int) -> None:
        self._centers = arrays["center_vectors"].reshape(-1, dims)
        self._ends = arrays["center_ends"][: len(self._centers)]  # behind them lie those without a vector
        self._sizes = np.diff(self._ends, prepend=0)
        self._share = float(arrays["center_share"][0])
        self._rows: NDArray[np.int32] = arrays["code_rows"]
        self._places: NDArray[np.int32] = arrays["code_places"]

    def stretches(self, query: Vectors, wanted: int) -> list[slice]:
        """Where the codes lie that are worth a look when about `wanted` candidates are."""
        count = max(self._share * int(self._ends[-1]), _LOOKED_THROUGH_PER_WANTED * wanted)
        order = np.argsort(-(self._centers @ query), kind="stable")
        near = np.sort(order[: int(np.searchsorted(np.cumsum(self._sizes[order]), count)) + 1])
        cuts = np.flatnonzero(np.diff(near) > 1) + 1
        ends = self._ends
        return [
            slice(int(ends[near[first]] - self._sizes[near[first]]), int(ends[near[after - 1]]))
            for first, after in pairwise([0, *cuts.tolist(), len(near)])
        ]

    def rows(self, places: NDArray[np.intp]) -> NDArray[np.int32]:
        """The rows whose codes lie at places."""
        return self._rows[places]

    def places(self, rows: NDArray[np.int32]) -> NDArray[np.intp]:
        """Where the codes of rows lie."""
        return self._places[rows].astype(np.intp)


def sampled(size: int) -> int:
    """How many of a part's vectors tell where its centres are."""
    return max(_TRIED, min(_SAMPLED_MAX, _centers_for(size) * _SAMPLED_PER_CENTER))


def _centers_for(size: int) -> int:
    return min(_CENTERS_MAX, size // _ROWS_PER_CENTER)


def centers_of(sample: Vectors, size: int) -> Centers | None:
    """Centres for a part of `size` unit vectors, of which `sample` is some, in any order; None where they are of no use."""
    count = min(_centers_for(size), len(sample))
    if not count:
        return None
    chance = np.random.default_rng(_SEED)
    vectors = sample[chance.choice(len(sample), count, replace=False)].copy()
    for _ in range(_ROUNDS):
        vectors = _moved(vectors, sample, chance)
    vectors = vectors[_beside_each_other(vectors)]
    share = _share(vectors, sample)
    return None if share > _SHARE_MAX else Centers(vectors, share)


def _moved(centers: Vectors, sample: Vectors, chance: np.random.Generator) -> Vectors:
    """Each centre in the middle of what is nearest to it; one that has nothing begins somewhere else."""
    nearest = np.argmax(sample @ centers.T, axis=1)
    sizes = np.bincount(nearest, minlength=len(centers))
    has = np.flatnonzero(sizes)
    moved = sample[chance.choice(len(sample), len(centers))].copy()
    starts = np.cumsum(sizes[has]) - sizes[has]
    moved[has] = np.add.reduceat(sample[np.argsort(nearest, kind="stable")], starts)
    lengths = np.linalg.norm(moved, axis=1, keepdims=True)
    return np.divide(moved, lengths, out=np.zeros_like(moved), where=lengths > 0)


def _beside_each_other(centers: Vectors) -> list[int]:
    """An order in which each centre is followed by the nearest that is left: a search goes through few long stretches then."""
    near = centers @ centers.T
    order = [0]
    for _ in range(len(centers) - 1):
        near[:, order[-1]] = -np.inf
        order.append(int(np.argmax(near[order[-1]])))
    return order


def _share(centers: Vectors, sample: Vectors) -> float:
    """How much of a part must be looked through so that the neighbours of most of a sample are found."""
    nearest = np.argmax(sample @ centers.T, axis=1)
    sizes = np.bincount(nearest, minlength=len(centers))
    needed: list[NDArray[np.float64]] = []
    for start in range(0, min(_TRIED, len(sample)), 128):
        tried = sample[start : start + 128]
        scores = tried @ sample.T
        scores[np.arange(len(tried)), np.arange(start, start + len(tried))] = -np.inf
        neighbour = np.argmax(scores, axis=1)
        order = np.argsort(-(tried @ centers.T), axis=1, kind="stable")
        looked_at = np.cumsum(sizes[order], axis=1) / len(sample)
        needed.append(looked_at[order == nearest[neighbour][:, None]])
    return max(_SHARE, float(np.quantile(np.concatenate(needed), _COVERED)))


def in_order(of_row: NDArray[np.int32], centers: int) -> dict[str, NDArray[np.int32] | NDArray[np.int64]]:
    """The arrays that say where each row's code lies. A row without a vector has the number behind the last centre."""
    rows = np.argsort(of_row, kind="stable").astype(np.int32)
    places = np.empty(len(rows), np.int32)
    places[rows] = np.arange(len(rows), dtype=np.int32)
    return {
        "center_ends": np.cumsum(np.bincount(of_row, minlength=centers + 1)),
        "code_rows": rows,
        "code_places": places,
    }
