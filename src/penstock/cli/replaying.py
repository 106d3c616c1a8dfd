"""Replaying a stretch of an app's history from the command line: what went another way, and in what."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from penstock.app import App
from penstock.cli.loading import loaded_app
from penstock.cli.looking import print_json, print_table, short
from penstock.core.agents.comparing import Verdict, tally
from penstock.runtime.replaying import Stretch
from penstock.settings import Settings, settings, store_url
from penstock.wiring import opened_desk

DIFFERENT = 1
COLUMNS = (("run", "outcome", "where"), ("run", "outcome"))


def replay_app(file: Path, stretch: Stretch, flags: Mapping[str, str | None], *, as_json: bool) -> int:
    """Replay, print the comparison, and return the exit code."""
    app, chosen = loaded_app(file), settings(flags)
    verdicts = asyncio.run(_replayed(app, chosen, stretch, is_shown=not as_json))
    counts = tally(verdicts)
    is_same = not counts.keys() - {"same", "skipped"}
    if as_json:
        print_json({"runs": [_shape(each) for each in verdicts], "counts": counts})
        return 0 if is_same else DIFFERENT
    rows = [
        {"run": each.run_id, "outcome": each.outcome, "where": ", ".join(each.where), "reason": short(each.note)}
        for each in verdicts
        if each.outcome != "same"
    ]
    if rows:
        print_table(COLUMNS, rows)
    print(", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items())) or "no runs")
    return 0 if is_same else DIFFERENT


async def _replayed(app: App, chosen: Settings, stretch: Stretch, *, is_shown: bool) -> list[Verdict]:
    console = Console(stderr=True)
    columns = (TextColumn("replay"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    async with opened_desk(store_url(chosen, app.name)) as desk:
        end = (await desk.ends()).get((stretch.topic, stretch.partition), 0)
        total = max(0, min(stretch.last, end) - stretch.first + 1)
        verdicts: list[Verdict] = []
        with Progress(*columns, console=console, disable=not (is_shown and console.is_terminal)) as progress:
            task = progress.add_task("replay", total=total)
            seen: set[str] = set()
            async for verdict in app.replay(desk, stretch, chosen):
                verdicts.append(verdict)
                seen.add(verdict.run_id.rpartition(":")[0])
                progress.update(task, completed=len(seen))
        return verdicts


def _shape(verdict: Verdict) -> dict[str, object]:
    def course(result: bytes, failure: str, emitted: tuple[tuple[str, str, bytes], ...]) -> dict[str, object]:
        events = [{"type": kind, "key": key, "data": msgspec.json.decode(data)} for kind, key, data in emitted]
        return {
            "result": msgspec.json.decode(result) if result else None,
            "failure": failure or None,
            "emitted": events,
        }

    return {
        "run_id": verdict.run_id,
        "outcome": verdict.outcome,
        "where": list(verdict.where),
        "note": verdict.note,
        "before": course(verdict.before.result, verdict.before.failure, verdict.before.emitted),
        "now": course(verdict.now.result, verdict.now.failure, verdict.now.emitted),
    }
