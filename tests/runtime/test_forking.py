"""A fork has what its parent recorded before a step, and executes the rest anew."""

import asyncio
from collections import Counter

import pytest

from penstock import App, Context, Event, Retry, WorkflowContext
from penstock.errors import Invalid, Missing, Refused, RunFailed
from penstock.runtime.asking_again import Signature
from penstock.testing.scripted_model import ScriptedModel


class Order(Event, key="customer"):
    customer: str
    number: int = 1


class Paid(Event, key="customer"):
    customer: str
    text: str


class Trip(Event):
    name: str


class Shop:
    def __init__(self):
        self.calls = Counter()
        self.app = app = App("shop")
        app.model("default", ScriptedModel(["plain"] * 9))
        app.model("other", ScriptedModel(["odd"] * 9))

        @app.agent(retry=Retry(attempts_max=1))
        async def pay(order: Order, ctx: Context) -> Paid:
            price = await ctx.read("price", self.price, order.number)
            charged = await ctx.step("charge", self.charge, price, ctx.idempotency_key("charge"))
            said = await ctx.model().ask("how is it?")
            await ctx.values.set("count", (await ctx.values.get("count", 0)) + 1)
            return Paid(customer=order.customer, text=f"{charged} {said.text} {await ctx.values.get('count')}")

        @app.workflow
        async def travel(trip: Trip, ctx: WorkflowContext) -> str:
            first = await ctx.call("pay", Order(customer=trip.name, number=1))
            second = await ctx.call("pay", Order(customer=trip.name, number=2))
            return f"{first.text} {second.text}"

    def price(self, number):
        self.calls[f"price {number}"] += 1
        return number * 10

    def charge(self, price, key):
        self.calls[key] += 1
        return f"charged {price}"

    def running(self):
        return self.app.running(store="memory:")


@pytest.fixture
def shop():
    return Shop()


async def forked(live, run, **how):
    """Fork a run, and return the new one once it has ended."""
    fork = await live.fork(run, **how)
    async with asyncio.timeout(10):
        under_way = ("queued", "running", "retrying")
        return await live.engine.until(
            lambda: live.engine.run(fork), lambda stored: stored.change.status not in under_way
        )


async def test_a_fork_takes_over_what_was_recorded_before_its_step(shop):
    async with shop.running() as live:
        await live.ask(Order(customer="a"), Paid, id="o1")
        fork = await forked(live, "o1:pay", at="ask:text#0", model="other", signed=Signature("ann", "try it"))
        parent = await live.engine.run("o1:pay")
        events = await live.engine.parts.store.origin(fork.change.run_id.rpartition(":")[0])
    assert (fork.change.status, fork.change.result) == ("succeeded", b'{"customer":"a","text":"charged 10 odd 2"}')
    assert [each.step for each in fork.records] == ["price#0", "charge#0", "ask:text#0"]
    assert shop.calls == {"price 1": 1, "o1:pay/charge#0": 1}
    assert parent.change.result == b'{"customer":"a","text":"charged 10 plain 1"}'
    assert [each.event.type for each in events] == ["ForkRun.v1", "Paid.v1"], "what it emits is real"


async def test_a_fork_with_another_event_begins_anew_under_its_own_id(shop):
    async with shop.running() as live:
        await live.ask(Order(customer="a"), Paid, id="o1")
        fork = await forked(live, "o1:pay", event=Order(customer="a", number=7))
        run = fork.change.run_id
        again = await forked(live, run, at="charge#0")
    assert shop.calls == {
        "price 1": 1,
        "o1:pay/charge#0": 1,
        "price 7": 1,
        f"{run}/charge#0": 1,
        f"{again.change.run_id}/charge#0": 1,
    }
    assert b"charged 70" in again.change.result, "a fork of a fork has its event"


async def test_a_dry_fork_changes_nothing_outside(shop):
    async with shop.running() as live:
        await live.ask(Order(customer="a"), Paid, id="o1")
        fork = await forked(live, "o1:pay", dry=True)
        events = await live.engine.parts.store.origin(fork.change.run_id.rpartition(":")[0])
        after = await live.ask(Order(customer="a"), Paid, id="o2")
    assert fork.change.result == b'{"customer":"a","text":"charged 10 plain 2"}'
    assert [each.event.type for each in events] == ["ForkRun.v1"]
    assert after.text == "charged 10 plain 2", "the dry one has set nothing"
    assert (shop.calls["price 1"], shop.calls["o1:pay/charge#0"]) == (3, 1)


async def test_a_dry_fork_refuses_an_effect_that_nobody_recorded(shop):
    async with shop.running() as live:
        shop.price = lambda number: {}[number]
        with pytest.raises(RunFailed):
            await live.ask(Order(customer="a"), Paid, id="o1")
        shop.price = lambda number: number
        fork = await forked(live, "o1:pay", dry=True)
        letter = next(each for each in await live.dead_letters() if each.run_id == fork.change.run_id)
        await live.redrive(letter.run_id)
        assert await live.engine.settled(10)
        again = await live.engine.run(letter.run_id)
    assert "nothing recorded what it comes to" in fork.change.reason
    assert "nothing recorded what it comes to" in again.change.reason, "redriven, it is as dry as before"
    assert not shop.calls


async def test_a_workflow_is_forked_before_a_call(shop):
    async with shop.running() as live:
        await live.call("travel", Trip(name="t"), id="t1")
        fork = await forked(live, "t1:travel", at="call:pay#1")
    assert fork.change.result == b'"charged 10 plain 1 charged 20 plain 3"'
    assert (shop.calls["price 1"], shop.calls["price 2"]) == (1, 2)


async def test_what_cannot_be_forked_is_refused(shop):
    async with shop.running() as live:
        await live.ask(Order(customer="a"), Paid, id="o1")
        await live.call("travel", Trip(name="t"), id="t1")
        with pytest.raises(Invalid, match="its steps are price#0, charge#0, ask:text#0"):
            await live.fork("o1:pay", at="charge#1")
        with pytest.raises(Missing):
            await live.fork("o1:pay", tenant="other")
        with pytest.raises(Missing):
            await live.fork("o9:pay")
        with pytest.raises(Refused):
            await live.fork("o1:pay", event=Trip(name="t"))
        with pytest.raises(Refused, match="penstock replay"):
            await live.fork("t1:travel", dry=True)
