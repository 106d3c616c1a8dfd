"""One life of an app whose state machine maps over a file: mapping.py FOLDER BATCHES; killed after so many batches, 0 is never."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

from penstock import App, Context, Event

FOLDER, BATCHES_MAX = Path(sys.argv[1]), int(sys.argv[2])
app = App("mapping")


class Batch(Event):
    Items: list[dict[str, str]]


class Sum(Event):
    sum: int


def added(batch: Batch) -> int:
    calls = FOLDER / "calls"
    with calls.open("a", encoding="utf-8") as file:
        file.write(f"{batch.Items[0]['id']}\n")
    if BATCHES_MAX and len(calls.read_text(encoding="utf-8").split()) >= BATCHES_MAX:
        os.kill(os.getpid(), signal.SIGKILL)
    return sum(int(each["id"]) for each in batch.Items)


@app.agent
async def adder(batch: Batch, ctx: Context) -> Sum:
    return Sum(sum=await ctx.step("add", added, batch))


machine = app.workflow("mapping", definition=FOLDER / "machine.asl.json")


async def main() -> None:
    async with app.running(store=f"sqlite:{FOLDER}/app.db", objects=f"file:{FOLDER}/buckets") as live:
        result = await live.call("mapping", machine.input({"key": "rows.csv"}), id="one", within_s=40)
    sys.stdout.write(json.dumps(result))


asyncio.run(main())
