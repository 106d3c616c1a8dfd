"""`penstock demo --crash`: the demo kills itself with SIGKILL, again and again, and shows that nothing is lost or doubled.

This process only starts, watches and counts. Each life is a process of its own, which kills itself in the middle; what it
had executed is noted outside the store, and after each kill the journal on the disk is read: a step that stands there must
never be executed again.
"""

import asyncio
import json
import os
import shutil
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

from rich.console import Console

from penstock.demo.options import DemoOptions
from penstock.demo.outside import Outside
from penstock.errors import RunFailed
from penstock.wiring import opened_catalog

STEPS_BETWEEN_KILLS = (60, 90, 120)
PASSAGES_BEFORE_KILL = 2000
LIFE_S_MAX = 240
_SIGKILLED = -9


@dataclass(frozen=True, slots=True)
class Life:
    """When a life ends itself: in the reading of the documents, after some steps, or not at all (0)."""

    number: int
    kill_after_passages: int = 0
    kill_after_steps: int = 0


async def crash_and_recover(options: DemoOptions, console: Console) -> dict[str, Any]:
    """Live, be killed, live again; return the report of the last life with what was counted."""
    folder = Path(".penstock") / f"crash-{os.getpid()}"
    store = options.store or folder / "demo.db"
    shutil.rmtree(folder, ignore_errors=True)
    outside = Outside(folder / "outside")
    kills = [Life(0, kill_after_passages=PASSAGES_BEFORE_KILL)]
    kills += [Life(number, kill_after_steps=steps) for number, steps in enumerate(STEPS_BETWEEN_KILLS, start=1)]
    recorded: dict[tuple[str, str], int] = {}  # step on the disk -> the life before whose end it came there
    crashes = 0
    began = perf_counter()
    for life in kills:
        code, _ = await _lived(life, options, store, folder / "outside", console)
        if code == 0:
            break  # few documents or questions: it was done before it came to the place where it would have died
        if code != _SIGKILLED:
            raise RunFailed(f"life {life.number}", f"ended with code {code}: what it printed stands above")
        crashes += 1
        seen = await _recorded(store, outside)
        for step in seen:
            recorded.setdefault(step, life.number)
        console.print(f"life {life.number}: killed (SIGKILL); {len(seen)} finished steps lie in the journal")
    code, output = await _lived(Life(len(kills)), options, store, folder / "outside", console)
    if code != 0:
        raise RunFailed("the last life", f"ended with code {code}: what it printed stands above")
    report: dict[str, Any] = json.loads(output.strip().splitlines()[-1])
    report |= counted(outside, recorded)
    report |= {
        "crashes": crashes,
        "seconds": round(perf_counter() - began, 2),
        "answered_once": await _answered_once(store),
    }
    _tell(console, report)
    return report


def counted(outside: Outside, recorded: dict[tuple[str, str], int]) -> dict[str, int]:
    """Count the executions of steps, by what was noted outside the store.

    `steps_executed_twice`: executions of a step in a life after the one at whose end it lay in the journal.
    `steps_cut_off`: steps executed more than once, because a kill came between their execution and their record.
    """
    executions = outside.executions()
    again = sum((run_id, step) in recorded and life > recorded[run_id, step] for life, run_id, step in executions)
    times = Counter((run_id, step) for _, run_id, step in executions)
    deliveries = outside.deliveries()
    return {
        "steps_executed": len(executions),
        "steps_executed_twice": again,
        "steps_cut_off": sum(count > 1 for count in times.values()) - again,
        "answers_delivered": len(deliveries),
        "deliveries_repeated_with_same_key": sum(deliveries.values()) - len(deliveries),
    }


async def _lived(life: Life, options: DemoOptions, store: Path, outside: Path, console: Console) -> tuple[int, str]:
    """Run one life; return its exit code and what it printed."""
    arguments = {
        "store": str(store),
        "outside": str(outside),
        "docs": None if options.docs is None else str(options.docs),
        "limit": options.limit,
        "ask": options.ask,
        "life": life.number,
        "kill_after_passages": life.kill_after_passages,
        "kill_after_steps": life.kill_after_steps,
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "penstock.demo.life", json.dumps(arguments), stdout=asyncio.subprocess.PIPE
    )
    console.print(f"life {life.number}: process {process.pid}")
    try:
        async with asyncio.timeout(LIFE_S_MAX):
            output, _ = await process.communicate()
    except BaseException:
        if process.returncode is None:
            process.kill()
        raise
    assert process.returncode is not None
    return process.returncode, output.decode()


async def _recorded(store: Path, outside: Outside) -> set[tuple[str, str]]:
    """Return run id and step of every step that lies in the journal, among those that were ever executed."""
    found: set[tuple[str, str]] = set()
    with opened_catalog(f"sqlite:{store}") as catalog:
        for run_id in {run_id for _, run_id, _ in outside.executions()}:
            stored = await catalog.run(run_id)
            if stored is not None:
                found |= {(run_id, record.step) for record in stored.records}
    return found


async def _answered_once(store: Path) -> int:
    """Return how many questions have exactly one answer in the log."""
    questions = [f"crash-{number:03d}" for number in range(1000)]
    with opened_catalog(f"sqlite:{store}") as catalog:
        counts: list[int] = []
        for question in questions:
            events = await catalog.origin(question)
            if not events:
                break
            counts.append(sum(each.event.type == "Answer.v1" for each in events))
    return sum(count == 1 for count in counts)


def _tell(console: Console, report: dict[str, Any]) -> None:
    console.print(
        f"\n{report['crashes']} times killed, {report['questions']} questions, "
        f"{report['answered_once']} of them answered exactly once\n"
        f"{report['steps_executed']} steps executed; finished steps executed again: {report['steps_executed_twice']}\n"
        f"steps cut off between their execution and their record, and repeated with the same key: {report['steps_cut_off']}\n"
        f"answers delivered to the outside: {report['answers_delivered']}, of which delivered again with the same "
        f"idempotency key after a kill: {report['deliveries_repeated_with_same_key']}"
    )
