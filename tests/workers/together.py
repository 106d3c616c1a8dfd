"""An app of all that several workers must agree about: limits, schedules, timers, signals, cancelled children.

What happens is appended to the file in TOGETHER_NOTES, a line each; the schedules are due in the seconds after TOGETHER_BEGAN.
"""

import asyncio
import os
import time
from datetime import UTC, datetime, timedelta

from penstock import App, Context, Event, Flow, WorkflowContext

LIMIT = 3
DUE = 4
FIRST_S = 15  # time for all to be up


class Job(Event, key="customer"):
    customer: str
    number: int


class Nudge(Event, key="who"):
    who: str


class Tick(Event):
    number: int


class Tour(Event, key="driver"):
    driver: str


class Stop(Event, key="street"):
    street: str


app = App("together")


def note(what: str) -> None:
    line = f"{time.monotonic()} {os.getpid()} {what}\n".encode()
    notes = os.open(os.environ["TOGETHER_NOTES"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(notes, line)
    os.close(notes)


@app.agent(flow=Flow(concurrency=LIMIT))
async def work(job: Job) -> int:
    note("begins")
    try:
        await asyncio.sleep(0.03)
        return job.number
    finally:
        note("ends")


@app.agent
async def nudge(nudge: Nudge) -> None: ...


@app.agent
async def tick(tick: Tick) -> None: ...


@app.agent
async def wait(stop: Stop, ctx: Context) -> None:
    await asyncio.sleep(3600)


@app.workflow
async def drive(tour: Tour, ctx: WorkflowContext) -> int:
    ctx.start("wait", Stop(street=f"{tour.driver} street"))
    return await ctx.wait_for("tip", int)


def tick_of(number: int):
    return lambda _: Tick(number=number)


began = datetime.fromisoformat(os.environ.get("TOGETHER_BEGAN", "2026-01-01T00:00:00+00:00"))
for second in range(DUE):
    at = (began + timedelta(seconds=second + FIRST_S)).astimezone(UTC).replace(tzinfo=None)
    app.schedule(f"tick-{second}", f"at({at.isoformat(timespec='seconds')})", event=tick_of(second))
