"""A small app in a hostile world: one seed decides what is asked, what fails, what is lost, who crashes when.

The real engine, lanes, committer and retry layer run over a store that loses requests and answers, in virtual time. A `World`
is what outlives the crashes: the disk, the outside that steps act upon, and what clients were told.
"""

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from random import Random

from penstock.adapters.memory.store import Disk, MemoryStore
from penstock.core.agents.declaration import Agent, Options, declare
from penstock.core.agents.journal import decode_chunk
from penstock.core.agents.policy import NO_RETRY, Retry
from penstock.core.events.event import Event
from penstock.errors import PenstockError, RunFailed
from penstock.layers.retrying_store import RetryingStore
from penstock.runtime.context import Context
from penstock.runtime.engine import Engine, Parts, running
from penstock.runtime.models import Models, Prompts
from penstock.runtime.topology import Topology
from penstock.runtime.workflow_context import WorkflowContext
from penstock.testing.faulty_store import FaultyStore
from penstock.testing.virtual_time import VirtualClock

KEYS = 4
POISON = "poison"


class Order(Event, key="customer"):
    customer: str
    number: int
    text: str


class Part(Event, key="customer"):
    customer: str
    number: int
    piece: int


class Done(Event, key="customer"):
    customer: str
    number: int
    total: int


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


class Logged(Event):
    number: int


@dataclass
class Chances:
    """How hostile a seed is."""

    loss: float
    delay_s: float
    failure: float
    poison: float
    slow: float
    lives: int
    life_s: float
    rivals: bool
    orders: int
    trips: int

    @staticmethod
    def of(random: Random) -> "Chances":
        return Chances(
            loss=random.choice([0.0, 0.05, 0.2]),
            delay_s=random.choice([0.0, 0.001, 0.02]),
            failure=random.choice([0.0, 0.1, 0.3]),
            poison=random.choice([0.0, 0.1]),
            slow=random.choice([0.0, 0.1]),
            lives=random.randint(1, 6),
            life_s=random.choice([0.05, 0.5, 5.0]),
            rivals=random.random() < 0.3,
            orders=random.randint(5, 40),
            trips=random.randint(0, 6),
        )


@dataclass
class World:
    """What the crashes do not touch."""

    random: Random
    chances: Chances
    disk: Disk = field(default_factory=Disk)
    effects: Counter[str] = field(default_factory=Counter)  # idempotency key -> calls
    told: dict[int, int] = field(default_factory=dict)  # order -> total, as clients were told
    arrived: dict[int, int] = field(default_factory=dict)  # trip -> legs, as clients were told
    faults: list[str] = field(default_factory=list)
    healthy: bool = False

    def recorded_steps(self, run_id: str) -> set[str]:
        """The steps of a run that are on the disk."""
        bodies = list(self.disk.chunks.get(run_id, []))
        if (change := self.disk.runs.get(run_id)) is not None and change.records:
            bodies.append(change.records)
        return {record.step for body in bodies for record in decode_chunk(body)}

    def expect(self, holds: bool, fault: str) -> None:
        if not holds:
            self.faults.append(fault)


