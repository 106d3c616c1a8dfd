"""Looking into a store from the command line, beside the app that may be running on it: tables, or one JSON value."""

import asyncio
import sys
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar, cast

import msgspec
from pydantic import BaseModel

from penstock.core.agents.unit import Status
from penstock.core.events.cloudevents import to_cloudevent
from penstock.errors import Finding, Invalid, Missing
from penstock.gateway.shapes import STATUSES, dead_shape, first_event_id, run_shape, run_with_steps
from penstock.ports.state import RunFilter
from penstock.wiring import Catalog, Settings, opened_catalog, settings, store_url

T = TypeVar("T")
REASON_CHARS_MAX = 120
PIPED_WIDTH = 400


def place(file: Path | None, store: str | None) -> str:
    """Return where the store is: what is given or set, the app's own, or the only one there is; `Missing` otherwise."""
    chosen = settings({"store": store})
    if chosen.store:
        return chosen.store
    if file is not None:
        from penstock.app import load

        return store_url(chosen, load(file).name)
    found = sorted(str(path) for path in Path().glob(store_url(Settings(), "*").removeprefix("sqlite:")))
    if len(found) == 1:
        return f"sqlite:{found[0]}"
    hint = f"which one: {', '.join(found)}?" if found else "run an app here first"
    raise Missing("the store to look at", f"give APP.PY or --store sqlite:PATH ({hint})")


def filter_of(agent: str | None, status: str | None, tenant: str | None, limit: int) -> RunFilter:
    """Return which runs to list; `Invalid` for a status that there is none of."""
    if status is not None and status not in STATUSES:
        raise Invalid("the options", (Finding("--status", f"is {status!r}", f"one of {', '.join(STATUSES)}"),))
    return RunFilter(tenant, agent, cast("Status | None", status), limit)


def show_runs(url: str, which: RunFilter, *, as_json: bool) -> None:
    runs = [run_shape(change) for change in _asked(url, lambda catalog: catalog.runs(which))]
    if as_json:
        _print_json([run.model_dump() for run in runs])
        return
    rows = [
        (run.run_id, run.agent, run.status, str(run.attempts), _when(run.at_ms), _short(run.reason or ""))
        for run in runs
    ]
    _print_table(("run", "agent", "status", "attempts", "when", "reason"), rows)


def show_run(url: str, id: str, *, as_json: bool) -> None:
    async def found(catalog: Catalog) -> BaseModel:
        stored = await catalog.run(id)
        if stored is None:
            raise Missing(f"the run {id!r}", "see `penstock runs list`")
        return run_with_steps(stored, await catalog.event(first_event_id(id)))

    run = _asked(url, found).model_dump()
    if as_json:
        _print_json(run)
        return
    steps = "\n".join(f"{_when(step['at_ms'])}  {step['name']}" for step in run.pop("steps"))
    times = {name: _when(run[name]) for name in ("accepted_ms", "at_ms", "due_ms") if run[name] is not None}
    result = {} if run["status"] != "succeeded" else {"result": msgspec.json.encode(run["result"]).decode()}
    _print_fields({**run, **times, "result": None, **result, "steps": steps or None})


def show_event(url: str, id: str, *, as_json: bool) -> None:
    async def found(catalog: Catalog) -> dict[str, Any]:
        recorded = await catalog.event(id)
        if recorded is None:
            raise Missing(f"the event {id!r}", "an event id is what comes before the colon in a run id")
        origin = await catalog.origin(recorded.event.correlation_id or id)
        led_to = [to_cloudevent(each.event) for each in origin if each.event.causation_id == id]
        where = {"topic": recorded.position.topic, "offset": recorded.position.offset}
        return {"event": to_cloudevent(recorded.event), **where, "led_to": led_to}

    shown = _asked(url, found)
    if as_json:
        _print_json(shown)
        return
    data = msgspec.json.encode(shown["event"].pop("data")).decode()
    led_to = "\n".join(f"{each['id']}  {each['type']}  by {each['source']}" for each in shown["led_to"])
    place = f"{shown['topic']}, offset {shown['offset']}"
    _print_fields({**shown["event"], "place": place, "data": data, "led to": led_to or None})


def show_dead(url: str, tenant: str | None, limit: int, *, as_json: bool) -> None:
    letters = _asked(url, lambda catalog: catalog.dead_letters(tenant=tenant, limit=limit))
    dead = [dead_shape(letter) for letter in letters]
    if as_json:
        _print_json([each.model_dump() for each in dead])
        return
    rows = [
        (each.run_id, each.event["type"], str(each.attempts), _when(each.at_ms), _short(each.reason)) for each in dead
    ]
    _print_table(("run", "event", "attempts", "when", "reason"), rows)


def _asked(url: str, question: Callable[[Catalog], Coroutine[Any, Any, T]]) -> T:
    with opened_catalog(url) as catalog:
        return asyncio.run(question(catalog))


def _print_json(value: Any) -> None:
    sys.stdout.write(msgspec.json.encode(value).decode() + "\n")


def _print_table(names: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for number, name in enumerate(names):
        # Ids are there to be copied: they are never cut.
        table.add_column(name, min_width=max(len(row[0]) for row in rows) if rows and number == 0 else None)
    for row in rows:
        table.add_row(*map(Text, row))
    _console().print(table if rows else "none")


def _print_fields(fields: dict[str, Any]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    for name, value in fields.items():
        if value not in (None, ""):
            table.add_row(Text(name.removesuffix("_ms") if isinstance(value, str) else name), Text(str(value)))
    _console().print(table)


def _console() -> Any:
    """Return where tables go; another program that reads them gets whole lines."""
    from rich.console import Console

    return Console() if sys.stdout.isatty() else Console(width=PIPED_WIDTH)


def _when(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= REASON_CHARS_MAX else f"{line[:REASON_CHARS_MAX]}..."
