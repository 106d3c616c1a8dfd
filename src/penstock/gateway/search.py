"""Searching knowledge: S0, the interface that search services share."""

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from penstock.app import Running
from penstock.core.knowledge import as_of
from penstock.errors import Finding, Invalid, Missing
from penstock.gateway.callers import RunningApp, Tenant
from penstock.gateway.problems import documented
from penstock.runtime.collection import LIMIT_MAX, Found
from penstock.runtime.knowledge import QUERIES_MAX, OpenKnowledge
from penstock.runtime.search_options import WITHIN_S, Fusion, Mode, SearchOptions

TOP_K = 5
routes = APIRouter(tags=["knowledge"])


class SearchAsked(BaseModel):
    """How it is looked for."""

    model_config = ConfigDict(extra="forbid")

    top_k: int = Field(default=TOP_K, ge=1, le=LIMIT_MAX, description="How many passages to return at most.")
    collection: str | None = Field(default=None, description="May be left out when the app has exactly one.")
    filter: dict[str, Any] | None = Field(
        default=None, description='Conditions on metadata: {"lang": {"in": ["en", "de"]}, "year": {"gte": 2020}}.'
    )
    mode: Mode = "hybrid"
    after: str | None = Field(default=None, description="The token of a write that is to be found.")
    generation: int | None = Field(default=None, ge=1, description="Another one than the one that serves.")
    as_of: str | None = Field(
        default=None, description="As it was: an offset of its log, a time (2026-11-26T09:30Z), or the id of a run."
    )
    fusion: Fusion = Field(default="scores", description="How words and vectors are put together in a hybrid search.")
    diversity: float = Field(
        default=0.0, ge=0, le=1, description="0: the best, alike or not; 1: as different as can be."
    )
    score_min: float | None = Field(default=None, description="Leave out what scores less.")
    page_after: str = Field(default="", description="Go on where a page ended: its `next`.")
    boost: float = Field(default=0.0, ge=0, le=1, description="How much use lifts a passage.")
    rerank: int | None = Field(default=None, description="How many of the best are judged anew; 0: none.")
    rerank_within_s: float = Field(default=WITHIN_S, description="How long that may take, else the order before.")
    highlight: bool = Field(default=False, description="Say where the words of the query are.")

    refine: bool = Field(default=True, description="False: by the first vectors alone, where a finer model follows.")

    @property
    def options(self) -> SearchOptions:
        return {
            "limit": self.top_k,
            "mode": self.mode,
            "filter": self.filter,
            "fusion": self.fusion,
            "diversity": self.diversity,
            "score_min": self.score_min,
            "page_after": self.page_after,
            "highlight": self.highlight,
            "boost": self.boost,
            "rerank": self.rerank,
            "rerank_within_s": self.rerank_within_s,
            "refine": self.refine,
            "generation": self.generation,
            "as_of": None if self.as_of is None else as_of.read(self.as_of),
        }


class Query(BaseModel):
    """One query, whose field comes first in what is said of a request."""

    query: str = Field(min_length=1)


class Queries(BaseModel):
    """Several of them."""

    queries: list[Annotated[str, Field(min_length=1)]] = Field(min_length=1, max_length=QUERIES_MAX)


class SearchRequest(SearchAsked, Query):
    """What is looked for."""


class SearchesRequest(SearchAsked, Queries):
    """Several things that are looked for in the same way."""


class SearchHighlights(BaseModel):
    """Where the words of the query are: offsets into the payload, in characters."""

    spans: list[tuple[int, int]]
    start: int
    end: int
    snippet: str = Field(description="payload[start:end], the stretch that has most of them.")


class SearchResult(BaseModel):
    """A passage that was found."""

    id: str
    score: float = Field(description="Higher is better; comparable within one search only.")
    payload: str = Field(description="The passage's text.")
    metadata: dict[str, str]
    highlights: SearchHighlights | None = None


class SearchResults(BaseModel):
    """Passages, best first."""

    results: list[SearchResult]
    next: str = Field(default="", description="Give it as `page_after` for the next page; absent when there is none.")
    degraded: str = Field(default="", description="Why it was searched in another way than was asked for, if it was.")
    generation: int = Field(default=0, description="In which generation this was found; absent when nothing was.")
    model: str = Field(
        default="", description="Which model, and which version of it, made the vectors of that generation."
    )
    as_of: int | str = Field(
        default=0,
        description="Up to which event of its log the collection was seen, of each partition where there are several: `as_of` of "
        "a later search.",
    )


class SearchesResults(BaseModel):
    """What was found for each of several queries, in their order."""

    searches: list[SearchResults]


@routes.post(
    "/search",
    summary="Search knowledge",
    responses=documented(404, 413, 422, 503),
    response_model_exclude_unset=True,
)
async def search(asked: SearchRequest, running: RunningApp, tenant: Tenant) -> SearchResults:
    """Return the passages nearest to a query, by meaning and words."""
    knowledge = running.knowledge(_collection(running, asked.collection), tenant=tenant)
    found = await knowledge.search(asked.query, after=asked.after, **asked.options)
    return _results(found, asked, knowledge)


@routes.post(
    "/search/many",
    summary="Search knowledge for several queries",
    responses=documented(404, 413, 422, 503),
    response_model_exclude_unset=True,
)
async def search_many(asked: SearchesRequest, running: RunningApp, tenant: Tenant) -> SearchesResults:
    """Return the passages nearest to each of several queries, which are looked for together."""
    knowledge = running.knowledge(_collection(running, asked.collection), tenant=tenant)
    found = await knowledge.search_many(asked.queries, after=asked.after, **asked.options)
    return SearchesResults(searches=[_results(each, asked, knowledge) for each in found])


def _results(found: Sequence[Found], asked: SearchAsked, knowledge: OpenKnowledge) -> SearchResults:
    results = SearchResults(results=[_result(each) for each in found])
    if len(found) == asked.top_k and not (asked.diversity or asked.boost or asked.rerank):
        results.next = found[-1].cursor
    if found:
        results.generation, results.as_of = found[0].generation, found[0].as_of
        results.model = knowledge.model_of(found[0].generation)
    if degraded := found[0].degraded if found else _degraded(knowledge, asked.mode):
        results.degraded = degraded
    return results


def _degraded(knowledge: OpenKnowledge, mode: Mode) -> str:
    """Say also of an empty answer that it was one by words alone."""
    return f"by words only: {knowledge.vectors_down}" if mode == "hybrid" and knowledge.vectors_down else ""


def _result(found: Found) -> SearchResult:
    result = SearchResult(id=found.id, score=found.score, payload=found.text, metadata=dict(found.metadata))
    if (marked := found.highlights) is not None:
        result.highlights = SearchHighlights(
            spans=list(marked.spans), start=marked.start, end=marked.end, snippet=marked.snippet
        )
    return result


def _collection(running: Running, name: str | None) -> str:
    match name, running.app.collections:
        case str(), _:
            return name
        case None, (only,):
            return only
        case None, ():
            raise Missing("a knowledge collection", 'declare one: app.knowledge("NAME")')
        case None, several:
            raise Invalid("the search", (Finding("collection", "must be given", f"one of {', '.join(several)}"),))
