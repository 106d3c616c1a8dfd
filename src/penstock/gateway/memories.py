"""The memory of agents over HTTP: recalled, listed, told and forgotten. Names of people are in bodies, never in addresses."""

from collections.abc import Mapping
from typing import Any

import msgspec
from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from penstock.core.knowledge.memories import (
    IMPORTANCE_MAX,
    IMPORTANCE_MIN,
    RECALLED_MAX,
    TEXT_CHARS_MAX,
    RecallWeights,
    Scope,
)
from penstock.errors import Finding, Invalid
from penstock.gateway.callers import RunningApp, Tenant
from penstock.gateway.knowledge import WrittenShown, shown
from penstock.gateway.problems import documented
from penstock.runtime.knowing import Consistency
from penstock.runtime.memories import LISTED_MAX, MemoryOptions, RecallOptions

FORGOTTEN_MAX = 1_000
routes = APIRouter(prefix="/v1/memories", tags=["memories"])
_PROBLEMS = documented(404, 413, 422, 429, 503)


class Reaching(BaseModel):
    """Whose memories are meant."""

    model_config = ConfigDict(extra="forbid")

    scope: Scope | None = None
    session: str = ""
    user: str = ""
    agent: str = ""

    @property
    def whose(self) -> dict[str, str]:
        named = {"session": self.session, "user": self.user, "agent": self.agent}
        return {name: value for name, value in named.items() if value}


class RecallRequest(Reaching):
    """What somebody is to be reminded of."""

    query: str = Field(min_length=1)
    limit: int = Field(default=5, ge=1, le=RECALLED_MAX)
    weights: dict[str, float] = Field(
        default={}, description="relevance, recency, importance, half_life_s: other ones than the memory's own."
    )
    filter: dict[str, Any] | None = None
    summarised: bool = Field(default=False, description="Also what a summary stands for.")
    after: str | None = Field(default=None, description="The token of a write that is to be found.")


class ListRequest(Reaching):
    """Which memories are listed: those of whom is named, or all of the tenant."""

    limit: int = Field(default=50, ge=1, le=LISTED_MAX)


class RememberRequest(Reaching):
    """What is to be remembered."""

    text: str = Field(min_length=1, max_length=TEXT_CHARS_MAX)
    importance: float = Field(default=5.0, ge=IMPORTANCE_MIN, le=IMPORTANCE_MAX)
    id: str = Field(default="", description="Remembering again under it replaces what was.")
    ttl_s: float | None = None
    metadata: dict[str, str] = {}
    consistency: Consistency = "eventual"


class ForgetRequest(BaseModel):
    """Which memories go."""

    model_config = ConfigDict(extra="forbid")

    ids: list[str] = Field(min_length=1, max_length=FORGOTTEN_MAX)
    consistency: Consistency = "strong"


@routes.get("", summary="Name the memories")
async def name_memories(running: RunningApp) -> dict[str, list[str]]:
    """Return the names of the app's memories."""
    return {"memories": sorted(running.app.memories)}


@routes.post("/{name}/recall", summary="Recall", responses=_PROBLEMS)
async def recall(name: str, asked: RecallRequest, running: RunningApp, tenant: Tenant) -> dict[str, Any]:
    """Return the memories that count most for a query: by meaning, recency and importance."""
    memory = running.memory(name, tenant=tenant)
    options: RecallOptions = {
        "limit": asked.limit,
        "scope": asked.scope,
        "summarised": asked.summarised,
        "filter": asked.filter,
        **asked.whose,  # pyright: ignore[reportAssignmentType] - its names are options
    }
    if asked.weights:
        options["weights"] = _weights(asked.weights)
    found = await memory.recall(asked.query, after=asked.after, **options)
    return {"memories": msgspec.to_builtins(found)}


@routes.post("/{name}/list", summary="List memories", responses=_PROBLEMS)
async def list_memories(name: str, asked: ListRequest, running: RunningApp, tenant: Tenant) -> dict[str, Any]:
    """Return the newest memories, with all that they say of themselves."""
    found = await running.memory(name, tenant=tenant).list(limit=asked.limit, scope=asked.scope, **asked.whose)
    return {"memories": msgspec.to_builtins(found)}


@routes.post("/{name}/remember", status_code=202, summary="Remember", responses=_PROBLEMS)
async def remember(name: str, given: RememberRequest, running: RunningApp, tenant: Tenant) -> WrittenShown:
    """Remember something."""
    options: MemoryOptions = {
        "importance": given.importance,
        "scope": given.scope or "session",
        "id": given.id,
        "ttl_s": given.ttl_s,
        "metadata": given.metadata,
        **given.whose,  # pyright: ignore[reportAssignmentType] - its names are options
    }
    memory = running.memory(name, tenant=tenant)
    return shown(await memory.remember(given.text, consistency=given.consistency, **options))


@routes.post("/{name}/forget", status_code=202, summary="Forget memories", responses=_PROBLEMS)
async def forget(name: str, given: ForgetRequest, running: RunningApp, tenant: Tenant) -> WrittenShown:
    """Have memories removed, by their ids. All that is about a person goes by `POST /v1/subjects/forget`."""
    return shown(await running.memory(name, tenant=tenant).forget(*given.ids, consistency=given.consistency))


def _weights(given: Mapping[str, float]) -> RecallWeights:
    fields = RecallWeights.__struct_fields__
    if odd := sorted(given.keys() - set(fields)):
        findings = tuple(Finding(f"weights.{each}", "is not one", f"one of {', '.join(fields)}") for each in odd)
        raise Invalid("the recall", findings)
    return RecallWeights(**given)
