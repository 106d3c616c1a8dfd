"""A store in memory that several engines work on, with a broker before it or without, and what their agents do."""

import asyncio
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import replace
from inspect import signature
from random import Random

import pytest

from penstock.adapters.memory.broker import MemoryBroker, Topics
from penstock.adapters.memory.store import Disk, MemoryStore
from penstock.core.agents.declaration import Options, declare
from penstock.core.agents.policy import NO_RETRY
from penstock.core.events.event import Event
from penstock.layers.brokered_store import BrokeredStore
from penstock.runtime.context import Context
from penstock.runtime.control import NAME as CONTROL
from penstock.runtime.control import control
from penstock.runtime.engine import Parts, running
from penstock.runtime.models import Models, Prompts
from penstock.runtime.topology import Topology
from penstock.runtime.workflow_context import WorkflowContext
from penstock.testing.virtual_time import VirtualClock, run_virtually

PARTITIONS = 8


class Order(Event, key="customer"):
    customer: str
    number: int = 0


class Parcel(Event, key="street"):
    street: str
    customer: str
    number: int


class Delivered(Event, key="customer"):
    customer: str
    number: int
    by: str


class Tour(Event, key="driver"):
    driver: str
    stops: int


class House:
    """A store in memory, and the agents of its workers, who say which of them handled what."""

    events = (Delivered,)  # that no agent of it names

    def __init__(self):
        self.disk = Disk()
        self.random = Random(7)
        self.handled: list[tuple[str, str, int]] = []
        self.effects: Counter[str] = Counter()
        self.slow_s = 0.0

    def agents(self, name):
        async def pack(order: Order, ctx: Context) -> Parcel:
            count = await ctx.values.get("count", 0) + 1
            await ctx.values.set("count", count)
            await asyncio.sleep(self.slow_s)
            self.handled.append((name, order.customer, order.number))
            return Parcel(street=f"street-{order.number}", customer=order.customer, number=order.number)

        async def carry(parcel: Parcel, ctx: Context) -> Delivered:
            await ctx.step("ring", self.ring, ctx.idempotency_key("ring"))
            return Delivered(customer=parcel.customer, number=parcel.number, by=name)

        async def drive(tour: Tour, ctx: WorkflowContext) -> int:
            async def stop(number):
                delivered = await ctx.call("carry", Parcel(street=f"s{number}", customer=tour.driver, number=number))
                return delivered.number

            stops = await ctx.map(stop, range(tour.stops), limit=3)
            return sum(stops) + await ctx.wait_for("tip", int)

        made = [
            declare(pack, "pack", Options()),
            declare(carry, "carry", Options()),
            declare(drive, "drive", Options(retry=NO_RETRY, workflow=True)),
        ]
        return {each.name: each for each in made} | {CONTROL: control()}

    async def ring(self, key):
        self.effects[key] += 1

    async def divide(self):
        store = MemoryStore(self.disk)
        await store.divide(await store.claim("divider"), PARTITIONS)

    def parts(self, name, agents=None):
        clock = VirtualClock(self.random, name)
        topology = Topology(self.agents(name) if agents is None else agents, self.events)
        return Parts("house", topology, MemoryStore(self.disk, now_ms=clock.now_ms), clock, Models(str, Prompts(None)))

    @asynccontextmanager
    async def worker(self, name):
        async with running(self.parts(name), owner=name, beside=True) as engine:
            yield engine

    async def killed_worker(self, name, life_s):
        """Be a worker for a while, and vanish as a killed process does."""

        async def live():
            async with self.worker(name):
                await asyncio.Event().wait()

        task = asyncio.ensure_future(live())
        await asyncio.sleep(life_s)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    def expect_order(self):
        for customer in {each[1] for each in self.handled}:
            numbers = [number for _, of, number in self.handled if of == customer]
            assert numbers == sorted(numbers)


class BrokeredHouse(House):
    """The same, where events go from agent to agent over a broker."""

    def __init__(self):
        super().__init__()
        self.topics = Topics()

    def parts(self, name, agents=None):
        parts = super().parts(name, agents)
        carried = {"order": "", "parcel": "", "delivered": "", "tour": ""}
        store = BrokeredStore(parts.store, MemoryBroker(self.topics), parts.clock, carried)
        return replace(parts, store=store, carried=frozenset(carried))


def virtually(test):
    """Run an async test in virtual time; one that takes a house with a store alone, and with a broker before it."""
    if not signature(test).parameters:
        return lambda: run_virtually(test())

    @pytest.mark.parametrize("kind", [House, BrokeredHouse])
    def both(kind):
        run_virtually(test(kind()))

    return both
