"""Runs, as facts to look at, to talk to, and to go another way from."""

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Body, Query
from pydantic import BaseModel, ConfigDict, Field

from penstock.app import Running
from penstock.core.agents.again import WORDS_CHARS_MAX, unwrapped
from penstock.core.agents.unit import Status
from penstock.core.events.envelope import event_of
from penstock.core.events.event import Event
from penstock.errors import Missing, Refused
from penstock.gateway.bodies import taken
from penstock.gateway.callers import IdempotencyKey, RunningApp, Tenant, event_id
from penstock.gateway.problems import documented
from penstock.gateway.shapes import (
    Runs,
    RunWithSteps,
    first_event_id,
    run_shape,
    run_with_steps,
)
from penstock.ports.state import RunFilter, StoredRun
from penstock.runtime.arrivals import UNDER_WAY
from penstock.runtime.asking_again import Signature

LISTED = 50
LISTED_MAX = 1000
Limit = Annotated[int, Query(ge=1, le=LISTED_MAX)]
Payload = Annotated[Any, Body(description="What the workflow gets: any JSON.")]
Reason = Annotated[str, Query(max_length=1000)]
routes = APIRouter(prefix="/v1", tags=["runs"])


class Said(BaseModel):
    """What was said to a run is accepted, and durable."""

    event_id: str


@routes.get("/runs", summary="List runs", responses=documented(422, 503))
async def list_runs(
    running: RunningApp,
    tenant: Tenant,
    agent: str | None = None,
    status: Status | None = None,
    limit: Limit = LISTED,
) -> Runs:
    """Return the tenant's newest runs that have ended, or wait for another attempt."""
    found = await running.engine.parts.store.runs(RunFilter(tenant, agent, status, limit))
    return Runs(runs=[run_shape(change) for change in found])


@routes.get("/runs/{id}", summary="Show a run", responses=documented(404, 422, 503))
async def show_run(id: str, running: RunningApp, tenant: Tenant) -> RunWithSteps:
    """Return a run with its result and its steps, from the moment its event was accepted."""
    stored = await run_of(running, id, tenant)
    engine = running.engine
    return run_with_steps(stored, await engine.parts.store.event(first_event_id(id)), engine.services.clock.now_ms())


@routes.post("/runs/{id}/signals/{name}", status_code=202, responses=documented(404, 409, 422, 503))
async def signal_run(
    id: str,
    name: str,
    running: RunningApp,
    tenant: Tenant,
    idempotency_key: IdempotencyKey = None,
    payload: Payload = None,
) -> Said:
    """Send a signal to a workflow run, which takes it with `ctx.wait_for(name)`, now or later."""
    await _require_under_way(running, id, tenant, takes_signals=True)
    chosen = None if idempotency_key is None else event_id(tenant, idempotency_key, source=f"signal {id}")
    return Said(event_id=await running.signal(id, name, payload, id=chosen, tenant=tenant))


@routes.post("/runs/{id}/cancel", status_code=202, responses=documented(404, 409, 422, 503))
async def cancel_run(id: str, running: RunningApp, tenant: Tenant, reason: Reason = "cancelled over HTTP") -> Said:
    """Have a run end where it is, with those that it waits for. A workflow may still clean up; an agent gets no other attempt."""
    await _require_under_way(running, id, tenant)
    return Said(event_id=await running.cancel(id, reason, tenant=tenant))


class ForkAsked(BaseModel):
    """How the new run differs."""

    model_config = ConfigDict(extra="forbid")

    at: str = Field(default="", description="The first step that is executed anew; empty: all are.")
    event: dict[str, Any] | None = Field(default=None, description="The fields of the event that it handles instead.")
    model: str = Field(default="", description="The model of the app that answers in the place of all.")
    dry: bool = Field(default=False, description="Whether it changes nothing outside.")
    by: str = Field(default="", max_length=WORDS_CHARS_MAX)
    why: str = Field(default="", max_length=WORDS_CHARS_MAX)


class Forked(BaseModel):
    """A new run was accepted, and is durable."""

    run_id: str


@routes.post("/runs/{id}/forks", status_code=202, summary="Fork a run", responses=documented(404, 409, 422, 503))
async def fork_run(id: str, asked: ForkAsked, running: RunningApp, tenant: Tenant) -> Forked:
    """Begin a run that has what this one recorded before a step, and executes the rest anew, for real unless `dry`."""
    signed = Signature(asked.by, asked.why)
    event = None if asked.event is None else await event_like(running, id, tenant, asked.event)
    run = await running.fork(id, asked.at, event=event, model=asked.model, dry=asked.dry, signed=signed, tenant=tenant)
    return Forked(run_id=run)


async def event_like(running: Running, id: str, tenant: str, fields: dict[str, Any]) -> Event:
    """Return an event with these fields, of the type that the run handles; `Invalid` with all findings."""
    recorded = await running.engine.parts.store.event(first_event_id(id))
    if recorded is None or recorded.event.tenant != tenant:
        raise Missing(f"the run {id!r}", "see `penstock runs list`")
    kind = running.engine.parts.topology.named(unwrapped(recorded).event.type).event
    return taken(kind, msgspec.json.encode(fields))


async def _require_under_way(running: Running, id: str, tenant: str, *, takes_signals: bool = False) -> None:
    """Refuse to talk to what has ended, and to what does not listen."""
    change = (await run_of(running, id, tenant)).change
    agent = running.engine.parts.topology.agents.get(change.agent)
    if takes_signals and agent is not None and not agent.options.workflow:
        raise Refused(f"run {id!r} is not one of a workflow", "only workflows take signals")
    if agent is not None and agent.options.batch:
        raise Refused(f"{agent.name!r} handles its events in batches", "none of them can be cancelled")
    if change.status not in UNDER_WAY:
        raise Refused(f"run {id!r} has ended ({change.status})", "begin another one")


async def run_of(running: Running, id: str, tenant: str) -> StoredRun:
    """Return a run of the tenant; `Missing` when there is none, also when it is another tenant's (C10)."""
    stored = await running.engine.run(id)
    event_type = "" if stored.change.attempt else await _event_type(running, id)
    agent = running.engine.parts.topology.agents.get(event_of(id)[1])
    # The store takes every agent's name for a queued run of an event: only those that take the event have one.
    is_one = bool(stored.change.attempt) or (
        agent is not None and event_type in {each for event in agent.accepts for each in event.reads_()}
    )
    if stored.change.tenant != tenant or not is_one:
        raise Missing(f"the run {id!r}", "see `penstock runs list`")
    return stored


async def _event_type(running: Running, id: str) -> str:
    recorded = await running.engine.parts.store.event(first_event_id(id))
    return "" if recorded is None else recorded.event.type
