"""Orders that are split into parts and joined again: keys, steps with effects, sessions, values, batches, poison."""

import asyncio
from functools import partial

import msgspec
from flows import flow_of, within_limits
from life import RETRY, Alone, Life
from scene import Client, Scene
from world import KEYS, World

from penstock.core.agents.declaration import Agent, Options, declare
from penstock.core.events.event import Event
from penstock.runtime.context import Context
from penstock.runtime.engine import Engine

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


class Logged(Event):
    number: int


def planned(number: int) -> int:
    """How many pieces an order has."""
    return 1 + number % 3


class Orders(Scene):
    """Every order is answered once with all its pieces, or lies in the dead letters."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.told: dict[int, int] = {}  # order -> total, as clients were told
        random = world.random
        self.flow = flow_of(random.randrange(1 << 30))
        self.orders = [
            Order(
                customer=world.any_key(),
                number=number,
                text=POISON if random.random() < world.chances.poison else "please",
            )
            for number in range(random.randint(5, world.chances.orders_max))
        ]

    def agents(self, life: Life) -> list[Agent]:
        at_work = _AtWork(self, life)
        return [
            declare(at_work.split, "split", Options(retry=RETRY, flow=self.flow)),
            declare(at_work.join, "join", Options(retry=RETRY, flow=self.flow)),
            declare(at_work.audit, "audit", Options(retry=RETRY, batch=7)),
        ]

    def clients(self, life: Life, engine: Engine) -> list[Client]:
        return [partial(self._ask, engine, order) for order in self.orders]

    async def _ask(self, engine: Engine, order: Order) -> None:
        """Ask until told: a client that was not answered asks again with the same id."""
        reply = await engine.ask(order, Done, id=f"order-{order.number}", within_s=20)
        done = self.world.durable(f"order-{order.number}", "Done.v1")
        self.world.expect(len(done) == 1, f"order {order.number} was answered before its answer was durable")
        before = self.told.setdefault(order.number, reply.total)
        self.world.expect(before == reply.total, f"order {order.number} was answered differently")

    def check(self) -> None:
        disk = self.world.disk
        good = {order.number for order in self.orders if order.text != POISON}
        buried = [each for each in disk.dead.values() if each.agent in ("split", "join")]
        given_up = {each.event.event.correlation_id for each in buried}

        # C6: every order was answered, or lies in the dead letters with a reason; the poisonous ones all do.
        answered = {each.event.correlation_id for each in disk.ids.values() if each.event.type == "Done.v1"}
        assert answered | given_up == {f"order-{order.number}" for order in self.orders}
        assert {f"order-{number}" for number in good} - given_up <= answered
        assert all(letter.reason for letter in disk.dead.values())
        assert not (given_up & answered)

        # C3: what was committed is whole: one answer per order, all pieces of it, each piece once.
        for number in good:
            events = self.world.followed(f"order-{number}")
            if f"order-{number}" not in given_up:
                assert sum(event.type == "Part.v1" for event in events) == planned(number)
            assert sum(event.type == "Done.v1" for event in events) <= 1

        # C2: the values of each customer tell the pieces in the order of the log.
        lost = {letter.event.event.id for letter in buried}
        for customer in range(KEYS):
            stored = disk.values.get(("default", "join", f"c{customer}"), {})
            if "order" in stored:
                log = [
                    msgspec.json.decode(each.event.data)
                    for each in disk.log("part")
                    if each.event.key == f"c{customer}" and each.event.id not in lost
                ]
                told = msgspec.msgpack.decode(stored["order"])
                assert told == [part["number"] * 10 + part["piece"] for part in log]


class _AtWork:
    """The handlers of one process."""

    def __init__(self, scene: Orders, life: Life) -> None:
        self.world, self.life, self.flow = scene.world, life, scene.flow

    async def split(self, order: Order, ctx: Context) -> list[Part]:
        with Alone(self.life, "split", order.customer):
            self.life.world.expect(within_limits(self.life, "split", self.flow), "more go on than the flow says")
            if order.text == POISON:
                raise ValueError("poison")
            await self.life.trouble()
            count = await ctx.read("plan", planned, order.number)
            key = ctx.idempotency_key("reserve")
            await ctx.step("reserve", self.effect, ctx, key)
            await self.life.trouble()
            await ctx.session.add("user", str(order.number))
            return [Part(customer=order.customer, number=order.number, piece=piece) for piece in range(count)]

    async def join(self, part: Part, ctx: Context) -> Done | None:
        with Alone(self.life, "join", part.customer):
            self.life.world.expect(within_limits(self.life, "join", self.flow), "more go on than the flow says")
            await self.life.trouble()
            got = await ctx.values.get(str(part.number), [], to=list[int])
            # One who lost the claim may read what the next owner wrote; nothing that he does with it is ever committed.
            twice = part.piece in got and self.life.owns
            self.world.expect(not twice, f"piece {part.piece} of order {part.number} came twice")
            got.append(part.piece)
            await ctx.values.set(str(part.number), got)
            order = (await ctx.values.get("order", [], to=list[int])) + [part.number * 10 + part.piece]
            await ctx.values.set("order", order)
            if len(got) < planned(part.number):
                return None
            ctx.emit(Logged(number=part.number))
            return Done(customer=part.customer, number=part.number, total=len(got))

    async def audit(self, logged: list[Logged], ctx: Context) -> None:
        await self.life.trouble()
        assert len(logged) <= 7

    async def effect(self, ctx: Context, key: str) -> str:
        """Act upon the outside. The cause must be durable (C7), and the step not be recorded (C4)."""
        if self.life.owns:
            run_id = ctx.run_id
            self.world.expect(ctx.event.id in self.world.disk.ids, f"effect of {run_id} before its event was durable")
            recorded = self.world.recorded_steps(run_id)
            self.world.expect("reserve#0" not in recorded, f"effect of {run_id} executed after it was recorded")
            self.world.expect("plan#0" in recorded, f"effect of {run_id} before the step that led to it was durable")
        self.world.effects[key] += 1
        await asyncio.sleep(self.world.random.random() * 0.01)
        return key
