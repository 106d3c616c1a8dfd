"""Which runs under way would break under the code of now, from the command line, before it is deployed."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from penstock.app import App
from penstock.cli.loading import loaded_app
from penstock.cli.looking import print_json
from penstock.cli.tables import printable
from penstock.core.agents.rehearsed import BROKEN, Group, History, Rehearsed, encode_history, grouped, tally
from penstock.rehearsals import Found, Which, found, histories, rehearsals
from penstock.settings import settings, store_url
from penstock.wiring import opened_catalog

WOULD_BREAK = 1
NAMED_MAX = 3
WORDS = {
    "fits": "go on",
    "differs": "return something else",
    "breaks": "would halt",
    "fails": "would fail",
    "gone": "have no code any more",
    "unclear": "are unclear",
    "skipped": "were skipped",
}


@dataclass(frozen=True, slots=True)
class Told:
    """What came of the check."""

    rehearsed: list[Rehearsed]
    is_all: bool
    limit: int


def check_app(file: Path, which: Which, flags: Mapping[str, str | None], save: Path | None, *, as_json: bool) -> int:
    """Check, print what would break and what to do, and return the exit code."""
    app = loaded_app(file)
    url = store_url(settings(flags), app.name)
    told = asyncio.run(_checked(app, url, which, save, is_shown=not as_json))
    is_broken = any(each.is_broken for each in told.rehearsed)
    if as_json:
        print_json(_shape(told))
    else:
        print("\n".join(_lines(told)))
    return WOULD_BREAK if is_broken or not told.is_all else 0


async def _checked(app: App, url: str, which: Which, save: Path | None, *, is_shown: bool) -> Told:
    console = Console(stderr=True)
    columns = (TextColumn("check"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with opened_catalog(url) as catalog:
        runs: Found = await found(catalog, which, app)
        rehearsed: list[Rehearsed] = []
        with Progress(*columns, console=console, disable=not (is_shown and console.is_terminal)) as progress:
            task = progress.add_task("check", total=len(runs.changes))
            async for each in rehearsals(app, _saved(histories(catalog, runs.changes), save)):
                rehearsed.append(each)
                progress.advance(task)
    return Told(rehearsed, runs.is_all, which.limit)


async def _saved(found: AsyncIterable[History], save: Path | None) -> AsyncGenerator[History]:
    """Pass histories on, and write them to a file on the way, if one is given."""
    if save is None:
        async for each in found:
            yield each
        return
    save.parent.mkdir(parents=True, exist_ok=True)
    with save.open("wb") as file:
        async for each in found:
            _write(file, each)
            yield each


def _write(file: IO[bytes], history: History) -> None:
    file.write(encode_history(history))


def _lines(told: Told) -> list[str]:
    lines: list[str] = []
    for group in grouped(each for each in told.rehearsed if each.outcome not in ("fits", "skipped")):
        lines += [*_group_lines(group), ""]
    counts = tally(told.rehearsed)
    summary = ", ".join(f"{counts[outcome]} {word}" for outcome, word in WORDS.items() if outcome in counts)
    lines.append(summary or "no runs are under way")
    if not told.is_all:
        lines.append(f"there are more than {told.limit} runs: give --limit, or check them by --workflow")
    return lines


def _group_lines(group: Group) -> list[str]:
    first, count = group.first, len(group.runs)
    named = ", ".join(group.runs[:NAMED_MAX]) + (f" and {count - NAMED_MAX} more" if count > NAMED_MAX else "")
    what = f"{count} {'run' if count == 1 else 'runs'} of {first.workflow} (version {first.version}) {WORDS[first.outcome]}"
    lines = [what, f"  {printable(first.reason)}"]
    lines += [f"  at {first.place}"] if first.place else []
    lines += [f"  {first.advice}"] if first.advice else []
    return [*lines, f"  {printable(named)}"]


def _shape(told: Told) -> dict[str, Any]:
    return {
        "runs": [_run_shape(each) for each in told.rehearsed],
        "counts": tally(told.rehearsed),
        "broken": sum(each.outcome in BROKEN for each in told.rehearsed),
        "is_all": told.is_all,
    }


def _run_shape(rehearsed: Rehearsed) -> dict[str, Any]:
    shape: dict[str, Any] = msgspec.to_builtins(rehearsed)
    del shape["result"]
    return shape