class Life:
    """One process: an engine on the world's disk, until it is killed."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.epoch = 0
        self.active: Counter[tuple[str, str]] = Counter()
        random = world.random
        chances = world.chances
        loss, delay_s = (0.0, 0.0) if world.healthy else (chances.loss, chances.delay_s)
        faulty = FaultyStore(MemoryStore(world.disk), random, loss=loss, delay_s=delay_s)
        clock = VirtualClock(random, name)
        clock.skew_ms = random.choice([0, 0, -60_000, 60_000])
        agents = {agent.name: agent for agent in self.agents()}
        self.parts = Parts(
            "sim", Topology(agents), RetryingStore(faulty, clock), clock, Models(_no_model, Prompts(None))
        )

    def agents(self) -> list[Agent]:
        retry = Retry(attempts_max=6, delay_s=0.05)
        return [
            declare(self.split, "split", Options(retry=retry)),
            declare(self.join, "join", Options(retry=retry)),
            declare(self.audit, "audit", Options(retry=retry, batch=7)),
            declare(self.price, "price", Options(retry=retry)),
            declare(self.travel, "travel", Options(retry=NO_RETRY, workflow=True)),
        ]

    @property
    def owns(self) -> bool:
        """Whether this process still holds the newest claim."""
        return self.epoch == self.world.disk.claim.epoch

    async def split(self, order: Order, ctx: Context) -> list[Part]:
        with Alone(self, "split", order.customer):
            if order.text == POISON:
                raise ValueError("poison")
            await self.trouble()
            count = await ctx.read("plan", self._planned, order.number)
            key = ctx.idempotency_key("reserve")
            await ctx.step("reserve", self.effect, ctx, "reserve", key)
            await self.trouble()
            await ctx.session.add("user", str(order.number))
            return [Part(customer=order.customer, number=order.number, piece=piece) for piece in range(count)]

    async def join(self, part: Part, ctx: Context) -> Done | None:
        with Alone(self, "join", part.customer):
            await self.trouble()
            got = await ctx.values.get(str(part.number), [], to=list[int])
            # One who lost the claim may read what the next owner wrote; nothing that he does with it is ever committed.
            twice = part.piece in got and self.owns
            self.world.expect(not twice, f"piece {part.piece} of order {part.number} came twice")
            got.append(part.piece)
            await ctx.values.set(str(part.number), got)
            order = (await ctx.values.get("order", [], to=list[int])) + [part.number * 10 + part.piece]
            await ctx.values.set("order", order)
            if len(got) < _planned(part.number):
                return None
            ctx.emit(Logged(number=part.number))
            return Done(customer=part.customer, number=part.number, total=len(got))

    async def audit(self, logged: list[Logged], ctx: Context) -> None:
        await self.trouble()
        assert len(logged) <= 7

    async def price(self, leg: Leg, ctx: Context) -> Price:
        await self.trouble()
        key = ctx.idempotency_key("reserve")
        await ctx.read("plan", self._planned, leg.number)
        await ctx.step("reserve", self.effect, ctx, "reserve", key)
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

        legs = await ctx.map(leg, range(_planned(trip.number)), limit=2)
        await ctx.first(ctx.sleep(0.1), ctx.wait_for("hurry"))
        key = ctx.idempotency_key("settle")
        await ctx.step("settle", self.settle, ctx.run_id, key)
        return Arrived(customer=trip.customer, number=trip.number, total=len(legs))

    async def settle(self, run_id: str, key: str) -> None:
        if self.owns:
            recorded = self.world.recorded_steps(run_id)
            self.world.expect("settle#0" not in recorded, f"settle of {run_id} executed after it was recorded")
            self.world.expect("first#0" in recorded, f"settle of {run_id} before what led to it was durable")
        self.world.effects[key] += 1

    async def travel_with(self, engine: Engine, trip: Trip) -> None:
        """Ask for a trip until told."""
        reply = await engine.ask(trip, Arrived, id=f"trip-{trip.number}", within_s=20)
        before = self.world.arrived.setdefault(trip.number, reply.total)
        self.world.expect(before == reply.total, f"trip {trip.number} was answered differently")

    async def trouble(self) -> None:
        chances = self.world.chances
        if self.world.healthy:
            return
        if self.world.random.random() < chances.slow:
            await asyncio.sleep(30)
        if self.world.random.random() < 0.5:
            await asyncio.sleep(self.world.random.random() * 0.01)
        if self.world.random.random() < chances.failure:
            raise RuntimeError("bad luck")

    async def effect(self, ctx: Context, step: str, key: str) -> str:
        """Act upon the outside. The cause must be durable (C7), and the step not be recorded (C4)."""
        if self.owns:
            cause = ctx.event.id
            self.world.expect(cause in self.world.disk.ids, f"effect of {ctx.run_id} before its event was durable")
            recorded = self.world.recorded_steps(ctx.run_id)
            self.world.expect(
                f"{step}#0" not in recorded, f"step {step} of {ctx.run_id} executed after it was recorded"
            )
            plan = "plan#0" in recorded
            self.world.expect(plan, f"effect of {ctx.run_id} before the step that led to it was durable")
        self.world.effects[key] += 1
        await asyncio.sleep(self.world.random.random() * 0.01)
        return key

    async def _planned(self, number: int) -> int:
        return _planned(number)

    async def ask(self, engine: Engine, order: Order) -> None:
        """Ask until told: a client that was not answered asks again with the same id."""
        reply = await engine.ask(order, Done, id=f"order-{order.number}", within_s=20)
        mine = [
            each.event for each in self.world.disk.ids.values() if each.event.correlation_id == f"order-{order.number}"
        ]
        done = [event for event in mine if event.type == "Done.v1"]
        self.world.expect(len(done) == 1, f"order {order.number} was answered before its answer was durable")
        before = self.world.told.setdefault(order.number, reply.total)
        self.world.expect(before == reply.total, f"order {order.number} was answered differently")


class Alone:
    """Check that one key is handled one event at a time within a process."""

    def __init__(self, life: Life, agent: str, key: str) -> None:
        self._life, self._which = life, (agent, key)

    def __enter__(self) -> None:
        self._life.active[self._which] += 1
        self._life.world.expect(self._life.active[self._which] == 1, f"{self._which} is handled twice at once")

    def __exit__(self, *_: object) -> None:
        self._life.active[self._which] -= 1


def _planned(number: int) -> int:
    return 1 + number % 3


def _no_model(name: str):
    raise AssertionError(name)


async def live(world: World, orders: list[Order], trips: list[Trip], name: str) -> None:
    """Run one process until it ends or is killed."""
    life = Life(world, name)
    try:
        async with running(life.parts, owner=name) as engine:
            life.epoch = engine.services.committer.claim.epoch

            async def client(asked: Order | Trip) -> None:
                await asyncio.sleep(world.random.random() * world.chances.life_s)
                try:
                    await (life.ask(engine, asked) if isinstance(asked, Order) else life.travel_with(engine, asked))
                except PenstockError:
                    if engine.services.committer.failure is not None:
                        raise

            async with asyncio.TaskGroup() as clients:
                for asked in [*orders, *trips]:
                    clients.create_task(client(asked))
            if world.healthy:
                for trip in trips:  # whatever became of the client's patience
                    await engine.ask(trip, Arrived, id=f"trip-{trip.number}", within_s=100_000)
                assert await engine.settled(within_s=100_000), "the healed world never came to rest"
    except* PenstockError:
        pass  # fenced by a rival, or the store stayed away: the next life goes on
