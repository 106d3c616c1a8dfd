"""`penstock demo`: the answering team over a folder of documents, from the command line."""

import asyncio
import json
import shutil
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

from rich.console import Console

from penstock.app import Running
from penstock.demo.display import Display, chat, show
from penstock.demo.ingestion import Ingestion, ingest
from penstock.demo.outside import Outside
from penstock.demo.questions import Asked, Tally, Told, shipped
from penstock.demo.team import Answer, Question, team
from penstock.errors import Finding, Invalid
from penstock.wiring import settings

FOLDER = Path(".penstock")
AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What the command line asks for. `json` puts one JSON object on the last line; `fresh` begins with an empty store."""

    docs: Path | None = None
    ask: tuple[str, ...] = ()
    interactive: bool = False
    crash: bool = False
    json: bool = False
    store: Path | None = None
    fresh: bool = False
    limit: int | None = None


def run(options: DemoOptions) -> int:
    """Run the demo, and return the exit code: 0 when every question was answered."""
    console = Console(stderr=options.json)
    if options.crash:
        from penstock.demo.crash import crash_and_recover

        report = asyncio.run(crash_and_recover(options, console))
    else:
        report = _runner(_demo(options, console))
    if options.json:
        sys.stdout.write(json.dumps(report) + "\n")
    return 0 if report["answered"] == report["questions"] and not report.get("steps_executed_twice") else 1


def questions_of(options: DemoOptions) -> list[Asked]:
    """Return what is to be asked; `Invalid` when the options contradict each other."""
    if options.limit is not None and options.limit < 1:
        raise Invalid("the options", (Finding("--limit", f"is {options.limit}", "1 or more"),))
    if options.ask:
        return [Asked(text) for text in options.ask]
    asked = shipped() if options.docs is None else [Asked(each.text) for each in shipped()]
    return asked[: options.limit]


async def _demo(options: DemoOptions, console: Console) -> dict[str, Any]:
    store = options.store or FOLDER / "demo.db"
    if options.fresh:
        _remove(store)
    asked = questions_of(options)
    outside = Outside(store.parent / f"{store.stem}-delivered")
    chosen = settings({"store": f"sqlite:{store}"})
    with Display(console) as display:
        async with team(outside.deliver).running(chosen) as live:
            ingestion = await ingest(live, options.docs, display.progress)
            if options.interactive:
                display.stop()
                await chat(live, console, chosen.model)
                return {"questions": 0, "answered": 0}
            session = live.engine.services.clock.new_id()
            tally = await ask_all(live, asked, session, display)
    show(console, tally, ingestion, store=store, model=chosen.model)
    return report_of(tally, ingestion, store)


async def ask_all(live: Running, asked: list[Asked], session: str, display: Display) -> Tally:
    """Ask all questions, `AT_ONCE` at a time, each in a conversation of its own; asking again gives the same answers."""
    places = asyncio.Semaphore(AT_ONCE)
    tally = Tally()

    async def one(number: int, question: Asked) -> Told:
        async with places:
            event_id = f"{session}-{number:03d}"
            began = perf_counter()
            answer = await live.ask(Question(session_id=event_id, text=question.text), Answer, id=event_id, within_s=300)
            told = Told(question, answer, (perf_counter() - began) * 1000)
            tally.told.append(told)
            display.progress("answering", len(tally.told), len(asked))
            return told

    began = perf_counter()
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(number, question)) for number, question in enumerate(asked)]
    tally.seconds = perf_counter() - began
    tally.told = [task.result() for task in tasks]
    return tally


def report_of(tally: Tally, ingestion: Ingestion, store: Path) -> dict[str, Any]:
    """Return the figures of a demo as plain data."""
    return {
        "questions": len(tally.told),
        "answered": tally.answered,
        "supported": sum(each.answer.supported for each in tally.told),
        "hit_at_5": tally.hit_at_5,
        "turns_per_s": tally.turns_per_s,
        "p50_ms": tally.percentile_ms(0.5),
        "p99_ms": tally.percentile_ms(0.99),
        "passages": ingestion.passages,
        "passages_put": ingestion.put,
        "passages_deleted": ingestion.deleted,
        "passages_per_s": round(ingestion.passages_per_s, 1),
        "findings": [asdict(finding) for finding in ingestion.findings],
        "store": str(store),
    }


def _remove(store: Path) -> None:
    for path in [*store.parent.glob(f"{store.name}*"), store.parent / f"{store.stem}-delivered"]:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def _runner(main: Any) -> Any:
    try:
        import uvloop
    except ImportError:  # not on Windows
        return asyncio.run(main)
    return uvloop.run(main)
