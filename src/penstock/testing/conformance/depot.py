"""The app of the conformance test: one of everything, whose every act is noted outside, where no crash can take it back.

- `charge` and `ship` are agents, one after the other, in order per customer; the total of a customer tells whether an order was
  handled twice or not at all, and the session what was remembered.
- `travel` is a workflow in Python: it acts, calls an agent, sleeps, waits for a signal. `machine` is one of the States Language.
- `remind` is what timers come to, `digest` fails until it is cured, `dawdle` is slow, `echo` goes round for ever.
- `perish` kills the process that executes it, once: it is asked for where that is a worker of a host.
"""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

from penstock.app import App
from penstock.core.agents.resources import Resources
from penstock.core.events.event import Event
from penstock.errors import Refused
from penstock.runtime.context import Context
from penstock.runtime.workflow_context import WorkflowContext
from penstock.testing.outside import Outside

NAME: Final = "conformance"
TENANTS: Final = ("red", "blue")
CUSTOMERS = 4
SLOW_S = 6.0
SLEEP_S = 0.05
SIGNAL_S = 60.0
CURE: Final = "cured"  # the file that cures what is poison
SMALL: Final = Resources(cpus=0.05, workers_max=1, handlings_max=16)  # on a host: many workers on few machines


class Order(Event, key="customer", topic="order"):
    """Something to be charged and shipped."""

    customer: str
    number: int


class Charged(Event, key="customer", topic="charged"):
    """It was charged, as the `total`-th of this customer."""

    customer: str
    number: int
    total: int


class Shipped(Event, key="customer", topic="shipped"):
    """It was shipped."""

    customer: str
    number: int
    total: int


class Reminder(Event, key="customer", topic="reminder"):
    """Something that comes later."""

    customer: str
    number: int


class Poison(Event, key="customer", topic="poison"):
    """Something that nobody can handle yet."""

    customer: str


class Slow(Event, key="customer", topic="slow"):
    """Something that takes long."""

    customer: str


class Echo(Event, key="customer", topic="echo"):
    """Something that goes round."""

    customer: str


class Deadly(Event, key="customer", topic="deadly"):
    """Something that kills who handles it, the first time."""

    customer: str


class Recall(Event, key="customer", topic="recall"):
    """Who asks what was said."""

    customer: str


class Trip(Event, topic="trip"):
    """Something that a workflow does."""

    number: int


class Pricing(Event, topic="pricing"):
    """What workflows ask."""

    number: int


class Priced(Event, topic="priced"):
    """What they are told."""

    number: int


class Arrived(Event, topic="arrived"):
    """A trip has ended."""

    number: int
    go: int


MACHINE: Final[dict[str, Any]] = {
    "StartAt": "Price",
    "States": {
        "Price": {
            "Type": "Task",
            "Resource": "agent:price",
            "Parameters": {"number.$": "$.number"},
            "ResultPath": "$.priced",
            "Next": "Which",
        },
        "Which": {
            "Type": "Choice",
            "Choices": [{"Variable": "$.priced.number", "NumericGreaterThanEquals": 0, "Next": "Wait"}],
            "Default": "Never",
        },
        "Wait": {"Type": "Wait", "Seconds": 1, "Next": "Done"},
        "Done": {"Type": "Pass", "Parameters": {"number.$": "$.priced.number"}, "End": True},
        "Never": {"Type": "Fail", "Error": "Never"},
    },
}


Act = Callable[[Context | WorkflowContext, str], Awaitable[None]]


def acting(outside: Outside) -> Act:
    """Return what does something outside, as a step."""

    async def act(ctx: Context | WorkflowContext, step: str) -> None:
        run_id, _, number = ctx.idempotency_key(step).rpartition("/")
        await ctx.step(step, outside.executing, run_id, number)

    return act


def depot(outside: Outside, folder: Path) -> App:
    """Return the app, acting upon an outside."""
    app, act = App(NAME, events=[Shipped]), acting(outside)
    add_orders(app, act)

    @app.agent(resources=SMALL)
    async def recall(asked: Recall, ctx: Context) -> list[int]:
        assert ctx.key == asked.customer
        return [int(message.content) for message in await ctx.session.history(last=20)]

    @app.agent(resources=SMALL)
    async def remind(reminder: Reminder, ctx: Context) -> int:
        await act(ctx, "remind")
        return reminder.number

    @app.agent(resources=SMALL)
    async def digest(poison: Poison, ctx: Context) -> str:
        if not (folder / CURE).exists():
            raise Refused(f"{poison.customer} is poison", "cure it")
        await act(ctx, "digest")
        return poison.customer

    @app.agent(resources=SMALL)
    async def perish(deadly: Deadly, ctx: Context) -> str:
        await act(ctx, "before")
        await ctx.step("die", die_once, folder / f"died-{deadly.customer}")
        await act(ctx, "after")
        return deadly.customer

    @app.workflow
    async def travel(trip: Trip, ctx: WorkflowContext) -> Arrived:
        await act(ctx, "book")
        priced = await ctx.call("price", Pricing(number=trip.number))
        await ctx.sleep(SLEEP_S)
        go = await ctx.wait_for("go", int, timeout_s=SIGNAL_S)
        await act(ctx, "settle")
        return Arrived(number=priced.number, go=go)

    app.workflow("machine", definition=MACHINE)
    add_echo(app)
    _add_plain(app)
    del recall, remind, digest, perish, travel
    return app


def die_once(mark: Path) -> None:
    """Kill this process, unless the mark says that it was done already."""
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)


def add_orders(app: App, act: Act) -> None:
    """Add the agents that charge and ship."""

    @app.agent(resources=SMALL)
    async def charge(order: Order, ctx: Context) -> Charged:
        total = await ctx.values.get("total", 0) + 1
        await ctx.values.set("total", total)
        await act(ctx, "charge")
        await act(ctx, "thank")  # begins when the charge is durable: here it is known whether that one is repeated
        await ctx.session.add("user", str(order.number))
        return Charged(customer=order.customer, number=order.number, total=total)

    @app.agent(resources=SMALL)
    async def ship(charged: Charged, ctx: Context) -> Shipped:
        await act(ctx, "ship")
        return Shipped(customer=charged.customer, number=charged.number, total=charged.total)

    del charge, ship


def add_echo(app: App) -> None:
    """Add the agent that goes round for ever."""

    @app.agent(resources=SMALL)
    async def echo(event: Echo) -> Echo:
        return event

    del echo


def _add_plain(app: App) -> None:
    """Add the agents that do nothing outside."""

    @app.agent(resources=SMALL)
    async def dawdle(slow: Slow) -> str:
        await asyncio.sleep(SLOW_S)
        return slow.customer

    @app.agent(resources=SMALL)
    async def price(pricing: Pricing) -> Priced:
        return Priced(number=pricing.number)

    del dawdle, price


def library(collection: str) -> App:
    """Return an app with knowledge alone."""
    app = App(f"{NAME}-library")
    app.knowledge(collection)
    return app
