"""Re-rankers that need no service: by how near the query's words stand, or by an embedder that reads whole sentences.

Both keep the search's own score beside theirs, each as a standard score: a sum of two opinions is better than either.
"""

from collections.abc import Sequence

from penstock.core.knowledge.fusion import standard
from penstock.core.knowledge.proximity import proximity
from penstock.ports.embedder import Embedder
from penstock.ports.reranker import Candidate

NEARNESS_WEIGHT = 0.2
MEANING_WEIGHT = 0.5


class WordsReranker:
    """By how many of the query's words a passage has, and how near to each other."""

    name = "words"

    async def rerank(self, query: str, candidates: Sequence[Candidate]) -> list[float]:
        near = [proximity(query, each.text) for each in candidates]
        return _together(candidates, near, NEARNESS_WEIGHT)


class MeaningReranker:
    """By the cosine of query and passage under an embedder that is too slow for all passages, such as MiniLM."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder

    @property
    def name(self) -> str:
        return f"meaning:{self._embedder.name}"

    async def rerank(self, query: str, candidates: Sequence[Candidate]) -> list[float]:
        if not candidates:
            return []
        asked = await self._embedder.embed([query], purpose="query")
        rows = await self._embedder.embed([each.text for each in candidates], purpose="passage")
        cosines: list[float] = (rows @ asked[0]).tolist()
        return _together(candidates, cosines, MEANING_WEIGHT)


def _together(candidates: Sequence[Candidate], scores: Sequence[float], weight: float) -> list[float]:
    before, own = standard([each.score for each in candidates]), standard(list(scores))
    return [(1 - weight) * was + weight * now for was, now in zip(before, own, strict=True)]
