"""Where passages are found by their words. Its contract, as tests: `penstock.testing.words_contract`."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from penstock.core.knowledge.filters import Filter
from penstock.core.knowledge.passages import Hit, IndexWrite, Space


class WordIndex(Protocol):
    """Passages by the words they share with a query, ranked by BM25.

    Every implementation guarantees:

    W1 upsert     `apply` is idempotent: the last write of an id in call order wins, repeating it changes nothing.
    W2 seen       What `apply` returned from is found by the next search, and what it deleted is not.
    W3 isolation  A search sees its own space (tenant, collection, generation) and nothing else, statistics included.
    W4 filter     Every hit matches the filter, and up to `limit` passages that match are returned, best first.
    W5 order      Hits come by falling score, equal ones by id; scores are above 0.
    W6 any text   No query is refused for its content: what has no known word has no hits.
    W7 relevances `relevances` gives the scores that `matching` gives, for the ids that exist; 0 without a word in common.
    """

    async def apply(self, writes: Sequence[IndexWrite]) -> None:
        """Make the writes, all or (on `Unavailable`) possibly some: repeat them."""
        ...

    async def matching(
        self, space: Space, queries: Sequence[str], *, limit: int, filter: Filter | None = None
    ) -> Sequence[Sequence[Hit]]:
        """Return the best hits for each query."""
        ...

    async def relevances(
        self, space: Space, queries: Sequence[str], ids: Sequence[Sequence[str]]
    ) -> Sequence[Mapping[str, float]]:
        """Return id -> score for the query's own `ids`: those that another index found."""
        ...
