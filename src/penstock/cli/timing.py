"""Schedules and timers as the command line shows them, and what it says to a schedule whose app does not run."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from penstock.adapters.clock.system import SystemClock
from penstock.cli.loading import loaded_app
from penstock.cli.looking import Place, ask_catalog, place, print_fields, print_json, print_table
from penstock.core.timing.plans import Plan, local_time
from penstock.core.timing.schedules import parse_schedule
from penstock.errors import Missing, Refused
from penstock.gateway.timing_shapes import ScheduleShown, schedule_shown, timer_shown
from penstock.runtime.schedules import NAME as AGENT
from penstock.runtime.schedules import KeptSchedule, state_of
from penstock.wiring import Catalog

SCHEDULE_COLUMNS = (
    ("schedule", "expression", "timezone", "status", "next", "fired"),
    ("schedule", "expression", "status", "next"),
    ("schedule", "status", "next"),
)
TIMER_COLUMNS = (("timer", "event", "key", "name", "due"), ("timer", "event", "due"), ("timer", "due"))


def show_schedules(file: Path, store: str | None, tenant: str | None, limit: int, *, as_json: bool) -> None:
    where = place(file, store, "schedules", "list")
    found = [each for each in _kept(where, 1) if tenant in (None, each.tenant)][:limit]
    if as_json:
        print_json([each.model_dump() for each in found])
        return
    rows = [
        {
            "schedule": each.name,
            "expression": each.expression,
            "timezone": each.timezone,
            "status": each.status,
            "next": (each.next or ["-"])[0],
            "fired": str(each.fired),
            "reason": each.note,
        }
        for each in found
    ]
    print_table(SCHEDULE_COLUMNS, rows)


def show_schedule(file: Path, store: str | None, name: str, count: int, *, as_json: bool) -> None:
    plan_of(file, name)
    (found,) = (each for each in _kept(place(file, store, "schedules", "show"), count) if each.name == name)
    _print(found, as_json=as_json)


def show_next(expression: str, timezone: str, count: int, *, as_json: bool) -> None:
    """Print when an expression is due next; `Invalid` with all findings when it is none."""
    schedule, moment = parse_schedule(expression), _now_ms()
    found: list[str] = []
    while len(found) < count and (due_ms := schedule.after(moment, timezone)) is not None:
        found.append(local_time(due_ms, timezone).isoformat())
        moment = due_ms
    if as_json:
        print_json(found)
    else:
        print("\n".join(found or ["never"]))


def show_timers(file: Path | None, store: str | None, tenant: str | None, limit: int, *, as_json: bool) -> None:
    async def waiting(catalog: Catalog) -> Sequence[Any]:
        return await catalog.timers(tenant=tenant, limit=limit)

    found = [timer_shown(each) for each in ask_catalog(place(file, store, "timers", "list").url, waiting)]
    if as_json:
        print_json([each.model_dump() for each in found])
        return
    rows = [
        {"timer": each.id, "event": each.type, "key": each.key, "name": each.name, "due": each.due, "reason": ""}
        for each in found
    ]
    print_table(TIMER_COLUMNS, rows)


def plan_of(file: Path, name: str) -> Plan:
    """Return a schedule of an app; `Missing` when it declares none of that name."""
    plans = loaded_app(file).schedules
    if name not in plans:
        raise Missing(f"the schedule {name!r}", f"this app has {', '.join(plans) or 'none'}")
    return plans[name]


async def said(file: Path, store: str | None, plan: Plan, word: str) -> None:
    """Say it beside no app: one that has the schedule, and no agents, owns the store for a moment."""
    from penstock.app import App

    url = place(file, store, "schedules", word).url
    hint = "give --url http://HOST:PORT of the app that runs on it"
    if not url.startswith("sqlite:"):
        raise Refused("a store on a server may have an owner", hint)
    beside = App("penstock")
    beside.schedules[plan.name] = plan
    try:
        async with beside.running(store=url) as live:
            assert live.engine.parts.schedules is not None
            await live.engine.parts.schedules.begun.wait()
            words = {"pause": live.pause_schedule, "resume": live.resume_schedule, "trigger": live.trigger_schedule}
            await words[word](plan.name)
            await live.engine.caught_up(AGENT)
    except Refused as error:
        if "in use" not in error.reason:
            raise
        raise Refused(error.reason, hint) from error


def _kept(where: Place, count: int) -> list[ScheduleShown]:
    assert where.app is not None, "the command takes an app"
    plans, now_ms = list(where.app.schedules.values()), _now_ms()

    async def states(catalog: Catalog) -> list[KeptSchedule]:
        return [KeptSchedule(plan, await state_of(plan, catalog)) for plan in plans]

    return [schedule_shown(each, now_ms, count) for each in ask_catalog(where.url, states)]


def _print(found: BaseModel, *, as_json: bool) -> None:
    fields = found.model_dump()
    if as_json:
        print_json(fields)
    else:
        print_fields({**fields, "next": "\n".join(fields["next"]) or None})


def _now_ms() -> int:
    return SystemClock().now_ms()
