"""Hits that are not all the same: each next one is near to the query and far from those before it.

Maximal marginal relevance: Carbonell and Goldstein, SIGIR 1998.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from penstock.core.knowledge.passages import Hit

POOL = 50
POOL_MAX = 200


def pool_of(limit: int) -> int:
    """How many hits to choose `limit` diverse ones from."""
    return min(POOL_MAX, max(POOL, 4 * limit))


def diverse(hits: Sequence[Hit], vectors: NDArray[np.float32], *, diversity: float, limit: int) -> list[Hit]:
    """Choose from `hits` (best first), whose unit vectors are `vectors`: 0 keeps their order, 1 heeds only how unlike they are.

    A hit's worth is its score as a share of what lies between the last and the first; less its cosine to the nearest of those
    that were chosen before.
    """
    assert 0 <= diversity <= 1, f"diversity is {diversity}"
    if not hits:
        return []
    scores = np.array([hit.score for hit in hits], np.float64)
    spread = scores.max() - scores.min()
    worth = (scores - scores.min()) / spread if spread > 0 else np.zeros(len(hits))
    alike = vectors.astype(np.float64) @ vectors.astype(np.float64).T
    nearest = np.zeros(len(hits))
    left = np.ones(len(hits), np.bool_)
    chosen: list[int] = []
    while len(chosen) < min(limit, len(hits)):
        gain = np.where(left, (1 - diversity) * worth - diversity * nearest, -np.inf)
        best = int(np.argmax(gain))  # of equal ones the first, which is the better hit
        chosen.append(best)
        left[best] = False
        nearest = np.maximum(nearest, alike[best])
    return [hits[each] for each in chosen]
