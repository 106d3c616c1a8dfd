"""An app whose agent takes a while, and says when it began and ended: what becomes of it when its process is asked to end."""

import asyncio
import os
from pathlib import Path

from penstock import App, Context, Event


class Job(Event):
    name: str


app = App("slow")


def note(text: str) -> None:
    with Path(os.environ["SLOW_NOTES"]).open("a", encoding="utf-8") as notes:
        notes.write(f"{text}\n")


@app.agent
async def work(job: Job, ctx: Context) -> str:
    note(f"{job.name} begins, attempt {ctx.attempt}")
    await asyncio.sleep(1.0)
    note(f"{job.name} ends")
    return "done"
