"""Trips are workflows: they call agents side by side, sleep, wait for the first of two things, and act once."""

import asyncio
from functools import partial

from life import PATIENCE_S, RETRY, Life
from scene import Client, Scene
from world import World

from penstock.core.agents.declaration import Agent, Options, declare
from penstock.core.agents.policy import NO_RETRY
from penstock.core.events.event import Event
from penstock.errors import RunFailed
from penstock.runtime.context import Context
from penstock.runtime.engine import Engine
from penstock.runtime.workflow_context import WorkflowContext


class Trip(Event, key="customer"):
    customer: str
    number: int


class Leg(Event):
    number: int
    leg: int


class Price(Event):
    number: int
    leg: int


class Arrived(Event, key="customer"):
    customer: str
    number: int
    total: int


def legs_of(number: int) -> int:
    return 1 + number % 3


class Trips(Scene):
    """Every trip arrives, once, with all its legs, whatever died on the way."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.arrived: dict[int, int] = {}  # trip -> legs, as clients were told
        self.trips = [Trip(customer=world.any_key(), number=number) for number in range(world.random.randint(0, 6))]

    def agents(self, life: Life) -> list[Agent]:
        at_work = _AtWork(self, life)
        return [
            declare(at_work.price, "price", Options(retry=RETRY)),
            declare(at_work.travel, "travel", Options(retry=NO_RETRY, workflow=True)),
        ]

    def clients(self, life: Life, engine: Engine) -> list[Client]:
        return [partial(self._travel, engine, trip) for trip in self.trips]

    async def _travel(self, engine: Engine, trip: Trip) -> None:
        """Ask for a trip until told."""
        reply = await engine.ask(trip, Arrived, id=f"trip-{trip.number}", within_s=20)
        before = self.arrived.setdefault(trip.number, reply.total)
        self.world.expect(before == reply.total, f"trip {trip.number} was answered differently")

    async def healed(self, life: Life, engine: Engine) -> None:
        for trip in self.trips:
            try:
                await engine.ask(trip, Arrived, id=f"trip-{trip.number}", within_s=PATIENCE_S)
            except RunFailed:  # who asks is told of a leg that was given up; the trip goes on without it
                await engine.result(f"trip-{trip.number}:travel", within_s=PATIENCE_S)

    def check(self) -> None:
        for trip in self.trips:
            events = self.world.followed(f"trip-{trip.number}")
            assert sum(event.type == "Arrived.v1" for event in events) == 1
            assert sum(event.type == "Leg.v1" for event in events) == legs_of(trip.number)
            assert self.arrived.get(trip.number) in (None, legs_of(trip.number))
            assert self.world.disk.runs[f"trip-{trip.number}:travel"].status == "succeeded"


class _AtWork:
    """The handlers of one process."""

    def __init__(self, scene: Trips, life: Life) -> None:
        self.world, self.life = scene.world, life

    async def price(self, leg: Leg, ctx: Context) -> Price:
        await self.life.trouble()
        key = ctx.idempotency_key("reserve")
        await ctx.read("plan", legs_of, leg.number)
        await ctx.step("reserve", self.reserve, ctx, key)
        return Price(number=leg.number, leg=leg.leg)

    async def travel(self, trip: Trip, ctx: WorkflowContext) -> Arrived:
        """Wait for agents side by side, for time, and for one of two things; count what happens outside."""

        async def leg(number: int) -> int:
            try:
                price = await ctx.call("price", Leg(number=trip.number, leg=number))
            except RunFailed:
                return -1  # an agent that gave up is no reason to
            self.world.expect(price.leg == number, f"leg {number} of trip {trip.number} got the answer of {price.leg}")
            await ctx.sleep(self.world.chances.life_s)
            return number

        legs = await ctx.map(leg, range(legs_of(trip.number)), limit=2)
        await ctx.first(ctx.sleep(0.1), ctx.wait_for("hurry"))
        key = ctx.idempotency_key("settle")
        await ctx.step("settle", self.settle, ctx.run_id, key)
        return Arrived(customer=trip.customer, number=trip.number, total=len(legs))

    async def reserve(self, ctx: Context, key: str) -> str:
        if self.life.owns:
            run_id = ctx.run_id
            self.world.expect(ctx.event.id in self.world.disk.ids, f"effect of {run_id} before its event was durable")
            recorded = self.world.recorded_steps(run_id)
            self.world.expect("reserve#0" not in recorded, f"effect of {run_id} executed after it was recorded")
            self.world.expect("plan#0" in recorded, f"effect of {run_id} before the step that led to it was durable")
        self.world.effects[key] += 1
        await asyncio.sleep(self.world.random.random() * 0.01)
        return key

    async def settle(self, run_id: str, key: str) -> None:
        if self.life.owns:
            recorded = self.world.recorded_steps(run_id)
            self.world.expect("settle#0" not in recorded, f"settle of {run_id} executed after it was recorded")
            self.world.expect("first#0" in recorded, f"settle of {run_id} before what led to it was durable")
        self.world.effects[key] += 1
