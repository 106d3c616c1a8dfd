"""What a person asked for is done, or it is said why not: nothing is left in silence (C6)."""

import asyncio
import logging

import pytest

from penstock import App, Context, Event, Retry, WorkflowContext
from penstock.adapters.clock.system import SystemClock
from penstock.core.agents.again import DropLetter, ForkRun, RedriveRun
from penstock.errors import RunCancelled
from penstock.runtime.asking_again import Asked
from penstock.testing import PACES, PacedClock


class Order(Event, key="customer"):
    customer: str
    number: int = 0


class Trip(Event):
    name: str


class Ahead(SystemClock):
    """A clock that was set."""

    ahead_ms = 0

    def now_ms(self):
        return super().now_ms() + self.ahead_ms


class Shop:
    """Its agent fails until it is open, and then takes as long as it is told to."""

    def __init__(self, pace):
        self.clock = PacedClock(pace)
        self.is_open = False
        self.handling = asyncio.Event()
        self.goes_on = asyncio.Event()
        self.app = app = App("shop")

        @app.agent(retry=Retry(attempts_max=1))
        async def pay(order: Order, ctx: Context) -> str:
            if not self.is_open:
                raise ValueError("the bank is closed")
            self.handling.set()
            await self.goes_on.wait()
            return f"{order.customer} paid"

        @app.workflow
        async def travel(trip: Trip, ctx: WorkflowContext) -> str:
            first = await ctx.step("book", lambda: "booked")
            self.handling.set()
            return f"{first}, {await ctx.wait_for('go')}"

    def running(self):
        return self.app.running(store="memory:", clock=self.clock)


@pytest.fixture(params=PACES)
def shop(request):
    return Shop(request.param)


async def died(live):
    """Have an order end among the dead letters, and return the letter."""
    await live.send(Order(customer="a"), id="o1")
    assert await live.engine.settled(10)
    (letter,) = await live.dead_letters()
    return letter


async def status_of(live, run, *wanted):
    async with asyncio.timeout(10):
        found = await live.engine.until(lambda: live.engine.run(run), lambda stored: stored.change.status in wanted)
    return found.change


async def test_a_run_that_is_redriven_can_be_cancelled(shop):
    async with shop.running() as live:
        await died(live)
        shop.is_open = True
        await live.redrive("o1:pay")
        async with asyncio.timeout(10):
            await shop.handling.wait()
        await live.cancel("o1:pay", "not wanted")
        change = await status_of(live, "o1:pay", "cancelled")
        assert await live.engine.settled(10)
    assert change.reason == "not wanted"


async def test_a_redriven_run_is_cancelled_before_its_turn_comes(shop):
    async with shop.running() as live:
        await died(live)
        shop.is_open = True
        await live.send(Order(customer="a"), id="o2")  # its key is busy
        async with asyncio.timeout(10):
            await shop.handling.wait()
        await live.redrive("o1:pay")
        await status_of(live, "o1:pay", "retrying")
        await live.cancel("o1:pay", "not wanted")
        await live.engine.caught_up("runs")
        shop.goes_on.set()
        change = await status_of(live, "o1:pay", "cancelled", "succeeded")
        assert await live.engine.settled(10)
    assert (change.status, change.reason) == ("cancelled", "not wanted")


async def test_a_workflow_that_is_under_way_can_be_forked(shop):
    async with shop.running() as live:
        await live.send(Trip(name="t"), id="t1")
        async with asyncio.timeout(10):
            await shop.handling.wait()
        fork = await live.fork("t1:travel")
        await status_of(live, fork, "running")
        await live.signal(fork, "go", "by train")
        assert (await status_of(live, fork, "succeeded")).result == b'"booked, by train"'
        assert (await live.engine.run("t1:travel")).change.status == "running"


async def test_a_fork_of_a_run_that_is_redriven_at_the_same_time_begins_too(shop):
    async with shop.running() as live:
        letter = await died(live)
        shop.is_open = True
        shop.goes_on.set()
        order = letter.event.event
        redrive = RedriveRun(run_id="o1:pay", agent="pay", died_ms=letter.at_ms)
        fork = ForkRun(run_id="o1:pay", agent="pay", at="", type=order.type, data=order.data.decode())
        _, event_id = await live.engine.send_again([Asked(redrive, letter.event), Asked(fork, letter.event)])
        assert await live.engine.settled(10)
        assert (await live.engine.run("o1:pay")).change.status == "succeeded"
        assert (await live.engine.run(f"{event_id}:pay")).change.status == "succeeded"


