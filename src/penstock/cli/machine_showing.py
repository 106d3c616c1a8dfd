"""Runs of state machines on the command line: what the store, or the running app, says of them."""

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from penstock.cli.documents import json_given
from penstock.cli.loading import loaded_app
from penstock.cli.looking import Place, ask_catalog, print_fields, print_json, print_table, short, times, when
from penstock.cli.remote import posted
from penstock.cli.tables import screen_width, table_lines
from penstock.core.asl.definition import Machine
from penstock.core.events.envelope import event_of
from penstock.errors import Finding, Invalid
from penstock.gateway.machines import run_shape
from penstock.runtime import executions
from penstock.runtime.executions import STATUSES, Execution
from penstock.wiring import Catalog

WAIT_S = 365 * 24 * 3600.0
ASKED_S = 25.0  # of a server at once
COLUMNS = (("run", "name", "status", "when"), ("run", "status", "when"), ("run", "status"))
EVENT_COLUMNS = (("id", "after", "type", "state"), ("id", "type", "state"))


@dataclass(frozen=True, slots=True)
class Asked:
    """A run that is to begin."""

    machine: str
    input: str
    name: str | None
    tenant: str
    waits: bool


def started(asked: Asked, file: Path | None, store: str | None, url: str | None) -> dict[str, Any]:
    """Start a run, and return what is known of it: with --wait, at its end."""
    given = json_given(asked.input, "--input")
    if url is not None:
        body = {"input": given, "name": asked.name, "wait_s": ASKED_S if asked.waits else 0}
        answer = posted(url, f"/v1/machines/{quote(asked.machine)}/runs", body, tenant=asked.tenant)
        while asked.waits and answer["status"] == "RUNNING":
            again = {**body, "name": answer["name"]}
            answer = posted(url, f"/v1/machines/{quote(asked.machine)}/runs", again, tenant=asked.tenant)
        return answer
    if file is None:
        hint = "give APP.PY, or --url of the app while it runs"
        raise Invalid("the arguments", (Finding("APP.PY", "is not given", hint),))
    return asyncio.run(_started_here(asked, given, file, store))


async def _started_here(asked: Asked, given: Any, file: Path, store: str | None) -> dict[str, Any]:
    async with loaded_app(file).running(store=store) as live:
        door = live.machine(asked.machine, tenant=asked.tenant)
        run = await door.start(given, name=asked.name)
        found = await door.ended(run, within_s=WAIT_S) if asked.waits else await door.describe(run)
    return shape(found)


def shape(found: Execution) -> dict[str, Any]:
    """Return a run as HTTP shows it."""
    return run_shape(found).model_dump()


def execution(url: str, run: str, tenant: str | None) -> dict[str, Any]:
    """Return what the store says of a run."""

    async def looked(catalog: Catalog) -> Execution:
        return await executions.described(catalog, run, await tenant_of(catalog, run, tenant))

    return shape(ask_catalog(url, looked))


def definition(url: str, run: str, tenant: str | None) -> Machine:
    """Return the definition that a run follows."""

    async def looked(catalog: Catalog) -> Machine:
        return await executions.definition_of(catalog, run, await tenant_of(catalog, run, tenant))

    return ask_catalog(url, looked)


def events(url: str, run: str, tenant: str | None) -> list[dict[str, Any]]:
    """Return the history of a run."""

    async def looked(catalog: Catalog) -> list[dict[str, Any]]:
        return await executions.history(catalog, run, await tenant_of(catalog, run, tenant))

    return ask_catalog(url, looked)


async def tenant_of(catalog: Catalog, run: str, tenant: str | None) -> str:
    """Return whose run it is, where nobody says."""
    if tenant is not None:
        return tenant
    recorded = None if run.startswith("arn:") else await catalog.event(event_of(run)[0])
    return "default" if recorded is None else recorded.event.tenant


def show_execution(found: dict[str, Any], *, as_json: bool) -> None:
    """Print what is known of a run."""
    if as_json:
        print_json(found)
        return
    ended = found["ended_ms"]
    shown = {
        **found,
        "started_ms": when(found["started_ms"]),
        "ended_ms": None if ended is None else when(ended),
        "lasted": None if ended is None else f"{(ended - found['started_ms']) / 1000:g} s",
        "input": _text(found["input"]),
        "output": _text(found["output"]) if found["status"] == "SUCCEEDED" else None,
        "redrives": found["redrives"] or None,
    }
    print_fields(shown)


def show_executions(
    where: Place, machine: str, status: str | None, tenant: str | None, limit: int, *, as_json: bool
) -> None:
    """Print runs of a machine."""
    if status is not None and status not in STATUSES:
        raise Invalid("the options", (Finding("--status", f"is {status!r}", f"one of {', '.join(STATUSES)}"),))
    found = ask_catalog(where.url, lambda catalog: executions.listed(catalog, machine, tenant, status, limit))
    if as_json:
        print_json([shape(each) for each in found])
        return
    rows = [
        {
            "run": each.run_id,
            "name": each.name,
            "status": each.status,
            **times(each.started_ms),
            "reason": short(f"{each.error or ''}: {each.cause or ''}") if each.error or each.cause else "",
        }
        for each in found
    ]
    print_table(COLUMNS, rows)


def show_history(url: str, run: str, tenant: str | None, *, as_json: bool) -> None:
    """Print the events of a run."""
    from penstock.core.asl.drawing.visits import history_of

    told = events(url, run, tenant)
    if as_json:
        print(json.dumps({"events": told}, ensure_ascii=False))
        return
    begun_ms = history_of(told)[0].at_ms
    rows = [
        {
            "id": str(each["id"]),
            "after": f"{(at.at_ms - begun_ms) / 1000:g} s",
            "type": each["type"],
            "state": str(at.details.get("name", "")),
            "note": _details(each),
        }
        for each, at in zip(told, history_of(told), strict=True)
    ]
    print("\n".join(table_lines(EVENT_COLUMNS, rows, screen_width(), "note")))


def _details(event: dict[str, Any]) -> str:
    found = [value for key, value in event.items() if key.endswith("EventDetails")]
    details: dict[str, Any] = found[0] if found else {}
    told = {key: value for key, value in details.items() if key != "name" and not key.endswith("Details")}
    return json.dumps(told, ensure_ascii=False) if told else ""


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
