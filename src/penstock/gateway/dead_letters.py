"""Dead letters: to look at, to have tried again, to let go. What is asked for is durable when it is answered, and done soon."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from penstock.core.agents.again import WORDS_CHARS_MAX
from penstock.errors import Finding, Invalid, Missing
from penstock.gateway.callers import RunningApp, Tenant
from penstock.gateway.problems import documented
from penstock.gateway.runs import LISTED, Limit, event_like
from penstock.gateway.shapes import DeadEvents, DeadEventWhole, dead_shape, dead_shape_whole
from penstock.ports.state import DeadFilter
from penstock.runtime.asking_again import LETTERS_MAX, Signature, Which

routes = APIRouter(prefix="/v1/dead-letters", tags=["dead letters"])
AgentName = Annotated[str | None, Query(description="Only those of this agent.")]
ReasonPart = Annotated[str | None, Query(description="Only those whose reason has this in it.", max_length=1000)]
Since = Annotated[int | None, Query(description="Only those that died since then, in ms since 1970.")]


class Filter(BaseModel):
    """Which dead letters are meant; without anything, all of the tenant."""

    model_config = ConfigDict(extra="forbid")

    agent: str | None = None
    reason: str | None = Field(default=None, max_length=1000)
    since_ms: int | None = None


class Meant(BaseModel):
    """The dead letters that something is asked for: `runs`, or those of a `filter`."""

    model_config = ConfigDict(extra="forbid")

    runs: list[str] = Field(default=[], max_length=LETTERS_MAX)
    filter: Filter | None = None
    by: str = Field(default="", max_length=WORDS_CHARS_MAX, description="Who asks.")
    why: str = Field(default="", max_length=WORDS_CHARS_MAX)

    def which(self, tenant: str) -> list[Which]:
        """Return what is meant; `Invalid` when nothing is, or it is said twice."""
        if bool(self.runs) == (self.filter is not None):
            raise Invalid("the dead letters", (Finding("runs", "and filter: give one of them", "runs, or filter: {}"),))
        if self.filter is None:
            return [*self.runs]
        return [DeadFilter(tenant=tenant, limit=LETTERS_MAX, **self.filter.model_dump())]


class RedriveAsked(Meant):
    """What is to be tried again, and how."""

    fresh: bool = Field(
        default=False, description="Without what was recorded: effects happen again, with the same keys."
    )
    event: dict[str, Any] | None = Field(
        default=None, description="For one run: the fields of the event that a new run handles in its place."
    )


class Accepted(BaseModel):
    """The runs that are concerned. What was asked for is durable."""

    runs: list[str]


@routes.get("", summary="List dead letters", responses=documented(422, 503))
async def list_dead_letters(
    running: RunningApp,
    tenant: Tenant,
    agent: AgentName = None,
    reason: ReasonPart = None,
    since_ms: Since = None,
    limit: Limit = LISTED,
) -> DeadEvents:
    """Return the tenant's newest events that an agent gave up on."""
    letters = await running.dead_letters(DeadFilter(tenant, agent, reason, since_ms, limit=limit))
    return DeadEvents(dead_letters=[dead_shape(letter) for letter in letters])


@routes.get("/{id}", summary="Show a dead letter", responses=documented(404, 422, 503))
async def show_dead_letter(id: str, running: RunningApp, tenant: Tenant) -> DeadEventWhole:
    """Return a dead letter by the id of its run: its event, what the run recorded, and the events that led to it."""
    store = running.engine.parts.store
    letters = await store.dead_letters(DeadFilter(tenant=tenant, run_id=id, limit=1))
    if not letters:
        raise Missing(f"the dead letter of {id!r}", "see GET /v1/dead-letters")
    event = letters[0].event.event
    origin = await store.origin(event.correlation_id or event.id)
    return dead_shape_whole(letters[0], await store.run(id), origin)


@routes.post("/redrive", status_code=202, summary="Redrive dead letters", responses=documented(404, 409, 413, 422, 503))
async def redrive_dead_letters(asked: RedriveAsked, running: RunningApp, tenant: Tenant) -> Accepted:
    """Have runs tried again from what they recorded, each after the events of its key that wait already.

    At most 1,000 at once: a filter takes the newest ones.
    """
    event = None
    if asked.event is not None:
        if len(asked.runs) != 1:
            raise Invalid("the redrive", (Finding("event", "is for one run", "give exactly one in runs"),))
        event = await event_like(running, asked.runs[0], tenant, asked.event)
    signed = Signature(asked.by, asked.why)
    runs = await running.redrive(*asked.which(tenant), fresh=asked.fresh, event=event, signed=signed, tenant=tenant)
    return Accepted(runs=runs)


@routes.post("/drop", status_code=202, summary="Drop dead letters", responses=documented(404, 409, 413, 422, 503))
async def drop_dead_letters(asked: Meant, running: RunningApp, tenant: Tenant) -> Accepted:
    """Let dead letters go; their runs stay, as failed, and say by whom they were dropped, and why."""
    signed = Signature(asked.by, asked.why)
    return Accepted(runs=await running.drop(*asked.which(tenant), signed=signed, tenant=tenant))
