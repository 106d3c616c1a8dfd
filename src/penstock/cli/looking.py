"""Looking into a store from the command line, beside the app that may be running on it: tables, or one JSON value."""

import asyncio
import shlex
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import msgspec
from pydantic import BaseModel

from penstock.adapters.clock.system import SystemClock
from penstock.cli.loading import loaded_app
from penstock.cli.pictures import step_lines
from penstock.cli.tables import field_lines, screen_width, table_lines
from penstock.core.agents.unit import Status
from penstock.core.events.cloudevents import to_cloudevent
from penstock.errors import Finding, Invalid, Missing, Refused
from penstock.gateway.people_shapes import approval_shape, query_shape
from penstock.gateway.shapes import STATUSES, first_event_id, question_shape, run_shape, run_with_steps
from penstock.ports.state import RunFilter
from penstock.runtime import exposing
from penstock.runtime.questions import approvals_of, questions_of
from penstock.settings import Settings, settings, store_url
from penstock.wiring import Catalog, opened_catalog

if TYPE_CHECKING:
    from penstock.app import App

T = TypeVar("T")
REASON_CHARS_MAX = 120
STORES_NAMED_MAX = 10
RUN_COLUMNS = (
    ("run", "agent", "status", "attempts", "when"),
    ("run", "status", "attempts", "when"),  # the run's id ends with the agent
    ("run", "status", "when"),
    ("run", "status", "at"),
)
QUESTION_COLUMNS = (("run", "step", "call", "when"), ("run", "step", "call"), ("run", "step"))
APPROVAL_COLUMNS = (("id", "title", "when"), ("id", "title"), ("id",))


@dataclass(frozen=True, slots=True)
class Place:
    """A store to look at, and the app that was given with it."""

    url: str
    app: "App | None" = None


def told_apart(first: str, second: str | None, *, what: str) -> tuple[str, Path | None]:
    """Return the id and the app's file among two arguments, in whichever order they come; `Invalid` without an id.

    `what` names the id in what is said. The file is what ends in .py, or exists.
    """
    ids = [each for each in (first, second) if each is not None and not is_file(each)]
    files = [each for each in (first, second) if each is not None and is_file(each)]
    if len(ids) == 1:
        return ids[0], Path(files[0]) if files else None
    problem = "is not given" if not ids else f"is given twice: {ids[0]}, {ids[1]}"
    raise Invalid("the arguments", (Finding(what, problem, f"give {what} and, if you like, the app: APP.PY"),))


def place(file: Path | None, store: str | None, *command: str) -> Place:
    """Return where the store is: what is given or set, the app's own, or the only one there is.

    Raises `Missing` when there is none, and `Refused` when there are several: it says what `command` to type instead.
    """
    chosen = settings({"store": store})
    app = None if file is None else loaded_app(file)
    if chosen.store or app is not None:
        return Place(chosen.store or store_url(chosen, "" if app is None else app.name), app)
    found = sorted(str(path) for path in Path().glob(store_url(Settings(), "*").removeprefix("sqlite:")))
    if len(found) == 1:
        return Place(f"sqlite:{found[0]}")
    if not found:
        raise Missing("the store to look at", "give APP.PY or --store sqlite:PATH (or run an app here first)")
    typed = [f"  {shlex.join(['penstock', *command, '--store', f'sqlite:{each}'])}" for each in found]
    more = [f"  or another of {len(found)}"] if len(found) > STORES_NAMED_MAX else []
    raise Refused("there are several stores here", "\n".join(["type", *typed[:STORES_NAMED_MAX], *more]))


def filter_of(agent: str | None, status: str | None, tenant: str | None, limit: int) -> RunFilter:
    """Return which runs to list; `Invalid` for a status that there is none of."""
    if status is not None and status not in STATUSES:
        raise Invalid("the options", (Finding("--status", f"is {status!r}", f"one of {', '.join(STATUSES)}"),))
    return RunFilter(tenant, agent, cast("Status | None", status), limit)


def show_runs(place: Place, which: RunFilter, *, as_json: bool) -> None:
    """Print runs; `Invalid` when there are none and the app that was given has no such agent."""
    runs = [run_shape(change) for change in ask_catalog(place.url, lambda catalog: catalog.runs(which))]
    if not runs and which.agent is not None and place.app is not None and which.agent not in place.app.agents:
        hint = f"the app has {', '.join(place.app.agents) or 'no agents'}"
        raise Invalid("the options", (Finding("--agent", f"is {which.agent!r}", hint),))
    if as_json:
        print_json([run.model_dump() for run in runs])
        return
    rows = [
        {
            "run": run.run_id,
            "agent": run.agent,
            "status": run.status,
            "attempts": str(run.attempts),
            **times(run.at_ms),
            "reason": short(run.reason or ""),
        }
        for run in runs
    ]
    print_table(RUN_COLUMNS, rows)


