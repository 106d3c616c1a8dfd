"""Searching knowledge: S0, the interface that search services share."""

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from penstock.app import Running
from penstock.errors import Finding, Invalid, Missing
from penstock.gateway.callers import RunningApp, Tenant
from penstock.gateway.problems import documented
from penstock.runtime.collection import LIMIT_MAX, Mode

TOP_K = 5
routes = APIRouter(tags=["knowledge"])


class SearchRequest(BaseModel):
    """What is looked for."""

    model_config = ConfigDict(extra="forbid")

    query: str = Field(min_length=1)
    top_k: int = Field(default=TOP_K, ge=1, le=LIMIT_MAX, description="How many passages to return at most.")
    collection: str | None = Field(default=None, description="May be left out when the app has exactly one.")
    filter: dict[str, Any] | None = Field(
        default=None, description='Conditions on metadata: {"lang": {"in": ["en", "de"]}, "year": {"gte": 2020}}.'
    )
    mode: Mode = "hybrid"
    after: str | None = Field(default=None, description="The token of a write that is to be found.")


class SearchResult(BaseModel):
    """A passage that was found."""

    id: str
    score: float = Field(description="Higher is better; comparable within one search only.")
    payload: str = Field(description="The passage's text.")
    metadata: dict[str, str]


class SearchResults(BaseModel):
    """Passages, best first."""

    results: list[SearchResult]


@routes.post("/search", summary="Search knowledge", responses=documented(404, 413, 422, 503))
async def search(asked: SearchRequest, running: RunningApp, tenant: Tenant) -> SearchResults:
    """Return the passages nearest to a query, by meaning and words."""
    knowledge = running.knowledge(_collection(running, asked.collection), tenant=tenant)
    found = await knowledge.search(
        asked.query, limit=asked.top_k, mode=asked.mode, filter=asked.filter, after=asked.after
    )
    return SearchResults(
        results=[
            SearchResult(id=each.id, score=each.score, payload=each.text, metadata=dict(each.metadata))
            for each in found
        ]
    )


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
