"""The highest scores of many, for many queries at once.

Every score that ties with the last one wanted comes too, so that a caller who orders equal scores by id
gives the same answer whatever the order of the columns.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from penstock.core.knowledge.passages import Hit

_GROUP = 16
_PEAKS_PER_WANTED = 4
_FEW_SCORES = 1 << 14

Scores = NDArray[np.float32] | NDArray[np.float64]
Places = NDArray[np.intp]


def highest(scores: Scores, count: int, *, slack: float = 0.0, at_least: Scores) -> tuple[Places, Places, Scores]:
    """The places (queries, columns) of the `count` highest scores of each row of `scores`, and a few more.

    The more: what lies less than `slack` below the last of them, and at times a few others. Only scores of
    `at_least` (one for each row) are taken. The third result is what `at_least` may be for further columns.
    With many columns, only groups whose peak is high enough are looked at.
    """
    columns = scores.shape[1]
    groups = columns // _GROUP
    if groups < count * _PEAKS_PER_WANTED or scores.size <= _FEW_SCORES:
        threshold = _threshold(scores, count, slack, at_least)
        query, column = _nonzero(scores >= threshold[:, None])
        return query, column, threshold
    # Column c is in group c % groups: the peaks are then maxima of whole rows, which is what vectorises.
    grouped = scores[:, : groups * _GROUP].reshape(-1, _GROUP, groups)
    peaks = grouped.max(axis=1)
    # The count-th peak is never above the count-th score.
    threshold = _threshold(peaks, count, slack, at_least)
    query, group = _nonzero(peaks >= threshold[:, None])
    which, member = _nonzero(grouped[query, :, group] >= threshold[query, None])
    rest_query, rest_column = np.nonzero(scores[:, groups * _GROUP :] >= threshold[:, None])
    return (
        np.concatenate((query[which], rest_query)),
        np.concatenate((member * groups + group[which], rest_column + groups * _GROUP)),
        threshold,
    )


def ranked(
    queries: Places, rows: NDArray[np.int32] | Places, scores: Scores, ids: Sequence[str], *, count: int, limit: int
) -> list[list[Hit]]:
    """Hits for each of `count` queries: by falling score, equal ones by id, at most `limit`.

    Finding i says that row `rows[i]`, whose id is `ids[rows[i]]`, has `scores[i]` for query `queries[i]`.
    """
    if count == 1:
        places: list[int] = rows.tolist()
        hits = [Hit(ids[row], each) for row, each in zip(places, scores.tolist(), strict=True)]
        return [sorted(hits, key=_by_score_and_id)[:limit]]
    order = np.lexsort((-scores, queries))
    query, score = queries[order], scores[order]
    ordered: list[int] = rows[order].tolist()
    found = [Hit(ids[row], each) for row, each in zip(ordered, score.tolist(), strict=True)]
    bounds = np.searchsorted(query, np.arange(count + 1)).tolist()
    if ((query[1:] == query[:-1]) & (score[1:] == score[:-1])).any():
        return [sorted(found[bounds[at] : bounds[at + 1]], key=_by_score_and_id)[:limit] for at in range(count)]
    return [found[bounds[at] : min(bounds[at] + limit, bounds[at + 1])] for at in range(count)]


def _by_score_and_id(hit: Hit) -> tuple[float, str]:
    return -hit.score, hit.id


def _threshold(scores: Scores, count: int, slack: float, at_least: Scores) -> Scores:
    if scores.shape[1] <= count:
        return at_least
    wanted = np.partition(scores, -count, axis=1)[:, -count]
    return np.maximum(wanted - scores.dtype.type(slack), at_least)


def _nonzero(mask: NDArray[np.bool_]) -> tuple[Places, Places]:
    # Five times as fast as numpy's for two dimensions.
    return np.divmod(np.flatnonzero(mask), mask.shape[1])