def show_run(place: Place, id: str, *, as_json: bool) -> None:
    async def found(catalog: Catalog) -> BaseModel:
        stored = await catalog.run(id)
        if stored is None:
            raise Missing(f"the run {id!r}", "see `penstock runs list`")
        return run_with_steps(stored, await catalog.event(first_event_id(id)), SystemClock().now_ms())

    run = ask_catalog(place.url, found).model_dump()
    if as_json:
        print_json(run)
        return
    recorded = [(step["name"], step["at_ms"]) for step in run.pop("steps")]
    begun_ms: int = run["accepted_ms"] or (recorded[0][1] if recorded else 0)
    steps = "\n".join(step_lines(begun_ms, recorded))
    waiting = "\n".join(_told_waiting(each) for each in run.pop("waiting"))
    times = {name: when(run[name]) for name in ("accepted_ms", "at_ms", "due_ms") if run[name] is not None}
    result = {} if run["status"] != "succeeded" else {"result": msgspec.json.encode(run["result"]).decode()}
    print_fields({**run, **times, "result": None, **result, "waits for": waiting or None, "steps": steps or None})


def _told_waiting(each: Mapping[str, Any]) -> str:
    until = "" if each["due_ms"] is None else f", until {when(each['due_ms'])}"
    return f"{each['what']} since {when(each['since_ms'])}{until} ({each['step']})"


def show_event(place: Place, id: str, *, as_json: bool) -> None:
    async def found(catalog: Catalog) -> dict[str, Any]:
        recorded = await catalog.event(id)
        if recorded is None:
            raise Missing(f"the event {id!r}", "an event id is what comes before the colon in a run id")
        origin = await catalog.origin(recorded.event.correlation_id or id)
        led_to = [to_cloudevent(each.event) for each in origin if each.event.causation_id == id]
        where = {"topic": recorded.position.topic, "offset": recorded.position.offset}
        return {"event": to_cloudevent(recorded.event), **where, "led_to": led_to}

    shown = ask_catalog(place.url, found)
    if as_json:
        print_json(shown)
        return
    data = msgspec.json.encode(shown["event"].pop("data")).decode()
    led_to = "\n".join(f"{each['id']}  {each['type']}  by {each['source']}" for each in shown["led_to"])
    position = f"{shown['topic']}, offset {shown['offset']}"
    print_fields({**shown["event"], "place": position, "data": data, "led to": led_to or None})


def show_questions(place: Place, tenant: str | None, limit: int, *, as_json: bool) -> None:
    found = ask_catalog(place.url, lambda catalog: questions_of(catalog, tenant=tenant, limit=limit))
    if as_json:
        print_json([question_shape(each).model_dump() for each in found])
        return
    rows = [
        {
            "run": each.run_id,
            "step": each.step,
            "call": each.call,
            **times(each.asked_ms),
            "reason": short(each.reason),
        }
        for each in found
    ]
    print_table(QUESTION_COLUMNS, rows)


def show_approvals(place: Place, tenant: str | None, limit: int, *, as_json: bool) -> None:
    found = ask_catalog(place.url, lambda catalog: approvals_of(catalog, tenant=tenant, limit=limit))
    if as_json:
        print_json([approval_shape(each).model_dump() for each in found])
        return
    rows = [{"id": each.id, "title": short(each.title), **times(each.asked_ms), "reason": ""} for each in found]
    print_table(APPROVAL_COLUMNS, rows)


def show_queries(place: Place, run: str, name: str | None, tenant: str | None, *, as_json: bool) -> None:
    async def found(catalog: Catalog) -> list[dict[str, Any]]:
        recorded = None if tenant is not None else await catalog.event(first_event_id(run))
        of = tenant or ("default" if recorded is None else recorded.event.tenant)
        if name is not None:
            return [query_shape(name, await exposing.found(catalog, of, run, name)).model_dump()]
        known = await exposing.queries_of(catalog, of, run)
        return [query_shape(each, value).model_dump() for each, value in known.items()]

    shown = ask_catalog(place.url, found)
    if as_json:
        print_json(shown if name is None else shown[0])
    elif name is not None:
        print(msgspec.json.encode(shown[0]["value"]).decode())
    else:
        print_fields(
            {each["name"]: msgspec.json.encode(each["value"]).decode() for each in shown} or {"exposed": "none"}
        )


def ask_catalog(url: str, question: Callable[[Catalog], Coroutine[Any, Any, T]]) -> T:
    with opened_catalog(url) as catalog:
        return asyncio.run(question(catalog))


def print_json(value: Any) -> None:
    sys.stdout.write(msgspec.json.encode(value).decode() + "\n")


def print_table(forms: Sequence[Sequence[str]], rows: Sequence[Mapping[str, str]]) -> None:
    print("\n".join(table_lines(forms, rows, screen_width(), "reason") if rows else ["none"]))


def print_fields(fields: Mapping[str, Any]) -> None:
    shown = {
        name.removesuffix("_ms") if isinstance(value, str) else name: str(value)
        for name, value in fields.items()
        if value not in (None, "")
    }
    print("\n".join(field_lines(shown, screen_width())))


def is_file(argument: str) -> bool:
    return argument.endswith(".py") or Path(argument).is_file()


def times(at_ms: int) -> dict[str, str]:
    """Return a moment as a column, and as a narrower one."""
    moment = when(at_ms)
    return {"when": moment, "at": moment[len("2026-") : -len(":00")]}


def when(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= REASON_CHARS_MAX else f"{line[:REASON_CHARS_MAX]}..."
