"""The generations of a knowledge collection: built, compared, switched to, taken back, dropped, verified."""

from typing import Any

import msgspec
from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from penstock.app import Running
from penstock.errors import Finding, Invalid
from penstock.gateway.callers import RunningApp, Tenant
from penstock.gateway.problems import documented
from penstock.runtime.collection import LIMIT_MAX, Mode
from penstock.runtime.comparing_generations import QUERIES_MAX, Question
from penstock.runtime.open_generations import GenerationState, OpenGenerations

routes = APIRouter(prefix="/v1/knowledge/{collection}", tags=["knowledge"])


class Asked(BaseModel):
    """A body whose misspelt fields are errors."""

    model_config = ConfigDict(extra="forbid")


class Build(Asked):
    """How a generation is to be built."""

    embedder: str = Field(default="", description="As settings name it; empty: that of the generation that serves.")
    per_s: float = Field(
        default=0, ge=0, description="Passages in a second at most; 0: half of the time is left to others."
    )
    switch: bool = Field(default=False, description="Whether it takes over by itself when it has everything.")
    replaces: bool = Field(default=False, description="Whether the one before is dropped then, without a way back.")
    options: dict[str, str] = {}
    partial: bool = Field(default=False, description="Also from a log whose beginning was let go.")


class Refine(Asked):
    """By what searches are to be refined."""

    embedder: str = Field(min_length=1, description="As settings name it; better and slower than the one that serves.")
    per_s: float = Field(default=0, ge=0, description="Passages in a second at most; 0: half of the time.")


class Switch(Asked):
    """Which generation is to serve."""

    generation: int = Field(ge=1)
    grace_s: float | None = Field(default=None, ge=0, description="How long the one before can be taken back: 7 days.")


class Compare(Asked):
    """What both generations are asked."""

    generation: int = Field(ge=1)
    queries: list[str] = Field(default=[], max_length=QUERIES_MAX, description="Empty: the last ones that came.")
    grades: list[dict[str, float]] = Field(
        default=[], max_length=QUERIES_MAX, description="Of each query: how relevant passages are, by their ids."
    )
    limit: int = Field(default=10, ge=1, le=LIMIT_MAX)
    mode: Mode = "hybrid"


class Verify(Asked):
    """How the index is compared with the log."""

    repair: bool = False
    deep_max: int = Field(default=10_000, ge=0, le=1_000_000)


class GenerationShown(BaseModel):
    """A generation, and how far it is."""

    number: int
    status: str = Field(description="building, ready, serving, standby, dropping or dropped.")
    embedder: str
    model: str
    done: float = Field(description="From 0 to 1.")
    behind: int = Field(description="Events of the log that it lacks.")
    passages_per_s: float
    left_out: int
    problem: str
    begun_ms: int
    ready_ms: int
    served_ms: int
    drop_ms: int = Field(description="When it is dropped; 0: not by itself.")
    note: str
    refines: bool = Field(default=False, description="Whether its vectors refine what is found by the one that serves.")


class GenerationsShown(BaseModel):
    """All generations, the oldest first."""

    collection: str
    serving: int
    generations: list[GenerationShown]


class Chosen(BaseModel):
    """The generation that it was about."""

    generation: int


@routes.get("/generations", summary="The generations of a collection", responses=documented(404, 503))
async def list_generations(collection: str, running: RunningApp) -> GenerationsShown:
    """Return all generations and how far each is: they are those of all tenants."""
    states = [shown(each) for each in await _of(running, collection).list()]
    serving = next(each.number for each in states if each.status == "serving")
    return GenerationsShown(collection=collection, serving=serving, generations=states)


@routes.post("/generations", status_code=202, summary="Build a generation", responses=documented(404, 409, 422, 503))
async def build(collection: str, running: RunningApp, asked: Build) -> Chosen:
    """Begin to build a generation in the background; ask for the generations to see how far it is."""
    built = await _of(running, collection).build(
        asked.embedder,
        per_s=asked.per_s,
        switch=asked.switch,
        replaces=asked.replaces,
        options=asked.options,
        partial=asked.partial,
    )
    return Chosen(generation=built)


@routes.post("/refine", status_code=202, summary="Refine searches", responses=documented(404, 409, 422, 503))
async def refine(collection: str, running: RunningApp, asked: Refine) -> Chosen:
    """Have a better and slower embedder follow in the background; its vectors refine what is found, as they come."""
    return Chosen(generation=await _of(running, collection).refine(asked.embedder, per_s=asked.per_s))


@routes.post("/switch", summary="Have a generation serve", responses=documented(404, 409, 422, 503))
async def switch(collection: str, running: RunningApp, asked: Switch) -> Chosen:
    """Have a generation serve: searches that begin from now on are made in it."""
    number = await _of(running, collection).switch(asked.generation, grace_s=asked.grace_s)
    return Chosen(generation=number)


@routes.post("/rollback", summary="Take the generation before back", responses=documented(404, 409, 503))
async def roll_back(collection: str, running: RunningApp) -> Chosen:
    """Have the generation that served before serve again."""
    return Chosen(generation=await _of(running, collection).roll_back())


@routes.delete("/generations/{number}", summary="Drop a generation", responses=documented(404, 409, 503))
async def drop(collection: str, number: int, running: RunningApp) -> Chosen:
    """Let a generation go, or end its build. The one that serves is refused."""
    return Chosen(generation=await _of(running, collection).drop(number, "dropped over HTTP"))


@routes.post("/compare", summary="Compare two generations", responses=documented(404, 409, 422, 503))
async def compare(collection: str, running: RunningApp, tenant: Tenant, asked: Compare) -> dict[str, Any]:
    """Ask the generation that serves and another one the same, and say how far they agree."""
    if asked.grades and len(asked.grades) != len(asked.queries):
        problem = f"are {len(asked.grades)} for {len(asked.queries)} queries"
        raise Invalid("the request", (Finding("grades", problem, "give those of each query, {} for none"),))
    grades = asked.grades or [{} for _ in asked.queries]
    questions = [Question(text, known) for text, known in zip(asked.queries, grades, strict=True)]
    found = await _of(running, collection).compare(
        asked.generation, questions, tenant=tenant, limit=asked.limit, mode=asked.mode
    )
    return msgspec.to_builtins(found)


@routes.post("/verify", summary="Compare the index with the log", responses=documented(404, 409, 422, 503))
async def verify(collection: str, running: RunningApp, asked: Verify | None = None) -> dict[str, Any]:
    """Compare the index with the log, and mend it if that is asked for; of all tenants."""
    asked = asked or Verify()
    return msgspec.to_builtins(await _of(running, collection).verify(repair=asked.repair, deep_max=asked.deep_max))


def shown(state: GenerationState) -> GenerationShown:
    """Return a generation as the API and the command line show it."""
    one = state.generation
    return GenerationShown(
        number=one.number,
        status=one.status,
        embedder=one.embedder,
        model=one.model,
        done=round(state.done, 4),
        behind=state.behind,
        passages_per_s=state.passages_per_s,
        left_out=state.left_out,
        problem=state.problem,
        begun_ms=one.begun_ms,
        ready_ms=one.ready_ms,
        served_ms=one.served_ms,
        drop_ms=one.drop_ms,
        note=one.note,
        refines=one.refines,
    )


def _of(running: Running, collection: str) -> OpenGenerations:
    return running.knowledge(collection).generations
