"""One list of hits out of two: what the words found, and what the vectors found.

Both ways are pure and order equal scores by id. Standard scores are the default: with a static embedder as the second
list, reciprocal ranks throw away how sure BM25 was (`docs/decisions/0039-analysers-and-fusion.md`).
"""

from collections.abc import Mapping, Sequence
from math import fsum, sqrt

from penstock.core.knowledge.passages import Hit

WEIGHT = 0.3
RANK_OFFSET = 60
# How far the best of the words stands out, in deviations, when `weight` is taken as it is.
PEAK = 3.5
STEEPNESS = 1.5
STRETCH_MAX = 2.0
# For a model that reads whole sentences, wherever words stand out or not.
MODEL_WEIGHT = 0.5

_EQUAL = 1e-9


def fused(
    relevances: Mapping[str, float],
    cosines: Mapping[str, float],
    *,
    weight: float = WEIGHT,
    limit: int,
    peak: float | None = PEAK,
) -> list[Hit]:
    """Add the two scores of each candidate as standard scores: (1 - weight) * z(bm25) + weight * z(cosine).

    z(x) is (x - mean) / deviation over the candidates: cosines lie close together, and as shares of the best they would
    hardly count. `weight` (0 to 1) is that of the vectors: less where one passage stands out by its words, which are then
    to be trusted, and up to twice as much where none does (`peak`; None: the same everywhere). A candidate without vector has the
    least cosine of all, one without relevance 0. Scores are around 0, and comparable within one search only.
    """
    assert 0 <= weight <= 1, f"weight is {weight}"
    ids = list(dict.fromkeys([*relevances, *cosines]))
    least = min(cosines.values(), default=0.0)
    words = standard([relevances.get(each, 0.0) for each in ids])
    vectors = standard([cosines.get(each, least) for each in ids])
    weight = weight_where(words, weight, peak)
    scores = {
        each: (1 - weight) * word + weight * vector for each, word, vector in zip(ids, words, vectors, strict=True)
    }
    return best(scores, limit)


def fused_by_rank(lists: Sequence[Sequence[Hit]], *, limit: int, offset: int = RANK_OFFSET) -> list[Hit]:
    """Add 1 / (offset + rank), ranks from 1: for lists whose scores cannot be compared.

    Reciprocal rank fusion: Cormack, Clarke and Buettcher, SIGIR 2009, with their offset of 60.
    """
    scores: dict[str, float] = {}
    for hits in lists:
        for rank, hit in enumerate(hits, start=1):
            scores[hit.id] = scores.get(hit.id, 0.0) + 1 / (offset + rank)
    return best(scores, limit)


def weight_where(words: Sequence[float], weight: float, peak: float | None) -> float:
    """Return how much vectors count beside these standard scores of the words: see `fused`.

    No standard score of n can be above sqrt(n - 1) (Samuelson, 1968): among a few candidates nothing could stand out otherwise.
    """
    if peak is None:
        return weight
    peak = min(peak, sqrt(max(len(words) - 1, 0)))
    return min(1.0, weight * min(STRETCH_MAX, (peak / max(max(words, default=0.0), _EQUAL)) ** STEEPNESS))


def standard(scores: Sequence[float]) -> list[float]:
    """Return the scores as distances from their mean, in deviations; all 0 when they do not differ."""
    if not scores:
        return []
    mean = fsum(scores) / len(scores)
    deviation = sqrt(fsum((score - mean) ** 2 for score in scores) / len(scores))
    # Equal scores can differ from their mean in the last bit, which is no reason to rank them.
    return [(score - mean) / deviation if deviation > _EQUAL * abs(mean) else 0.0 for score in scores]


def best(scores: Mapping[str, float], limit: int) -> list[Hit]:
    """Return the hits with the highest scores, equal ones by id."""
    ranked = sorted(scores.items(), key=lambda item: (-item[1], item[0]))
    return [Hit(passage_id, score) for passage_id, score in ranked[: max(limit, 0)]]
