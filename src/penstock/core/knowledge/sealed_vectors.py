"""The vectors of a sealed part: the nearest of a million in milliseconds, though most of it never comes into memory.

Codes of one bit for each dimension choose some hundred to some thousand candidates, in a large part among those around the
query only (`neighbourhoods.py`); vectors of one byte for each dimension choose, of those, a few more than are wanted; only
these are read in full. A filter that lets few through takes the place of the codes: then nothing is left out that could be an
answer.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from penstock.core.knowledge.codes import codes, likely, likely_within, words_of
from penstock.core.knowledge.neighbourhoods import Neighbourhoods
from penstock.core.knowledge.sealed_form import Arrays, widened

Rows = NDArray[np.int32]
Likely = tuple[Rows, NDArray[np.float32]]
Gather = Callable[[NDArray[np.int32]], NDArray[np.int16]]

# So many that a filter lets through are scored one by one.
SCORED_MAX = 4_096
CODED_MIN = 1_000
CODED_PER_HIT = 12
# Read in full.
READ_PER_HIT = 2
READ_MORE = 48
_SCORED_AT_ONCE = 4_096
_NOTHING = np.zeros(0, np.float32)


class SealedVectors:
    """The vectors of a part. `gather` reads some in full, by row."""

    def __init__(self, arrays: Arrays, gather: Gather) -> None:
        self._has = arrays["has_vector"]
        self._near, self._scales = arrays["near"], arrays["near_scales"]
        self.dims = int(self._near.shape[1])
        self._columns = [arrays[f"code_{at}"] for at in range(words_of(self.dims))]
        self._rotation = arrays["rotation"].reshape(self.dims, self.dims)
        self._neighbourhoods = Neighbourhoods(arrays, self.dims) if "center_vectors" in arrays else None
        self._gather = gather

    def likely(
        self, query: NDArray[np.float32], *, limit: int, rows: Rows | None, dead: NDArray[np.bool_], share: float
    ) -> Likely:
        """Rows and rough cosines: among them the `limit` nearest to a unit query (of `rows`, if given).

        `share` of the space's passages are in this part: so many of the candidates are taken from it.
        """
        wanted = max(int(max(CODED_MIN, CODED_PER_HIT * limit) * min(1.0, share + 0.1)), 2 * limit)
        few = max(SCORED_MAX, 2 * wanted)
        if rows is not None and len(rows) <= few:
            candidates = rows
        elif rows is None and len(self._has) <= few:
            candidates = np.arange(len(self._has), dtype=np.int32)
        else:
            # Dead ones and those without a vector take places of candidates.
            candidates = self._near_by_code(query, wanted, rows)
        candidates = candidates[self._has[candidates] & ~dead[candidates]]
        return candidates, self._roughly(query, candidates)

    def cosines(self, query: NDArray[np.float32], rows: Rows) -> NDArray[np.float32]:
        """The cosines of rows that have a vector to a unit query, each computed by itself."""
        scores = np.empty(len(rows), np.float32)
        for start in range(0, len(rows), _SCORED_AT_ONCE):
            vectors = widened(self._gather(rows[start : start + _SCORED_AT_ONCE]))
            np.einsum("ij,j->i", vectors, query, out=scores[start : start + _SCORED_AT_ONCE])
        return np.clip(scores, -1, 1, out=scores)

    def having(self, rows: Rows) -> Rows:
        """Those of `rows` that have a vector."""
        return rows[self._has[rows]]

    def _near_by_code(self, query: NDArray[np.float32], wanted: int, rows: Rows | None) -> Rows:
        code = codes(query[None], self._rotation)[0]
        near_by = self._neighbourhoods
        if near_by is None:
            return likely(self._columns, code, wanted, None if rows is None else rows.astype(np.intp)).astype(np.int32)
        if rows is None:
            return near_by.rows(likely_within(self._columns, code, wanted, near_by.stretches(query, wanted)))
        return near_by.rows(likely(self._columns, code, wanted, near_by.places(rows)))

    def _roughly(self, query: NDArray[np.float32], rows: Rows) -> NDArray[np.float32]:
        parts: list[NDArray[np.float32]] = []
        for start in range(0, len(rows), _SCORED_AT_ONCE):
            some = rows[start : start + _SCORED_AT_ONCE]
            parts.append(self._near[some].astype(np.float32) @ query * self._scales[some])
        return parts[0] if len(parts) == 1 else np.concatenate([_NOTHING, *parts])


def gather_from(exact: NDArray[np.int16]) -> Gather:
    """Read from an array."""

    def gather(rows: NDArray[np.int32]) -> NDArray[np.int16]:
        return exact[rows]

    return gather
