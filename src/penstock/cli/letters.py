"""Dead letters on the command line, beside the app that may be running: what is asked for goes through the store's inbox."""

import asyncio
import getpass
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from penstock.adapters.clock.system import SystemClock
from penstock.cli.looking import (
    Place,
    ask_catalog,
    is_file,
    place,
    print_fields,
    print_json,
    print_table,
    short,
    times,
    when,
)
from penstock.core.agents.again import unwrapped
from penstock.core.events.event import Event
from penstock.errors import Finding, Invalid, Missing, Refused
from penstock.gateway.shapes import DeadEventWhole, dead_shape, dead_shape_whole
from penstock.ports.state import DeadFilter
from penstock.runtime.asking_again import AskingAgain, Signature
from penstock.runtime.mailbox import Mailbox
from penstock.runtime.topology import Topology
from penstock.wiring import Catalog, Desk, opened_desk, topology_of

CHUNK = 100  # asked for together
COLUMNS = (("run", "event", "attempts", "when"), ("run", "event", "when"), ("run", "when"), ("run", "at"))
_SPAN = re.compile(r"(\d+)([smhd])\Z")
_UNITS_MS = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


@dataclass(frozen=True, slots=True)
class Meant:
    """What a command is about: the runs that were named, or a filter; and the app's file, if it was given."""

    runs: tuple[str, ...]
    which: DeadFilter
    file: Path | None


@dataclass(frozen=True, slots=True)
class How:
    """How it is to be done, and said."""

    by: str | None = None
    why: str = ""
    fresh: bool = False
    event: str | None = None
    is_sure: bool = False
    as_json: bool = False

    @property
    def signature(self) -> Signature:
        return Signature(getpass.getuser() if self.by is None else self.by, self.why)


def filter_of(agent: str | None, reason: str | None, since: str | None, tenant: str | None, limit: int) -> DeadFilter:
    """Return which dead letters the options leave; `Invalid` for a time that is none."""
    return DeadFilter(tenant, agent, reason, None if since is None else moment_ms(since, "--since"), limit=limit)


def meant(targets: Sequence[str] | None, which: DeadFilter, *, everything: bool) -> Meant:
    """Tell runs and the app's file apart; `Invalid` when nothing is named, or too much."""
    runs = [each for each in targets or () if not is_file(each)]
    files = [each for each in targets or () if is_file(each)]
    is_narrowed = (which.agent, which.reason, which.since_ms) != (None, None, None)
    findings: list[Finding] = []
    if len(files) > 1:
        findings.append(Finding("APP.PY", f"is given {len(files)} times", "give one"))
    if runs and (everything or is_narrowed):
        findings.append(Finding("RUN", "is given with a filter", "give runs, or --all, --agent, --reason, --since"))
    if not runs and not everything and not is_narrowed:
        findings.append(Finding("RUN", "is not given", "give runs, or --all, --agent, --reason, --since"))
    if findings:
        raise Invalid("the arguments", tuple(findings))
    return Meant(tuple(runs), which, Path(files[0]) if files else None)


def show_letters(where: Place, which: DeadFilter, *, as_json: bool) -> None:
    letters = ask_catalog(where.url, lambda catalog: catalog.dead_letters(which))
    dead = [dead_shape(letter) for letter in letters]
    if as_json:
        print_json([each.model_dump() for each in dead])
        return
    rows = [
        {
            "run": each.run_id,
            "event": each.event["type"],
            "attempts": str(each.attempts),
            **times(each.at_ms),
            "reason": short(each.reason),
        }
        for each in dead
    ]
    print_table(COLUMNS, rows)


def show_letter(where: Place, id: str, *, as_json: bool) -> None:
    async def found(catalog: Catalog) -> DeadEventWhole:
        letters = await catalog.dead_letters(DeadFilter(run_id=id, limit=1))
        if not letters:
            raise Missing(f"the dead letter of {id!r}", "see `penstock dead list`")
        event = letters[0].event.event
        return dead_shape_whole(
            letters[0], await catalog.run(id), await catalog.origin(event.correlation_id or event.id)
        )

    letter = ask_catalog(where.url, found)
    if as_json:
        print_json(letter.model_dump())
        return
    steps = [f"{when(each.at_ms)}  {each.name}  {_text(each.value)}" for each in letter.steps]
    causes = [f"{each['id']}  {each['type']}  by {each['source']}" for each in letter.causes]
    shown = {
        "run": letter.run_id,
        "reason": letter.reason,
        "attempts": str(letter.attempts),
        "died": when(letter.at_ms),
        "event": f"{letter.event['id']}  {letter.event['type']}",
        "data": _text(letter.event.get("data")),
        "led to by": "\n".join(causes),
        "steps": "\n".join(steps),
    }
    print_fields(shown)


