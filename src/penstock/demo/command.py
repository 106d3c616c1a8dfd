"""`penstock demo`: the answering team over a folder of documents, from the command line."""

import json
import sys
from typing import Any

from rich.console import Console

from penstock.app import Running
from penstock.demo.asking import ask_all, report_of, require_model
from penstock.demo.conversation import chat
from penstock.demo.crash import crash_and_recover
from penstock.demo.display import Display, show, show_found
from penstock.demo.ingestion import found_documents, ingest, warm
from penstock.demo.options import DemoOptions, questions_of
from penstock.demo.places import delivered_from, remove, store_of
from penstock.demo.questions import Tally
from penstock.demo.team import team
from penstock.runtime.process import run_tuned
from penstock.settings import settings
from penstock.testing.outside import Outside


def run(options: DemoOptions) -> int:
    """Run the demo, and return the exit code: 0 when each question got an answer, and no step was executed twice."""
    console = Console(stderr=options.json, emoji=False)
    report = run_tuned(crash_and_recover(options, console) if options.crash else _demo(options, console))
    if options.json:
        sys.stdout.write(json.dumps(report) + "\n")
    return 1 if report["answers"] < report["questions"] or report.get("steps_executed_twice") else 0


async def _demo(options: DemoOptions, console: Console) -> dict[str, Any]:
    asked = questions_of(options)
    found = await found_documents(options.docs)
    store = store_of(options)
    if options.fresh:
        remove(store)
    outside = Outside(delivered_from(store))
    chosen = settings({"store": f"sqlite:{store}"})
    with Display(console) as display:
        async with team(outside.deliver).running(chosen) as live:
            await require_model(live)
            ingestion = await ingest(live, found, display.progress)
            await warm(live, display.progress)
            if asked:
                session = live.engine.services.clock.new_id()
                tally = await ask_all(live, asked, session, display.progress)
            else:
                display.stop()
                show_found(console, ingestion)
                tally = await _conversation(live, options, console, chosen.model)
    if asked:
        show(console, tally, ingestion, options, store=store, model=chosen.model)
    return report_of(tally, ingestion, store)


async def _conversation(live: Running, options: DemoOptions, console: Console, model: str) -> Tally:
    is_attended = not options.json and sys.stdin.isatty() and console.is_terminal
    if options.interactive or is_attended:
        return await chat(live, console, model)
    console.print('Nothing was asked. Give --ask "..." (may be given several times), or --interactive.')
    return Tally()
