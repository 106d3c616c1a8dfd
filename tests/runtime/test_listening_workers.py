"""Runs that listen to events of other partitions: their workers come and go, and every event is heard, once."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from house_of_workers import PARTITIONS, House

from penstock.app import Running
from penstock.core.agents.declaration import Options, declare
from penstock.core.agents.policy import NO_RETRY
from penstock.core.events.event import Event
from penstock.errors import Invalid, Refused
from penstock.runtime.control import NAME as CONTROL
from penstock.runtime.control import control
from penstock.runtime.listeners import OWNER
from penstock.runtime.ownership import TTL_MS
from penstock.runtime.workflow_context import WorkflowContext
from penstock.testing.virtual_time import run_virtually

pytestmark = pytest.mark.usefixtures("any_pace")

RUNS = 24


class Order(Event, key="who"):
    who: str
    number: int


class Paid(Event, key="order"):
    order: int
    cents: int


class Moved(Event):
    order: int
    to: str


async def sell(order: Order, ctx: WorkflowContext) -> list[str]:
    moves = ctx.listen(Moved, match={"order": order.number})
    paid = await ctx.wait_for(Paid, key=str(order.number))
    first = await moves.next()
    return [str(paid.cents), first.to, (await moves.next()).to]


async def ask(order: Order, ctx: WorkflowContext) -> list[int]:
    ctx.expose("asks", order.number)
    approvals = await ctx.gather(ctx.approval("one", to=int), ctx.approval("two", to=int))
    return [each.value for each in approvals]


class ListeningHouse(House):
    """One whose runs listen to events."""

    events = (Paid, Moved)

    def agents(self, name):
        options = Options(retry=NO_RETRY, workflow=True)
        return {each.__name__: declare(each, each.__name__, options) for each in (sell, ask)} | {CONTROL: control()}

    @asynccontextmanager
    async def worker(self, name):
        async with super().worker(name) as engine:
            yield Running(None, engine)

    def rows(self):
        """Who listens where: for a key in its partition, else in all of them."""
        return [(key[2], name) for key, kept in self.disk.values.items() if key[1] == OWNER for name in kept]


async def started(live, agent="sell"):
    orders = [Order(who=f"customer-{number}", number=number) for number in range(RUNS)]
    return [await live.start(agent, each) for each in orders]


async def until_listening(house):
    while len(house.rows()) < RUNS * (1 + PARTITIONS):  # noqa: ASYNC110 - seen from outside
        await asyncio.sleep(0.1)


def test_events_of_any_worker_reach_runs_of_any_other():
    async def scenario():
        house = ListeningHouse()
        await house.divide()
        async with house.worker("a") as a, house.worker("b") as b:
            await asyncio.sleep(5)
            runs = await started(a)
            await until_listening(house)
            for number in range(RUNS):
                sender = (a, b)[number % 2]
                await sender.send(Moved(order=number, to="Rome"))
                await sender.send(Paid(order=number, cents=number))
                await sender.send(Moved(order=number, to="Oslo"))
            for number, run in enumerate(runs):
                paid, *places = await b.result(run)
                assert (paid, sorted(places)) == (str(number), ["Oslo", "Rome"])
            await asyncio.sleep(5)
            assert house.rows() == []
            assert await a.dead_letters() == []

    run_virtually(scenario())


def test_a_worker_that_dies_leaves_who_listens_to_the_others():
    async def scenario():
        house = ListeningHouse()
        await house.divide()
        async with house.worker("a") as a:
            dying = asyncio.ensure_future(house.killed_worker("b", 8))
            await asyncio.sleep(5)
            runs = await started(a)
            await until_listening(house)
            await dying
            sending = [
                asyncio.ensure_future(a.send(event))
                for number in range(RUNS)
                for event in (Paid(order=number, cents=1), Moved(order=number, to="Rome"))
            ]
            await asyncio.sleep(TTL_MS / 1000 + 5)
            await asyncio.gather(*sending)
            async with house.worker("c") as c:
                await asyncio.sleep(5)
                for number, run in enumerate(runs):
                    await c.send(Moved(order=number, to="Oslo"))
                    assert await c.result(run) == ["1", "Rome", "Oslo"]
                await asyncio.sleep(5)
                assert house.rows() == []
                assert await c.dead_letters() == []

    run_virtually(scenario())


def test_a_lone_worker_on_a_divided_store_hears_too():
    async def scenario():
        house = ListeningHouse()
        await house.divide()
        async with house.worker("a") as a:
            runs = await started(a)
            await until_listening(house)
        async with house.worker("b") as b:
            for number, run in enumerate(runs):
                for event in (Paid(order=number, cents=1), Moved(order=number, to="A"), Moved(order=number, to="B")):
                    await b.send(event)
                assert await b.result(run) == ["1", "A", "B"]
            await asyncio.sleep(5)
            assert house.rows() == []

    run_virtually(scenario())


def test_approvals_are_listed_and_answered_at_any_worker_and_what_runs_expose_is_read_there():
    async def scenario():
        house = ListeningHouse()
        await house.divide()
        async with house.worker("a") as a, house.worker("b") as b:
            await asyncio.sleep(5)
            runs = await started(a, "ask")
            while len(await b.approvals(limit=1000)) < 2 * RUNS:  # noqa: ASYNC110 - seen from outside
                await asyncio.sleep(0.1)
            for number, run in enumerate(runs):
                assert await b.query(run, "asks", int) == number
            for each in await b.approvals(limit=1000):
                with pytest.raises(Invalid, match=r"value: "):
                    await b.approve(each.id, "many")
                await b.approve(each.id, 1 if each.title == "one" else 2, by="bob")
                with pytest.raises(Refused, match="by bob"):
                    await a.reject(each.id)
            for run in runs:
                assert await a.result(run) == [1, 2]
            assert await a.dead_letters() == []

    run_virtually(scenario())