async def test_who_waits_for_a_fork_that_comes_too_late_is_told(shop, caplog):
    async with shop.running() as live:
        letter = await died(live)
        shop.is_open = True
        shop.goes_on.set()
        order = letter.event.event
        redrive = RedriveRun(run_id="o1:pay", agent="pay", died_ms=letter.at_ms)
        edited = ForkRun(
            run_id="o1:pay", agent="pay", at="", type=order.type, data=order.data.decode(), died_ms=letter.at_ms
        )
        _, event_id = await live.engine.send_again([Asked(redrive, letter.event), Asked(edited, letter.event)])
        with pytest.raises(RunCancelled, match="was dealt with before"):
            await live.engine.result(f"{event_id}:pay", within_s=5)
        assert await live.engine.settled(10)
    assert f"run {event_id}:pay, a fork, does not begin" in caplog.text


@pytest.mark.parametrize("second", [RedriveRun, DropLetter])
async def test_what_is_asked_for_a_letter_that_was_dropped_is_left_and_the_log_says_so(shop, caplog, second):
    caplog.set_level(logging.WARNING, "penstock")
    async with shop.running() as live:
        letter = await died(live)
        shop.is_open = True
        shop.goes_on.set()
        await live.drop("o1:pay")
        assert await live.engine.settled(10)
        before = (await live.engine.run("o1:pay")).change
        again = second(run_id="o1:pay", agent="pay", died_ms=letter.at_ms, by="bob")
        await live.engine.send_again([Asked(again, letter.event)])
        assert await live.engine.settled(10)
        assert (await live.engine.run("o1:pay")).change == before, "whoever dropped it was first"
    assert f"{second.__name__}.v1 of run o1:pay by bob is left: it has gone on since, and is failed" in caplog.text


async def test_a_second_redrive_while_the_first_goes_on_is_left_and_the_log_says_so(shop, caplog):
    async with shop.running() as live:
        letter = await died(live)
        shop.is_open = True
        await live.redrive("o1:pay")
        async with asyncio.timeout(10):
            await shop.handling.wait()
        again = RedriveRun(run_id="o1:pay", agent="pay", died_ms=letter.at_ms, by="bob", why="me too")
        await live.engine.send_again([Asked(again, letter.event)])
        await live.engine.until(lambda: "is left" in caplog.text)
        shop.goes_on.set()
        assert await live.engine.settled(10)
        assert (await live.engine.run("o1:pay")).change.status == "succeeded"
    assert "RedriveRun.v1 of run o1:pay by bob: me too is left: it is under way" in caplog.text


async def test_what_is_said_to_a_fork_before_it_begins_reaches_it(shop):
    async with shop.running() as live:
        await live.send(Trip(name="t"), id="t1")
        async with asyncio.timeout(10):
            await shop.handling.wait()
        fork, other = await live.fork("t1:travel"), await live.fork("t1:travel")
        await asyncio.gather(live.signal(fork, "go", "by train"), live.cancel(other, "not wanted"))
        assert (await status_of(live, fork, "succeeded")).result == b'"booked, by train"'
        assert (await status_of(live, other, "cancelled")).reason == "not wanted"
        assert await live.dead_letters() == []


async def test_a_workflow_that_is_redriven_after_its_time_has_that_time_anew(tmp_path):
    app, is_open = App("slow"), []

    @app.workflow(timeout_s=60)
    async def travel(trip: Trip, ctx: WorkflowContext) -> str:
        if not is_open:
            raise ValueError("the bank is closed")
        return await ctx.wait_for("go")

    def process(ahead_s):
        clock = Ahead()
        clock.ahead_ms = int(ahead_s * 1000)
        return app.running(store=f"sqlite:{tmp_path}/s.db", clock=clock)

    async with process(0) as live:
        await live.send(Trip(name="t"), id="t1")
        assert await live.engine.settled(10)
    is_open.append(True)
    async with process(3600) as live:
        await live.redrive("t1:travel")
        await status_of(live, "t1:travel", "running")
    async with process(3630) as live:  # it goes on in another process, within that time
        await live.signal("t1:travel", "go", "by train")
        assert (await status_of(live, "t1:travel", "succeeded", "failed")).result == b'"by train"'
