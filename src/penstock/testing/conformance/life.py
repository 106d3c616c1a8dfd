"""One life of a worker of the conformance test, in a process of its own, which kills itself (SIGKILL) at a write point.

Given as JSON: the settings, where the outside is, what is asked for, and when to die. What clients were told stands on stdout, a
line each. Without a point it is one of several workers, until its input ends.
"""

import asyncio
import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import msgspec

from penstock.app import Running
from penstock.core.knowledge.passages import Passage
from penstock.errors import Fenced, PenstockError
from penstock.runtime.engine import running
from penstock.runtime.write_points import WritePoint
from penstock.settings import Settings
from penstock.testing.chaos.worker import KilledStore
from penstock.testing.conformance.depot import (
    CUSTOMERS,
    NAME,
    TENANTS,
    Arrived,
    Poison,
    Reminder,
    Shipped,
    Trip,
    library,
)
from penstock.testing.conformance.own_file import depot_of
from penstock.testing.conformance.plan import (
    Plan,
    customer_of,
    order_id,
    order_of,
    passage_id,
    reminder_id,
    trip_id,
)
from penstock.testing.crashing import Fate
from penstock.wiring import opened

REMIND_AFTER_S = 1.0
LATER_S = 3600.0
ASK_S = 60.0
FENCED = 3  # an exit code


class Life(msgspec.Struct, frozen=True):
    """What a child process is told."""

    number: int
    settings: dict[str, str]
    folder: str
    plan: Plan
    point: str = ""
    nth: int = 0
    collection: str = ""  # of the library, where this life is one of that app

    @property
    def chosen(self) -> Settings:
        return Settings(**self.settings)


async def live(life: Life) -> None:
    """Live one life of the depot."""
    fate = Fate(lambda: os.kill(os.getpid(), signal.SIGKILL))
    if life.point:
        fate.decide(WritePoint(life.point), life.nth)
    app = depot_of(Path(life.folder), life.number)
    async with opened(app.declared, life.chosen, shared=True) as parts:
        mortal: Any = KilledStore(parts.store, fate, Random(life.number))
        async with running(replace(parts, store=mortal, reached=fate.reached), owner=NAME, beside=True) as engine:
            running_app = Running(app, engine)
            tell("up", str(os.getpid()))
            if life.point:
                await clients(running_app, life.plan, tell)
            else:
                await _until_stdin_ends()


Tell = Callable[[str, str, str], None]


async def clients(live: Running, plan: Plan, tell: Tell) -> None:
    """Ask for everything, and tell what was answered."""
    async with asyncio.TaskGroup() as group:
        for tenant in TENANTS:
            for customer in range(CUSTOMERS):
                group.create_task(_orders(live, tenant, range(customer, plan.orders, CUSTOMERS), tell))
        group.create_task(_timers(live, plan, tell))
        for number in range(plan.trips):
            group.create_task(_trip(live, number, tell))
        for number in range(plan.machines):
            group.create_task(_machine(live, number, tell))


async def _orders(live: Running, tenant: str, numbers: range, tell: Tell) -> None:
    """Send the orders of a customer in their order, and then ask for the answers."""
    for number in numbers:
        await live.send(order_of(number), id=order_id(tenant, number), tenant=tenant)
        tell("sent", order_id(tenant, number), "-")
    for number in numbers:
        shipped = await live.ask(order_of(number), Shipped, id=order_id(tenant, number), tenant=tenant, within_s=ASK_S)
        tell("told", order_id(tenant, number), str(shipped.total))


async def _timers(live: Running, plan: Plan, tell: Tell) -> None:
    for number in range(plan.reminders):
        reminder = Reminder(customer=customer_of(number), number=number)
        await live.send(reminder, id=reminder_id(number), after_s=REMIND_AFTER_S)
        tell("timer", reminder_id(number), "-")
    await live.send(Reminder(customer="nobody", number=-1), id="reminder-never", after_s=LATER_S)
    for customer in range(CUSTOMERS):
        await live.send(Poison(customer=customer_of(customer)), id=f"poison-{customer}")
        tell("sent", f"poison-{customer}", "-")


async def _trip(live: Running, number: int, tell: Tell) -> None:
    run = await live.start("travel", Trip(number=number), id=trip_id(number))
    tell("sent", trip_id(number), "-")
    await live.signal(run, "go", number * 10, id=f"go-{number}")
    arrived = await live.ask(Trip(number=number), Arrived, id=trip_id(number), within_s=ASK_S)
    tell("told", trip_id(number), str(arrived.go))


async def _machine(live: Running, number: int, tell: Tell) -> None:
    execution = await live.machine("machine").start({"number": number}, name=f"machine-{number}")
    tell("machine", execution, str(number))


async def read(life: Life) -> None:
    """Live one life of the library: put passages one by one, each found before the next."""
    fate = Fate(lambda: os.kill(os.getpid(), signal.SIGKILL))
    fate.decide(WritePoint(life.point), life.nth)
    app = library(life.collection)
    async with opened(app.declared, life.chosen) as parts:
        mortal: Any = KilledStore(parts.store, fate, Random(life.number))
        async with running(replace(parts, store=mortal, reached=fate.reached), owner=app.name) as engine:
            tell("up", str(os.getpid()))
            for number in range(life.plan.passages):
                for tenant in TENANTS:
                    passage = Passage(passage_id(tenant, number), f"The {tenant} fact number {number}.")
                    held = Running(app, engine).knowledge(life.collection, tenant=tenant)
                    await held.put(passage, consistency="strong")
                    tell("put", passage.id)


def tell(what: str, name: str, value: str = "-") -> None:
    """Say something that is the parent's from now on, whatever becomes of us."""
    os.write(1, f"{what} {name} {value}\n".encode())


async def _until_stdin_ends() -> None:
    ended, loop = asyncio.Event(), asyncio.get_running_loop()

    def wait() -> None:
        while os.read(0, 4096):
            pass
        loop.call_soon_threadsafe(ended.set)

    threading.Thread(target=wait, daemon=True).start()
    await ended.wait()


def main() -> int:
    """Live, and return how it ended: 0 as it should, FENCED when others took its partitions."""
    life = msgspec.json.decode(sys.argv[1], type=Life)
    try:
        asyncio.run(read(life) if life.collection else live(life))
    except Fenced:
        tell("fenced", str(os.getpid()))
        return FENCED
    except PenstockError as error:
        tell("failed", type(error).__name__, json.dumps(str(error)))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
