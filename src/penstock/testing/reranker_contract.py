"""The contract of `Reranker`, as tests. An adapter inherits them and supplies the `reranker` fixture."""

import math

import pytest

from penstock.ports.reranker import Candidate, Reranker
from penstock.testing.embedder_contract import UNUSUAL_TEXTS

CANDIDATES = (
    Candidate("The kettle is in the kitchen.", 1.0),
    Candidate("A penstock brings water under pressure to a turbine.", 1.0),
    Candidate("Turbines are painted green.", 1.0),
)
QUERY = "what brings water to a turbine"


class RerankerContract:
    @pytest.fixture
    def reranker(self) -> Reranker:
        raise NotImplementedError("supply the reranker under test")

    async def test_j1_gives_each_candidate_a_score_in_their_order(self, reranker: Reranker) -> None:
        scores = await reranker.rerank(QUERY, CANDIDATES)
        assert len(scores) == len(CANDIDATES)
        assert all(math.isfinite(each) for each in scores)
        assert max(range(3), key=scores.__getitem__) == 1
        assert await reranker.rerank(QUERY, []) == []

    async def test_j2_gives_the_same_scores_again(self, reranker: Reranker) -> None:
        assert await reranker.rerank(QUERY, CANDIDATES) == await reranker.rerank(QUERY, CANDIDATES)

    @pytest.mark.parametrize("text", UNUSUAL_TEXTS, ids=range(len(UNUSUAL_TEXTS)))
    async def test_j3_refuses_no_text(self, reranker: Reranker, text: str) -> None:
        for query, other in ((text, "a turbine"), (QUERY, text)):
            scores = await reranker.rerank(query, [Candidate(other, 1.0), CANDIDATES[1]])
            assert len(scores) == 2
            assert all(math.isfinite(each) for each in scores)

    async def test_j4_has_a_name(self, reranker: Reranker) -> None:
        assert reranker.name
