"""One list of hits out of two: what the words found, and what the vectors found.

Both ways are pure and order equal scores by id. Weighted fusion is the default: with a static embedder as the
second list, reciprocal ranks throw away how sure BM25 was (`docs/decisions/0004-the-embedded-index.md`).
"""

from collections.abc import Sequence

from penstock.core.knowledge.passages import Hit

WEIGHT = 0.3
RANK_OFFSET = 60


def fused(words: Sequence[Hit], vectors: Sequence[Hit], *, weight: float = WEIGHT, limit: int) -> list[Hit]:
    """Add the scores, each list scaled by its best: (1 - weight) * bm25 / max + weight * max(cosine, 0) / max.

    `weight` (0 to 1) is the share of the vectors. A passage that a list lacks counts 0 there.
    """
    assert 0 <= weight <= 1, f"weight is {weight}"
    scores: dict[str, float] = {}
    for hits, share in ((words, 1 - weight), (vectors, weight)):
        best = max((hit.score for hit in hits), default=0.0)
        if best > 0:
            for hit in hits:
                scores[hit.id] = scores.get(hit.id, 0.0) + share * max(hit.score, 0.0) / best
        else:
            for hit in hits:
                scores.setdefault(hit.id, 0.0)
    return _best(scores, limit)


def fused_by_rank(lists: Sequence[Sequence[Hit]], *, limit: int, offset: int = RANK_OFFSET) -> list[Hit]:
    """Add 1 / (offset + rank), ranks from 1: for lists whose scores cannot be compared.

    Reciprocal rank fusion: Cormack, Clarke and Buettcher, SIGIR 2009, with their offset of 60.
    """
    scores: dict[str, float] = {}
    for hits in lists:
        for rank, hit in enumerate(hits, start=1):
            scores[hit.id] = scores.get(hit.id, 0.0) + 1 / (offset + rank)
    return _best(scores, limit)


def _best(scores: dict[str, float], limit: int) -> list[Hit]:
    ranked = sorted(scores.items(), key=lambda item: (-item[1], item[0]))
    return [Hit(passage_id, score) for passage_id, score in ranked[: max(limit, 0)]]
