"""One life of `penstock demo --crash`: a process that does the demo's work and kills itself where it is told to."""

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from rich.console import Console

from penstock.demo.asking import ask_all, report_of
from penstock.demo.display import Display
from penstock.demo.ingestion import found_documents, ingest, warm
from penstock.demo.options import DemoOptions, questions_of
from penstock.demo.team import team
from penstock.errors import PenstockError
from penstock.runtime.process import run_tuned
from penstock.settings import settings
from penstock.testing.outside import Outside


async def live(arguments: dict[str, Any]) -> dict[str, Any]:
    """Read the documents, ask the questions; die on the way if that is asked for."""
    outside = Outside(Path(arguments["outside"]), arguments["life"])
    store = Path(arguments["store"])
    docs = None if arguments["docs"] is None else Path(arguments["docs"])
    options = DemoOptions(docs=docs, ask=tuple(arguments["ask"]), limit=arguments["limit"])
    executed = 0

    def executing(run_id: str, step: str) -> None:
        nonlocal executed
        executed += 1
        outside.executing(run_id, step)
        if executed == arguments["kill_after_steps"]:
            _die()

    def progress(what: str, done: int, total: int) -> None:
        display.progress(what, done, total)
        if what == "indexing" and arguments["kill_after_passages"] and _is_midway(done, total, arguments):
            _die()

    with Display(Console(stderr=True)) as display:
        app = team(outside.deliver)
        async with app.running(settings({"store": f"sqlite:{store}"}), executing=executing) as running:
            ingestion = await ingest(running, await found_documents(docs), progress)
            if arguments["kill_after_passages"]:
                return {}  # nothing was indexed, so there was nothing to die in: questions are asked in the next life
            await warm(running, progress)
            tally = await ask_all(running, questions_of(options), arguments["session"], progress)
    return report_of(tally, ingestion, store)


def _is_midway(done: int, total: int, arguments: dict[str, Any]) -> bool:
    return 0 < min(arguments["kill_after_passages"], (total + 1) // 2) <= done


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    try:
        sys.stdout.write(json.dumps(run_tuned(live(json.loads(sys.argv[1])))) + "\n")
    except PenstockError as error:
        sys.exit(f"penstock: {error}")
