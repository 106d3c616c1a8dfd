"""How good a ranking is, by what people judged: nDCG@10, recall@100 and MRR, as trec_eval counts them.

- The gain of a document is its judgement, its discount log2(rank + 1); judgements of 0 and below gain nothing.
- What was judged and is not in the corpus still counts as missed.
- Queries without a relevant document say nothing, and are left out of the means.
"""

from collections.abc import Collection, Mapping, Sequence
from math import fsum, log2

from msgspec import Struct

NDCG_DEPTH = 10
DEPTH = 100


class JudgedDocument(Struct, frozen=True):
    """A document of a judged collection."""

    id: str
    text: str
    title: str = ""

    @property
    def body(self) -> str:
        """What is indexed: the text, below its title unless it begins with it."""
        begins = self.text.lstrip().casefold().startswith(self.title.strip().casefold())
        return self.text if begins else f"{self.title}\n\n{self.text}".strip()


class Judged(Struct, frozen=True):
    """A collection, queries (id -> text), and for each judged query how relevant documents are (id -> judgement)."""

    documents: Sequence[JudgedDocument]
    queries: Mapping[str, str]
    relevant: Mapping[str, Mapping[str, float]]

    @property
    def asked(self) -> dict[str, str]:
        """The queries that have a relevant document."""
        return {query: self.queries[query] for query, grades in self.relevant.items() if is_telling(grades)}


class Figures(Struct, frozen=True):
    """How good rankings were, each from 0 to 1."""

    ndcg: float
    recall: float
    mrr: float


def is_telling(grades: Mapping[str, float]) -> bool:
    """Whether a query with these judgements can be missed at all."""
    return any(grade > 0 for grade in grades.values())


def judged_ranking(ranking: Sequence[str], grades: Mapping[str, float]) -> Figures:
    """Judge one ranking (ids, best first) of a query that is telling."""
    ranking = list(dict.fromkeys(ranking))[:DEPTH]
    gains = [max(0.0, grades.get(each, 0.0)) for each in ranking]
    ideal = sorted((grade for grade in grades.values() if grade > 0), reverse=True)
    assert ideal, "no document is relevant"
    first = next((rank for rank, gain in enumerate(gains, start=1) if gain > 0), 0)
    return Figures(
        ndcg=_discounted(gains[:NDCG_DEPTH]) / _discounted(ideal[:NDCG_DEPTH]),
        recall=sum(gain > 0 for gain in gains) / len(ideal),
        mrr=1 / first if first else 0.0,
    )


def mean(figures: Collection[Figures]) -> Figures:
    """The means over queries; all 0 of none."""
    count = max(1, len(figures))
    return Figures(
        fsum(each.ndcg for each in figures) / count,
        fsum(each.recall for each in figures) / count,
        fsum(each.mrr for each in figures) / count,
    )


def _discounted(gains: Sequence[float]) -> float:
    return fsum(gain / log2(rank + 1) for rank, gain in enumerate(gains, start=1))