def redrive_letters(meant: Meant, store: str | None, how: How) -> None:
    """Ask for all that is meant, and print which runs it concerns."""
    _dealt_with(meant, store, how, "redrive")


def drop_letters(meant: Meant, store: str | None, how: How) -> None:
    """Let go all that is meant, and print which runs it concerns."""
    _dealt_with(meant, store, how, "drop")


def _dealt_with(meant: Meant, store: str | None, how: How, verb: str) -> None:
    where = place(meant.file, store, "dead", verb, *meant.runs)
    runs = asyncio.run(_asked(where, meant, how, verb))
    if how.as_json:
        print_json({"runs": runs})
        return
    done = "will be tried again" if verb == "redrive" else "dropped"
    print(
        f"{len(runs)} {'run' if len(runs) == 1 else 'runs'} {done}: at once where the app runs, else at its next start"
    )
    if len(runs) == 1:
        print(f"  penstock runs show {runs[0]}")


async def _asked(where: Place, meant: Meant, how: How, verb: str) -> list[str]:
    topology = None if where.app is None else topology_of(where.app.declared)
    async with opened_desk(where.url) as desk:
        again = AskingAgain(Mailbox(desk, SystemClock()), desk, topology)
        runs = list(meant.runs)
        if not runs:
            runs = [each.run_id for each in await desk.dead_letters(meant.which)]
            _confirm(f"{verb} {len(runs)} dead {'letter' if len(runs) == 1 else 'letters'}?", how)
        event = None if how.event is None else await _event_like(desk, topology, runs, how.event)
        console = Console(stderr=True)
        columns = (TextColumn(verb), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        done: list[str] = []
        is_shown = len(runs) > CHUNK and console.is_terminal and not how.as_json
        with Progress(*columns, console=console, disable=not is_shown) as progress:
            task = progress.add_task(verb, total=len(runs))
            for first in range(0, len(runs), CHUNK):
                chunk = runs[first : first + CHUNK]
                if verb == "drop":
                    done += await again.drop(chunk, signed=how.signature, tenant=meant.which.tenant)
                else:
                    done += await again.redrive(
                        chunk, fresh=how.fresh, event=event, signed=how.signature, tenant=meant.which.tenant
                    )
                progress.advance(task, len(chunk))
        return done


async def _event_like(desk: Desk, topology: Topology | None, runs: Sequence[str], data: str) -> Event:
    """Return an edited event of the type that the run handles; `Invalid` with all findings."""
    if topology is None:
        raise Missing("the app", "give APP.PY: it knows the types of its events")
    if len(runs) != 1:
        raise Invalid("the options", (Finding("--input", f"is given for {len(runs)} runs", "give exactly one RUN"),))
    letters = await desk.dead_letters(DeadFilter(run_id=runs[0], limit=1))
    if not letters:
        raise Missing(f"the dead letter of {runs[0]!r}", "see `penstock dead list`")
    return topology.named(unwrapped(letters[0].event).event.type).event.decoded(data)


def _confirm(question: str, how: How) -> None:
    if how.is_sure:
        return
    if how.as_json or not sys.stdin.isatty():
        raise Refused(question, "say so with --yes: nobody can be asked here")
    typer.confirm(question, abort=True, err=True)


def moment_ms(text: str, option: str) -> int:
    """Return a moment, in ms since 1970: one that lies a span before now, or a date with a time of this place."""
    if span := _SPAN.match(text):
        return SystemClock().now_ms() - int(span[1]) * _UNITS_MS[span[2]]
    try:
        return int(datetime.fromisoformat(text).astimezone().timestamp() * 1000)
    except ValueError as error:
        finding = Finding(option, f"is {text!r}", "write 30m, 2h, 7d, or 2026-11-26T09:00")
        raise Invalid("the options", (finding,)) from error


def _text(value: object) -> str:
    return msgspec.json.encode(value).decode()
