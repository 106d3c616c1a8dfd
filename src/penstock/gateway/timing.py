"""What waits for its time, and what happens again and again."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel

from penstock.app import Running
from penstock.errors import Missing
from penstock.gateway.callers import IdempotencyKey, RunningApp, Tenant, event_id
from penstock.gateway.problems import documented
from penstock.gateway.runs import LISTED, Limit, Said
from penstock.gateway.timing_shapes import UPCOMING_MAX, ScheduleShown, TimerShown, schedule_shown, timer_shown

routes = APIRouter(prefix="/v1", tags=["time"])
Count = Annotated[int, Query(ge=1, le=UPCOMING_MAX, description="How many due times to come.")]


class Timers(BaseModel):
    """Events that wait for their time, the soonest first."""

    timers: list[TimerShown]


class Schedules(BaseModel):
    """The schedules of the app."""

    schedules: list[ScheduleShown]


@routes.get("/timers", summary="List timers", responses=documented(422, 503))
async def list_timers(running: RunningApp, tenant: Tenant, limit: Limit = LISTED) -> Timers:
    """Return the tenant's events that wait for their time."""
    return Timers(timers=[timer_shown(each) for each in await running.timers(tenant=tenant, limit=limit)])


@routes.delete("/timers/{id}", status_code=204, summary="Cancel a timer", responses=documented(404, 409, 422, 503))
async def cancel_timer(id: str, running: RunningApp, tenant: Tenant) -> None:
    """Cancel what waits for its time; 404 when it has fired, or never was."""
    await running.cancel_timer(id, tenant=tenant)


@routes.get("/schedules", summary="List schedules", responses=documented(422, 503))
async def list_schedules(running: RunningApp, tenant: Tenant, limit: Limit = LISTED) -> Schedules:
    """Return the tenant's schedules, with the next due time of each."""
    now_ms = running.engine.services.clock.now_ms()
    found = [each for each in await running.schedules() if each.plan.tenant == tenant]
    return Schedules(schedules=[schedule_shown(each, now_ms, 1) for each in found[:limit]])


@routes.get("/schedules/{name}", summary="Show a schedule", responses=documented(404, 422, 503))
async def show_schedule(name: str, running: RunningApp, tenant: Tenant, count: Count = 5) -> ScheduleShown:
    """Return a schedule with its next due times."""
    for each in await running.schedules():
        if (each.plan.name, each.plan.tenant) == (name, tenant):
            return schedule_shown(each, running.engine.services.clock.now_ms(), count)
    raise Missing(f"the schedule {name!r}", "see `penstock schedules list`")


@routes.post("/schedules/{name}/pause", status_code=202, responses=documented(404, 422, 503))
async def pause_schedule(name: str, running: RunningApp, tenant: Tenant) -> Said:
    """Have a schedule fire no more until it is resumed, over restarts too."""
    _require(running, name, tenant)
    return Said(event_id=await running.pause_schedule(name))


@routes.post("/schedules/{name}/resume", status_code=202, responses=documented(404, 422, 503))
async def resume_schedule(name: str, running: RunningApp, tenant: Tenant) -> Said:
    """Have a paused schedule go on with its next due time; what was due meanwhile is not made up for."""
    _require(running, name, tenant)
    return Said(event_id=await running.resume_schedule(name))


@routes.post("/schedules/{name}/trigger", status_code=202, responses=documented(404, 422, 503))
async def trigger_schedule(
    name: str, running: RunningApp, tenant: Tenant, idempotency_key: IdempotencyKey = None
) -> Said:
    """Have a schedule fire once now, beside its due times."""
    _require(running, name, tenant)
    chosen = None if idempotency_key is None else event_id(tenant, idempotency_key, source=f"schedule {name}")
    return Said(event_id=await running.trigger_schedule(name, id=chosen))


def _require(running: Running, name: str, tenant: str) -> None:
    """Raise `Missing` also for another tenant's schedule (C10)."""
    plan = running.app.schedules.get(name)
    if plan is None or plan.tenant != tenant:
        raise Missing(f"the schedule {name!r}", "see `penstock schedules list`")
