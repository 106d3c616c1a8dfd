"""A better order for what was found: lifted by use, judged anew by a re-ranker. Both are bounded, and asked for.

A re-ranker that fails or takes too long changes nothing: the order before stands, and what was found says so.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from msgspec import structs

from penstock.core.knowledge.uses import KnowledgeUsed, lifted
from penstock.errors import PenstockError
from penstock.ports.reranker import Candidate, Reranker
from penstock.runtime.found import Found, Search
from penstock.runtime.search_options import CANDIDATES_MAX

POOL_MIN = 50  # candidates of a boost
CANDIDATES = 50  # of a re-ranker, unless a search says otherwise


class UsesOf(Protocol):
    """What passages were used for."""

    async def weights(self, tenant: str, now_ms: int, *, by_ms: int = 0) -> dict[str, float]: ...
    async def events(self, tenant: str, *, by_ms: int = 0) -> list[tuple[KnowledgeUsed, int]]: ...


class Rearranging:
    """Of one collection."""

    def __init__(self, reranker: Reranker | None = None) -> None:
        self.reranker = reranker
        self.uses: UsesOf | None = None

    def concerns(self, search: Search) -> bool:
        return bool(search.boost or self._candidates(search))

    def _candidates(self, search: Search) -> int:
        if search.rerank is not None or self.reranker is None or search.page_after or search.diversity:
            return search.rerank or 0
        return max(CANDIDATES, min(search.limit, CANDIDATES_MAX))

    async def found(
        self,
        search: Search,
        tenant: str,
        asked: Callable[[Search, str], Awaitable[list[Found]]],
        moment: tuple[int, int],
    ) -> list[Found]:
        """Ask for more, and return the best of that in the better order. `moment`: now, and by when uses count (0: now)."""
        candidates = self._candidates(search)
        pool = max(search.limit, candidates, POOL_MIN if search.boost else 0)
        # What is nobody's to rearrange any more: the search itself.
        found = await asked(structs.replace(search, limit=pool, boost=0.0, rerank=0), tenant)
        if search.boost and self.uses is not None and found:
            found = await self._lifted(found, search.boost, tenant, moment)
        if candidates:
            found = await self._reranked(found, search, candidates)
        return found[: search.limit]

    async def _lifted(self, found: Sequence[Found], boost: float, tenant: str, moment: tuple[int, int]) -> list[Found]:
        assert self.uses is not None
        now_ms, by_ms = moment
        weights = await self.uses.weights(tenant, now_ms, by_ms=by_ms)
        scores = lifted([each.score for each in found], [weights.get(each.id, 0.0) for each in found], boost)
        return _by_score([structs.replace(each, score=score) for each, score in zip(found, scores, strict=True)])

    async def _reranked(self, found: list[Found], search: Search, candidates: int) -> list[Found]:
        if self.reranker is None:
            return _degraded(found, "in the order before: the collection has no re-ranker")
        first, rest = found[:candidates], found[candidates:]
        try:
            async with asyncio.timeout(search.rerank_within_s):
                scores = await self.reranker.rerank(search.text, [Candidate(each.text, each.score) for each in first])
        except TimeoutError:
            reason = f"{self.reranker.name} took more than {search.rerank_within_s:g} s"
            return _degraded(found, f"in the order before: {reason}")
        except PenstockError as error:
            return _degraded(found, f"in the order before: {error}")
        except Exception as error:  # noqa: BLE001 - a re-ranker of the user's may raise anything
            return _degraded(found, f"in the order before: {type(error).__name__}: {error}"[:500])
        again = _by_score([structs.replace(each, score=score) for each, score in zip(first, scores, strict=True)])
        if not rest or not again:
            return again
        # What was not judged follows, below all that was: its scores are of another scale.
        least = again[-1].score
        below = [structs.replace(each, score=least - number) for number, each in enumerate(rest, start=1)]
        return [*again, *below]


def _by_score(found: Sequence[Found]) -> list[Found]:
    return sorted(found, key=lambda each: (-each.score, each.id))


def _degraded(found: Sequence[Found], why: str) -> list[Found]:
    return [structs.replace(each, degraded=f"{each.degraded}; {why}" if each.degraded else why) for each in found]
