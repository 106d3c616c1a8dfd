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
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

from rich.console import Console

from penstock.demo.asking import require_model
from penstock.demo.ingestion import found_documents
from penstock.demo.options import DemoOptions, questions_of
from penstock.demo.places import FOLDER, remove
from penstock.demo.team import team
from penstock.errors import Refused
from penstock.settings import settings
from penstock.testing.outside import Outside
from penstock.wiring import opened_catalog

QUESTIONS = 60
# For so many questions. A question takes five steps or more: together these are fewer than there are to execute.
STEPS_BETWEEN_KILLS = (60, 90, 120)
STEPS_LEAST = 2  # a life that dies before its first step gets nowhere
PASSAGES_BEFORE_KILL = 2000
KILLS_WANTED = 3
LIFE_S_MAX = 240
_SIGKILLED = -9


@dataclass(frozen=True, slots=True)
class Life:
    """When a life ends itself: in the reading of the documents, after some steps, or not at all (0)."""

    number: int
    kill_after_passages: int = 0
    kill_after_steps: int = 0


@dataclass(frozen=True, slots=True)
class Stage:
    """Where all lives take place: the store, the notes outside of it, and the conversations that they go on with."""

    options: DemoOptions
    store: Path
    outside: Path
    session: str


def lives(questions: int) -> list[Life]:
    """Return the lives that are to be killed: one while documents are indexed, three while questions are answered."""
    share = min(questions, QUESTIONS) / QUESTIONS
    steps = [max(STEPS_LEAST, int(each * share)) for each in STEPS_BETWEEN_KILLS] if questions else []
    killed = [Life(number, kill_after_steps=after) for number, after in enumerate(steps, start=1)]
    return [Life(0, kill_after_passages=PASSAGES_BEFORE_KILL), *killed]


async def crash_and_recover(options: DemoOptions, console: Console) -> dict[str, Any]:
    """Live, be killed, live again; return the report of the last life with what was counted.

    What was noted is removed at the end, unless the store is the caller's; after a failure all is kept.
    """
    questions = len(questions_of(options))
    await found_documents(options.docs)
    session = await _session()
    folder = FOLDER / f"crash-{os.getpid()}"
    shutil.rmtree(folder, ignore_errors=True)
    if options.fresh and options.store is not None:
        remove(options.store)
    stage = Stage(options, options.store or folder / "demo.db", folder / "outside", session)
    try:
        report = await _all_lives(lives(questions), stage, console)
    except BaseException:
        console.print(f"What is there of it is kept in {folder}")
        raise
    _tell(console, report)
    if options.store is None:
        shutil.rmtree(folder)
        report["store"] = None
    else:
        console.print(f"Kept: the store {options.store}, and what was noted outside of it in {stage.outside}")
    return report


async def _session() -> str:
    """Make sure that the model can be used, and return a new name for the conversations."""
    async with team(lambda _key, _answer: None).running(settings({"store": "memory:"})) as live:
        await require_model(live)
        return live.engine.services.clock.new_id()


async def _all_lives(killed: list[Life], stage: Stage, console: Console) -> dict[str, Any]:
    outside = Outside(stage.outside)
    recorded: dict[tuple[str, str], int] = {}  # step on the disk -> the life before whose end it came there
    crashes = 0
    began = perf_counter()
    for life in killed:
        code, _ = await _lived(life, stage, console)
        if code == 0:
            continue  # it was done before it came to the place where it would have died
        if code != _SIGKILLED:
            raise _ended(f"life {life.number}", code)
        crashes += 1
        seen = await _recorded(stage.store, outside)
        for step in seen:
            recorded.setdefault(step, life.number)
        console.print(f"life {life.number}: killed (SIGKILL); {len(seen)} finished steps lie in the journal")
    code, output = await _lived(Life(len(killed)), stage, console)
    if code != 0:
        raise _ended("the last life", code)
    report: dict[str, Any] = json.loads(output.strip().splitlines()[-1])
    report |= counted(outside, recorded)
    report |= {
        "crashes": crashes,
        "seconds": round(perf_counter() - began, 2),
        "answered_once": await _answered_once(stage, report["questions"]),
    }
    return report


def _ended(life: str, code: int) -> Refused:
    return Refused(f"{life} ended with code {code}", "what it printed stands above")


def counted(outside: Outside, recorded: dict[tuple[str, str], int]) -> dict[str, int]:
    """Count the executions of steps, by what was noted outside the store.

    `steps_executed_twice`: executions of a step in a life after the one at whose end it lay in the journal.
    `steps_cut_off`: executions again because a kill came between the execution of the step and its record.
    """
    again, cut_off = outside.repeated(recorded)
    deliveries = outside.deliveries()
    return {
        "steps_executed": len(outside.executions()),
        "steps_executed_twice": again,
        "steps_cut_off": cut_off,
        "answers_delivered": len(deliveries),
        "deliveries_repeated_with_same_key": sum(deliveries.values()) - len(deliveries),
    }


async def _lived(life: Life, stage: Stage, console: Console) -> tuple[int, str]:
    """Run one life; return its exit code and what it printed."""
    options = stage.options
    arguments = {
        "store": str(stage.store),
        "outside": str(stage.outside),
        "session": stage.session,
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


async def _answered_once(stage: Stage, questions: int) -> int:
    """Return how many questions have exactly one answer in the log."""
    with opened_catalog(f"sqlite:{stage.store}") as catalog:
        led_to = [await catalog.origin(f"{stage.session}-{number:03d}") for number in range(questions)]
    return sum(sum(each.event.type == "Answer.v1" for each in events) == 1 for events in led_to)


def _tell(console: Console, report: dict[str, Any]) -> None:
    if report["crashes"] < KILLS_WANTED:
        reason = (
            'nothing was asked: give --ask "..."'
            if report["questions"] == 0
            else "the rest was done before the place where it would have been killed"
        )
        console.print(f"\n[yellow]Kills: only {report['crashes']}[/] of at least {KILLS_WANTED}: {reason}")
    console.print(
        f"\nkills: {report['crashes']}; questions: {report['questions']}, "
        f"of them answered exactly once: {report['answered_once']}\n"
        f"executions of steps: {report['steps_executed']}; finished steps executed again: {report['steps_executed_twice']}\n"
        "steps cut off (begun, but not yet on the disk when a kill came, so they had to be executed again, with the same "
        f"key): {report['steps_cut_off']}\n"
        f"answers delivered to the outside: {report['answers_delivered']}, of which delivered again with the same "
        f"idempotency key after a kill: {report['deliveries_repeated_with_same_key']}",
        highlight=False,
    )
