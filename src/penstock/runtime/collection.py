"""A knowledge collection at work: searches by meaning and words, and what the indexer writes.

Searches that are asked in the same tick of the event loop are made together: one product of matrices for all of them.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypedDict

from msgspec import structs

from penstock.core.events.envelope import Recorded
from penstock.core.knowledge.as_of import AsOf
from penstock.core.knowledge.diversity import diverse, pool_of
from penstock.core.knowledge.events import KnowledgeEvent, collection_of
from penstock.core.knowledge.fusion import MODEL_WEIGHT, PEAK, WEIGHT, fused, fused_by_rank
from penstock.core.knowledge.highlights import Highlights, highlights
from penstock.core.knowledge.ordering import Point
from penstock.core.knowledge.passages import DEFAULT_TENANT, Hit, IndexWrite, Passage, Space, Upsert
from penstock.core.knowledge.refining import refined
from penstock.errors import Refused, Unavailable
from penstock.ports.embedder import Embedder
from penstock.ports.state import StoredRun
from penstock.ports.tracer import Span
from penstock.runtime.embedding import EmbedsTogether
from penstock.runtime.expiring import unexpired
from penstock.runtime.found import Found, Search
from penstock.runtime.generations import Built, Generations
from penstock.runtime.index import Index
from penstock.runtime.indexing import Indexing
from penstock.runtime.rearranging import Rearranging
from penstock.runtime.refining import Finer, by_score, cosines_of, finer_of, refined_nearest
from penstock.runtime.search_options import Mode
from penstock.runtime.search_times import SearchTimes
from penstock.runtime.tasks import Tasks
from penstock.runtime.tracing import Traces, stay_below
from penstock.runtime.tracing_calls import asked_of_index, searched, searching

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CANDIDATES = 200
LIMIT_MAX = 1000
RECENT_MAX = 200
LOOKS_MAX = 12  # for a search whose hits are written anew while it looks: a slow store may be late five times in a row


class PastSearch(Protocol):
    """A collection as it was."""

    hears: Callable[[], bool]

    async def search(self, search: Search, tenant: str) -> list[Found]: ...
    async def passages(self, as_of: AsOf, tenant: str) -> tuple[Point, list[Passage]]: ...
    async def moment_ms(self, as_of: AsOf) -> int: ...

    def empty(self, asked: Built) -> Collection:
        """Return the collection as it was before its first event."""
        ...

    async def forget(self) -> None: ...

    def over(self, history: PastEvents) -> PastSearch:
        """Return the same for a history that lies elsewhere."""
        ...


class PastEvents(Protocol):
    """Where the events of the past lie. It is only read."""

    async def read(self, topic: str, partition: int, *, after: int, limit: int) -> Sequence[Recorded]: ...
    async def run(self, run_id: str) -> StoredRun | None: ...


class Asked(NamedTuple):
    """Queries as words, by the first vectors, and as a finer model sees them."""

    texts: list[str]
    vectors: NDArray[np.float32] | None
    finer: Finer | None


class Collection:
    """One collection of one engine."""

    def __init__(self, name: str, index: Index, generations: Generations, tasks: Tasks) -> None:
        self.name = name
        self.index = index
        self.generations = generations
        self.past: PastSearch | None = None
        self.indexing = Indexing()
        self.durable: Callable[[], Awaitable[None]] = _at_once  # what was committed so far
        self.now_ms: Callable[[], int] = int  # no clock: nothing has expired
        self.monotonic_s: Callable[[], float] = float
        self.times = SearchTimes()
        self.rearranging = Rearranging()
        self.sole = False  # whether it is the app's only one
        self.recent: deque[tuple[str, str]] = deque(maxlen=RECENT_MAX)  # tenant and text of the last searches
        self._tasks = tasks
        self._asked: list[tuple[str, Search, asyncio.Future[list[Found]]]] = []
        self._together = EmbedsTogether(tasks)
        self.traces: Traces | None = None
        self._span: Span | None = None  # of the first search that is asked for now

    async def embedded(self, text: str) -> tuple[float, ...]:
        """Return the vector of a text, as the indexer would make it; what is asked for at the same time is made together."""
        return await self._together.embedded(self.embedder, text)

    @property
    def embedder(self) -> Embedder:
        """What makes the vectors that the indexer writes."""
        return self.generations.writing.embedder

    async def search(self, search: Search, tenant: str = DEFAULT_TENANT) -> list[Found]:
        """Return the best passages, best first; `Missing` or `Refused` for a generation that cannot be asked."""
        if self.rearranging.concerns(search):
            moment = self.now_ms(), await self._uses_by(search)
            return await self.rearranging.found(search, tenant, self.search, moment)
        if search.as_of is not None:
            if self.past is None:
                raise Refused("this collection has no past", "run the app with settings")
            return await self.past.search(search, tenant)
        self.generations.asked(search.generation)
        began_s = self.monotonic_s()
        future: asyncio.Future[list[Found]] = asyncio.get_running_loop().create_future()
        if not self._asked and not self._tasks.start(self._answer()):
            raise Unavailable("the engine", "search", "it was stopped")
        self._asked.append((tenant, search, future))
        if search.generation is None:
            self.recent.append((tenant, search.text))
        found = await (future if self.traces is None else self._traced(self.traces, search, future))
        self.times.note(self.monotonic_s() - began_s)
        return found

    async def _traced(self, traces: Traces, search: Search, future: asyncio.Future[list[Found]]) -> list[Found]:
        """Wait as a span, which what answers many searches at once lies below, if it is that of the first one."""
        span = searching(traces, self.name, search.mode, search.limit)
        self._span = self._span or span
        return await searched(span, traces, future)

    async def _uses_by(self, search: Search) -> int:
        if search.as_of is None or search.uses_by_ms or not search.boost or self.past is None:
            return search.uses_by_ms
        return await self.past.moment_ms(search.as_of)

    async def as_it_was(self, as_of: AsOf, tenant: str = DEFAULT_TENANT) -> tuple[Point, list[Passage]]:
        """Return all passages as they were, and up to which event of the log that is."""
        if self.past is None:
            raise Refused("this collection has no past", "run the app with settings")
        return await self.past.passages(as_of, tenant)

    def takes(self, event: KnowledgeEvent) -> bool:
        """Whether an event is about this collection: it names it, or none where there is only one."""
        named = collection_of(event)
        return named == self.name or (self.sole and not named)

    async def digests(self, tenant: str = DEFAULT_TENANT) -> Mapping[str, str]:
        """Return id -> digest of all passages."""
        return await self.index.vectors.digests(self._space(tenant))

    async def passages(self, ids: Sequence[str], tenant: str = DEFAULT_TENANT) -> Mapping[str, Passage]:
        """Return the passages that are indexed among `ids`."""
        return await self.index.reads.passages(self._space(tenant), ids)

    async def parts(self, document: str, tenant: str = DEFAULT_TENANT) -> Mapping[str, str]:
        """Return id -> digest of the passages of a document."""
        return (await self.index.documents.parts(self._space(tenant), [document])).get(document, {})

    async def apply(self, writes: Sequence[IndexWrite]) -> None:
        """Write to an index that does not lie in the state store."""
        applied, traces = self.index.vectors.apply(writes), self.traces
        count, system = len(writes), self.index.system
        await (applied if traces is None else asked_of_index(traces, "upsert", self.name, system, count, applied))
        if not self.index.together:
            # The words need no vectors beside them, which are the largest part.
            bare = [
                structs.replace(each, vector=None, row=None) if isinstance(each, Upsert) else each for each in writes
            ]
            await self.index.words.apply(bare)

    def _space(self, tenant: str) -> Space:
        return Space(self.name, tenant, self.generations.searching.number)

    async def _answer(self) -> None:
        asked = self._taken()
        groups: dict[tuple[str, Search], list[tuple[Search, asyncio.Future[list[Found]]]]] = {}
        for tenant, search, future in asked:
            groups.setdefault((tenant, structs.replace(search, text="")), []).append((search, future))
        for (tenant, how), members in groups.items():
            texts = [search.text for search, _ in members]
            try:
                found = await unexpired(partial(self._limited, tenant, texts, how), how.limit, self.now_ms())
            except Exception as error:  # noqa: BLE001 - an embedder may raise anything, and only who asked is to blame
                for _, future in members:
                    if not future.done():
                        future.set_exception(error)
                continue
            except asyncio.CancelledError:
                for _, future in members:
                    future.cancel()
                raise
            for (_, future), each in zip(members, found, strict=True):
                if not future.done():
                    future.set_result(each)

    def _taken(self) -> list[tuple[str, Search, asyncio.Future[list[Found]]]]:
        """Take what is asked for now; where it is traced, this task lies below the first of it."""
        asked, self._asked = self._asked, []
        if self._span is not None:
            span, self._span = self._span, None
            stay_below(span)
        return asked

    async def _limited(self, tenant: str, texts: list[str], how: Search, limit: int) -> list[list[Found]]:
        return await self._found(tenant, texts, how if limit == how.limit else structs.replace(how, limit=limit))

    async def _found(self, tenant: str, texts: list[str], how: Search) -> list[list[Found]]:
        asked = self.generations.asked(how.generation)  # to the end: a switch meanwhile is for those that begin later
        space, seen = Space(self.name, tenant, asked.number), (asked.number, self.generations.seen)
        vectors, degraded = await self._embedded(asked.embedder, texts, how.mode)
        finer, unrefined = None, ""
        if vectors is not None and how.is_refined and how.generation is None:
            finer, unrefined = await finer_of(self.generations, tenant, texts)
        hits, passages, why = await self._hits_at_once(space, Asked(texts, vectors, finer), how)
        if degraded := degraded or why:
            self.indexing.by_words += len(texts)
        degraded = degraded or unrefined
        if how.diversity and vectors is not None:
            hits = [await self._diverse(asked.embedder, each, passages, how) for each in hits]
        return [
            [
                _found(
                    hit,
                    passages[hit.id],
                    seen,
                    highlights(passages[hit.id].text, text) if how.is_highlighted else None,
                    degraded,
                )
                for hit in each
                if hit.id in passages
            ]
            for text, each in zip(texts, hits, strict=True)
        ]

    async def _embedded(
        self, embedder: Embedder, texts: list[str], mode: Mode
    ) -> tuple[NDArray[np.float32] | None, str]:
        """The queries' vectors, if any are needed; a hybrid search whose embedder does not answer goes on by words alone."""
        if mode == "words":
            return None, ""
        try:
            return await embedder.embed(texts, purpose="query"), ""
        except Unavailable as error:
            if mode == "vectors":
                raise
            return None, _by_words(error)

    async def _hits_at_once(
        self, space: Space, asked: Asked, how: Search, looks: int = LOOKS_MAX
    ) -> tuple[list[list[Hit]], Mapping[str, Passage], str]:
        """The hits, their passages, and why by words only. Rows are there just before searches see them: then look again."""
        hits, why = await self._hits(space, asked, how)
        ids = {hit.id for each in hits for hit in each}
        passages = await self.index.reads.passages(space, list(ids))
        if len(passages) == len(ids) or looks == 1:
            return hits, passages, why
        await self.durable()
        return await self._hits_at_once(space, asked, how, looks - 1)

    async def _hits(self, space: Space, asked: Asked, how: Search) -> tuple[list[list[Hit]], str]:
        """The hits that were asked for, or more of them where some are still to be chosen; and why by words only."""
        texts, vectors, finer = asked
        limit = pool_of(how.limit) if how.diversity else how.limit
        depth = LIMIT_MAX if how.page_after is not None else limit
        hits: Sequence[Sequence[Hit]] | None = None
        degraded = ""
        if vectors is not None and how.mode == "vectors":
            candidates = depth if finer is None else max(CANDIDATES, how.limit)
            hits = await self._nearest(space, vectors, candidates, how)
            if finer is not None:
                hits = await refined_nearest(self.index, finer, hits, space)
        elif vectors is not None:
            try:
                hits = await self._hybrid(space, texts, vectors, how, depth, finer)
            except Unavailable as error:  # where it is the words that do not answer, asking them again says so
                degraded = _by_words(error)
        if hits is None:
            hits = await self.index.words.matching(space, texts, limit=depth, filter=how.filter)
        return [_wanted(each, how, limit) for each in hits], degraded

    async def _nearest(
        self, space: Space, vectors: NDArray[np.float32], limit: int, how: Search
    ) -> Sequence[Sequence[Hit]]:
        began_s = self.monotonic_s()
        nearest, traces = self.index.vectors.nearest(space, vectors, limit=limit, filter=how.filter), self.traces
        count, system = len(vectors), self.index.system
        found = await (
            nearest if traces is None else asked_of_index(traces, "query", self.name, system, count, nearest)
        )
        self.times.vectors.observe(self.monotonic_s() - began_s)
        return found

    async def _diverse(
        self, embedder: Embedder, hits: Sequence[Hit], passages: Mapping[str, Passage], how: Search
    ) -> list[Hit]:
        kept = [hit for hit in hits if hit.id in passages]
        vectors = await embedder.embed([passages[hit.id].text for hit in kept], purpose="passage")
        return diverse(kept, vectors, diversity=how.diversity, limit=how.limit)

    async def _hybrid(
        self, space: Space, texts: list[str], vectors: NDArray[np.float32], how: Search, limit: int, finer: Finer | None
    ) -> list[list[Hit]]:
        """Take the best of both indexes, and have each score what only the other found."""
        # Scores depend on the candidates: all pages of a search have the same.
        candidates = max(CANDIDATES, how.limit)
        near = await self._nearest(space, vectors, candidates, how)
        matching = await self.index.words.matching(space, texts, limit=candidates, filter=how.filter)
        finer_cosines: Sequence[Mapping[str, float]] = [{} for _ in texts]
        if finer is not None:
            ids = [list({hit.id for hit in (*some, *others)}) for some, others in zip(near, matching, strict=True)]
            finer_cosines = await cosines_of(self.index, finer, ids, space)
        if how.fusion == "ranks":
            thirds = [by_score(each) for each in finer_cosines]
            return [fused_by_rank(lists, limit=limit) for lists in zip(matching, near, thirds, strict=True)]
        weighing = _weighing(self.generations.asked(how.generation).embedder)
        cosines = [{hit.id: hit.score for hit in each} for each in near]
        relevances = [{hit.id: hit.score for hit in each} for each in matching]
        only_words = [list(words.keys() - close.keys()) for words, close in zip(relevances, cosines, strict=True)]
        only_vectors = [list(close.keys() - words.keys()) for words, close in zip(relevances, cosines, strict=True)]
        more_cosines = await self.index.vectors.cosines(space, vectors, only_words)
        more_relevances = await self.index.words.relevances(space, texts, only_vectors)
        both = zip(relevances, more_relevances, cosines, more_cosines, finer_cosines, strict=True)
        return [
            refined({**words, **more_words}, {**close, **more_close}, finest, limit=limit, **weighing)
            if finest
            else fused({**words, **more_words}, {**close, **more_close}, limit=limit, **weighing)
            for words, more_words, close, more_close, finest in both
        ]


async def _at_once() -> None:
    """Stand in for a committer that has nothing to write."""


def _by_words(error: Unavailable) -> str:
    return f"by words only: {error}"


class Weighing(TypedDict):
    """How much vectors count beside words."""

    weight: float
    peak: float | None


def _weighing(embedder: Embedder) -> Weighing:
    # A sum over word pieces knows less than words do; what reads whole sentences knows as much.
    if embedder.name.startswith("minilm"):
        return {"weight": MODEL_WEIGHT, "peak": None}
    return {"weight": WEIGHT, "peak": PEAK}


def _wanted(hits: Sequence[Hit], how: Search, limit: int) -> list[Hit]:
    after, least = how.page_after, how.score_min
    if after is not None:
        hits = [hit for hit in hits if after.is_before(hit.score, hit.id)]
    return [hit for hit in hits[:limit] if least is None or hit.score >= least]


def _found(hit: Hit, passage: Passage, seen: tuple[int, Point], marked: Highlights | None, degraded: str) -> Found:
    return Found(hit.id, hit.score, passage.text, passage.metadata, *seen, marked, degraded)
