"""How a schedule gets on: pure functions from where it is, and what is said to it, to where it is then and what fires.

- A due time that was passed is never passed again: `last_ms` only grows, whatever a clock says. So each fires once.
- What is left out is told: how much, from when to when, and why.
"""

from typing import NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from penstock.core.timing.plans import Plan
from penstock.core.timing.schedules import missed, newest
from penstock.core.timing.timers import moment_text

ON_TIME_MS = 60_000  # so late, a firing is not a missed one yet
COUNTED_MAX = 1000


class ScheduleState(Struct, frozen=True):
    """Where a schedule is, as it is stored. New fields go to the end, with a default."""

    fingerprint: str = ""
    last_ms: int = 0  # the latest due time that was fired or left out
    next_ms: int = 0  # the due time that is waited for; 0: there is none
    paused: bool = False
    fired: int = 0
    left_out: int = 0
    note: str = ""  # what was left out last, and why
    note_ms: int = 0
    last_event: str = ""  # the id of the event that fired last


class Outcome(NamedTuple):
    """Where a schedule is now, and the due times (ms) whose events are to be appended."""

    state: ScheduleState
    firings: list[int]


def begun(plan: Plan, state: ScheduleState, now_ms: int) -> ScheduleState:
    """Return where the schedule is when the app begins with this plan: a changed one counts from now."""
    if state.fingerprint == plan.fingerprint:
        return state
    return _waiting(plan, replace(state, fingerprint=plan.fingerprint), now_ms)


def paused(state: ScheduleState) -> ScheduleState:
    return replace(state, paused=True, next_ms=0)


def resumed(plan: Plan, state: ScheduleState, now_ms: int) -> ScheduleState:
    """Return where the schedule is when it goes on: what was due while it paused is not made up for."""
    if not state.paused:
        return state
    return _waiting(plan, replace(state, paused=False), now_ms)


def came_due(plan: Plan, state: ScheduleState, due_ms: int, now_ms: int, *, is_busy: bool = False) -> Outcome:
    """Return what follows when the wait for `due_ms` is over, at `now_ms`, perhaps much later.

    `is_busy`: what fired last is still being handled.
    """
    if state.paused or due_ms != state.next_ms or state.fingerprint != plan.fingerprint:
        return Outcome(state, [])  # the plan has changed since it was waited for
    # One that is jittered may be due and not yet to fire: it is waited for by itself.
    up_to_ms = max(due_ms, now_ms - int(plan.jitter_s * 1000))
    if plan.end_ms:
        up_to_ms = max(due_ms, min(up_to_ms, plan.end_ms))
    last_ms = (missed(plan.schedule, due_ms - 1, up_to_ms, plan.timezone, "latest", 1) or [due_ms])[-1]
    firings = [] if is_busy else _chosen(plan, due_ms, up_to_ms, now_ms)
    state = replace(state, last_ms=last_ms, fired=state.fired + len(firings))
    state = _told(plan, state, firings, due_ms, now_ms, is_busy=is_busy)
    return Outcome(_waiting(plan, state, last_ms), firings)


def _chosen(plan: Plan, due_ms: int, up_to_ms: int, now_ms: int) -> list[int]:
    limit = plan.catch_up_max if plan.catch_up == "all" else 1
    found = newest(plan.schedule, due_ms - 1, up_to_ms, plan.timezone, limit)
    if plan.catch_up == "none":
        return [each for each in found if now_ms - plan.fires_ms(each) <= ON_TIME_MS]
    return found


def _told(
    plan: Plan, state: ScheduleState, firings: list[int], due_ms: int, now_ms: int, *, is_busy: bool
) -> ScheduleState:
    """Say what was left out: all that was due before the first firing, or all."""
    end_ms = firings[0] - 1 if firings else state.last_ms
    if end_ms < due_ms:
        return state
    found = missed(plan.schedule, due_ms - 1, end_ms, plan.timezone, "all", COUNTED_MAX)
    count = f"{COUNTED_MAX} or more" if len(found) == COUNTED_MAX else str(len(found))
    last_ms = missed(plan.schedule, due_ms - 1, end_ms, plan.timezone, "latest", 1)[-1]
    why = (
        "the last one was still being handled"
        if is_busy
        else f"catch_up={plan.catch_up}, late until {moment_text(now_ms)}"
    )
    note = f"left out {count}, due from {moment_text(due_ms)} to {moment_text(last_ms)}: {why}"
    return replace(state, left_out=state.left_out + len(found), note=note, note_ms=now_ms)


def _waiting(plan: Plan, state: ScheduleState, from_ms: int) -> ScheduleState:
    next_ms = None if state.paused else plan.after(max(from_ms, state.last_ms))
    return replace(state, next_ms=next_ms or 0)
