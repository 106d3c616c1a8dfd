"""What a job on Flink carries of the conformance app: its agents. What they come to is told by events: nobody can ask a job."""

import asyncio
import os
import signal
from pathlib import Path
from typing import Final

from penstock.app import App
from penstock.core.events.event import Event
from penstock.errors import Refused
from penstock.runtime.context import Context
from penstock.testing.conformance.depot import (
    CURE,
    NAME,
    SLOW_S,
    Deadly,
    Poison,
    Recall,
    Reminder,
    Shipped,
    Slow,
    acting,
    add_echo,
    add_orders,
)
from penstock.testing.outside import Outside

LIFE: Final = "life"  # the file that says which life of the job it is
REMIND_AFTER_S = 1.0
FILE: Final = '''"""The app of a conformance test, as workers of Flink execute it."""

from pathlib import Path

from penstock.testing.conformance.flink_depot import flink_depot

app = flink_depot(Path({folder!r}))
'''


class Later(Event, key="customer", topic="later"):
    """Something to be reminded of."""

    customer: str
    number: int


class Reminded(Event, key="customer", topic="reminded"):
    """A timer has fired."""

    customer: str
    number: int


class Recalled(Event, key="customer", topic="recalled"):
    """What a session holds."""

    customer: str
    numbers: list[int]


class Rested(Event, key="customer", topic="rested"):
    """Something slow has ended."""

    customer: str


class Digested(Event, key="customer", topic="digested"):
    """What was poison is none any more."""

    customer: str


def file_of(folder: Path) -> Path:
    """Write the file that Flink's workers execute, and return it."""
    file = folder / "flink_app.py"
    file.write_text(FILE.format(folder=str(folder)), encoding="utf-8")
    return file


def flink_depot(folder: Path) -> App:
    """Return the app. Workers that begin in another life of the job act in that one's name."""
    outside = Outside(folder, int((folder / LIFE).read_text()))
    app, act = App(NAME, events=[Shipped]), acting(outside)
    add_orders(app, act)
    add_echo(app)

    @app.agent
    async def recall(asked: Recall, ctx: Context) -> Recalled:
        history = await ctx.session.history(last=20)
        return Recalled(customer=asked.customer, numbers=[int(message.content) for message in history])

    @app.agent
    async def later(asked: Later, ctx: Context) -> None:
        ctx.emit(Reminder(customer=asked.customer, number=asked.number), after_s=REMIND_AFTER_S)

    @app.agent
    async def remind(reminder: Reminder, ctx: Context) -> Reminded:
        await act(ctx, "remind")
        return Reminded(customer=reminder.customer, number=reminder.number)

    @app.agent
    async def digest(poison: Poison, ctx: Context) -> Digested:
        if not (folder / CURE).exists():
            raise Refused(f"{poison.customer} is poison", "cure it")
        await act(ctx, "digest")
        return Digested(customer=poison.customer)

    @app.agent
    async def perish(deadly: Deadly) -> None:  # noqa: ARG001 - what it takes is all that is to be known
        os.kill(os.getpid(), signal.SIGKILL)

    @app.agent
    async def dawdle(slow: Slow) -> Rested:
        await asyncio.sleep(SLOW_S)
        return Rested(customer=slow.customer)

    del recall, later, remind, digest, perish, dawdle
    return app
