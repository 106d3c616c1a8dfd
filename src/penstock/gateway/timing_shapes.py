"""Timers and schedules, as the outside sees them."""

from pydantic import BaseModel, Field

from penstock.core.timing.firings import ScheduleState
from penstock.core.timing.plans import Plan
from penstock.core.timing.timers import Timer, moment_text
from penstock.runtime.schedules import KeptSchedule

UPCOMING_MAX = 100


class TimerShown(BaseModel):
    """An event that waits for its time."""

    id: str
    due: str
    due_ms: int
    clock: str = Field(description="elapsed: so long after it was set; wall: at a time.")
    type: str
    key: str
    tenant: str
    agent: str = Field(description="Whose it is, when it has a name.")
    name: str


class ScheduleShown(BaseModel):
    """A schedule of the app, and where it is."""

    name: str
    expression: str
    timezone: str
    tenant: str
    status: str = Field(description="active, paused, ended, or new: the app has not run with it yet.")
    next: list[str] = Field(description="The due times to come.")
    fired: int
    left_out: int = Field(description="Due times without an event: late, or while the last one was being handled.")
    note: str = Field(description="What was left out last, and why.")
    last_event: str
    catch_up: str
    overlap: str
    jitter_s: float


def timer_shown(timer: Timer) -> TimerShown:
    """Return a timer as people see it."""
    event = timer.event
    return TimerShown(
        id=timer.id,
        due=moment_text(timer.due_ms),
        due_ms=timer.due_ms,
        clock=timer.clock,
        type=event.type,
        key=event.key,
        tenant=event.tenant,
        agent=timer.agent,
        name=timer.name,
    )


def schedule_shown(kept: KeptSchedule, now_ms: int, count: int) -> ScheduleShown:
    """Return a schedule as people see it, with its next `count` due times."""
    plan, state = kept
    return ScheduleShown(
        name=plan.name,
        expression=plan.expression,
        timezone=plan.timezone,
        tenant=plan.tenant,
        status=_status(plan, state),
        next=[moment_text(each) for each in _upcoming(plan, state, now_ms, count)],
        fired=state.fired,
        left_out=state.left_out,
        note=state.note,
        last_event=state.last_event,
        catch_up=plan.catch_up,
        overlap=plan.overlap,
        jitter_s=plan.jitter_s,
    )


def _status(plan: Plan, state: ScheduleState) -> str:
    if state.paused:
        return "paused"
    if state.fingerprint != plan.fingerprint:
        return "new"
    return "active" if state.next_ms else "ended"


def _upcoming(plan: Plan, state: ScheduleState, now_ms: int, count: int) -> list[int]:
    if state.paused:
        return []
    is_kept = state.fingerprint == plan.fingerprint
    due_ms = (state.next_ms or None) if is_kept else plan.after(max(now_ms, state.last_ms))
    found: list[int] = []
    while due_ms is not None and len(found) < count:
        found.append(due_ms)
        due_ms = plan.after(due_ms)
    return found
