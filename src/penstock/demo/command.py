"""`penstock demo`: the answering team over a folder of documents, from the command line."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

from rich.console import Console

from penstock.demo.asking import ask_all, report_of
from penstock.demo.crash import crash_and_recover
from penstock.demo.display import Display, chat, show
from penstock.demo.ingestion import ingest
from penstock.demo.options import DemoOptions, questions_of
from penstock.demo.outside import Outside
from penstock.demo.team import team
from penstock.runtime.process import run_tuned
from penstock.wiring import settings

FOLDER = Path(".penstock")


def run(options: DemoOptions) -> int:
    """Run the demo, and return the exit code: 0 when every question was answered."""
    console = Console(stderr=options.json)
    report = run_tuned(crash_and_recover(options, console) if options.crash else _demo(options, console))
    if options.json:
        sys.stdout.write(json.dumps(report) + "\n")
    return 0 if report["answered"] == report["questions"] and not report.get("steps_executed_twice") else 1


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


def _remove(store: Path) -> None:
    for path in [*store.parent.glob(f"{store.name}*"), store.parent / f"{store.stem}-delivered"]:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
