"""Signals reach a run wherever it is: not begun, parked, in a branch, in a child; and each is taken once."""

import asyncio

import pytest

from penstock import App, Event, WorkflowContext, testing
from penstock.core.agents.control import Cancel, Signal
from penstock.core.events.envelope import Envelope
from penstock.errors import TimedOut
from penstock.testing import WritePoint
from penstock.testing.apps import Disk, crash_starting
from penstock.testing.crashing import NotReached
from penstock.testing.fixtures import anyio_backend, disk

__all__ = ["anyio_backend", "disk"]

pytestmark = pytest.mark.usefixtures("any_pace")


class Trip(Event, key="who"):
    who: str
    stops: int = 3


class Leg(Event):
    number: int


def envelope(event, event_id):
    return Envelope(event_id, "/trips", event.type_, "", 0, event.encoded(), correlation_id=event_id)


def waiting():
    app = App("trips")

    @app.workflow
    async def travel(trip: Trip, ctx: WorkflowContext) -> list[int]:
        return [await ctx.wait_for("go", int), await ctx.wait_for("go", int)]

    return app


async def test_a_wait_that_was_given_up_takes_no_signal(disk):
    app = App("trips")

    @app.workflow
    async def travel(trip: Trip, ctx: WorkflowContext) -> list[str]:
        taken = []
        _, first = await ctx.first(ctx.wait_for("go", str), ctx.wait_for("instead", str))
        taken.append(first)
        try:
            async with asyncio.timeout(5):
                taken.append(await ctx.wait_for("go", str))
        except TimeoutError:
            taken.append("late")
        with pytest.raises(TimedOut):
            await ctx.wait_for("go", timeout_s=5)
        return [*taken, await ctx.wait_for("go", str)]

    async with testing.app(app, disk=disk) as live:
        run = await live.start("travel", Trip(who="ada"))
        await live.signal(run, "instead", "instead")
        await asyncio.sleep(7)
    async with testing.app(app, disk=disk) as live:
        await asyncio.sleep(20)
        await live.signal(run, "go", "at last")
        assert await live.result(run) == ["instead", "late", "at last"]


async def test_signals_of_one_name_in_branches_go_to_those_who_wait_in_their_order_and_stay_theirs(disk):
    app = App("trips")
    legs = []

    @app.workflow
    async def travel(trip: Trip, ctx: WorkflowContext) -> list[list[str]]:
        async def leg(number):
            any_of_us = await ctx.wait_for("any", str)
            mine = await ctx.wait_for(f"leg-{number}", str)
            legs.append(number)
            return [any_of_us, mine]

        return await ctx.map(leg, range(trip.stops))

    async with testing.app(app, disk=disk) as live:
        run = await live.start("travel", Trip(who="ada"))
        await live.signal(run, "leg-2", "two")
        await live.signal(run, "any", "a")
        await live.signal(run, "any", "b")
        await live.settled()
    async with testing.app(app, disk=disk) as live:
        await live.signal(run, "leg-1", "one")
        await live.signal(run, "any", "c")
        await live.signal(run, "leg-0", "zero")
        assert await live.result(run) == [["a", "zero"], ["b", "one"], ["c", "two"]]
    assert sorted(legs) == [0, 1, 2]


async def test_a_signal_that_comes_before_the_run_begins_waits_for_it_whatever_dies():
    for point in (WritePoint.AFTER_COMMIT, WritePoint.BEFORE_COMMIT, WritePoint.AFTER_HANDLING):
        nth = 1
        while True:
            disk = Disk()
            async with testing.app(App("empty"), disk=disk) as live:
                store = live.engine.parts.store
                first, second = (Signal(run_id="t1:travel", name="go", payload=number) for number in (1, 2))
                await store.append(Signal.topic_, [envelope(first, "s1"), envelope(second, "s2")])
                await store.append(Trip.topic_, [envelope(Trip(who="ada"), "t1")])
            try:
                await crash_starting(waiting(), point, nth, disk=disk)
            except NotReached:
                break
            async with testing.app(waiting(), disk=disk) as live:
                assert await live.result("t1:travel") == [1, 2]
                assert await live.dead_letters() == []
            nth += 1
        assert nth > 1


async def test_a_run_that_is_cancelled_before_it_begins_ends(disk):
    async with testing.app(App("empty"), disk=disk) as live:
        store = live.engine.parts.store
        await store.append(Cancel.topic_, [envelope(Cancel(run_id="t1:travel", reason="no"), "c1")])
        await store.append(Trip.topic_, [envelope(Trip(who="ada"), "t1")])
    async with testing.app(waiting(), disk=disk) as live:
        await live.settled()
        assert [(run.status, run.reason) for run in await live.runs("travel")] == [("cancelled", "no")]


async def test_a_parked_run_takes_signals_and_can_be_cancelled(disk):
    async with testing.app(waiting(), disk=disk) as live:
        live.engine.workflows.living_max = 1
        first = await live.start("travel", Trip(who="ada"))
        second = await live.start("travel", Trip(who="bob"))
        third = await live.start("travel", Trip(who="cyd"))
        await live.signal(third, "go", 1)
        await live.cancel(second)
        await live.settled()
        statuses = {run.run_id: run.status for run in await live.runs("travel")}
        assert statuses == {first: "running", second: "cancelled", third: "running"}
        for number in (3, 4):
            await live.signal(first, "go", number)
        await live.signal(third, "go", 2)
        assert await live.result(first) == [3, 4]
        assert await live.result(third) == [1, 2]


async def test_a_signal_of_another_tenant_does_not_reach_a_run(disk):
    async with testing.app(waiting(), disk=disk) as live:
        run = await live.start("travel", Trip(who="ada"), tenant="acme")
        await live.signal(run, "go", 1)
        await live.cancel(run)
        await live.settled()
        assert [run.status for run in await live.runs("travel")] == ["running"]
        assert len(await live.dead_letters()) == 2


async def test_a_child_is_signalled_by_its_id(disk):
    app = App("trips")

    @app.workflow
    async def leg(leg: Leg, ctx: WorkflowContext) -> str:
        return await ctx.wait_for("go", str)

    @app.workflow
    async def travel(trip: Trip, ctx: WorkflowContext) -> str:
        child = ctx.start("leg", Leg(number=1))
        ctx.signal(child.run_id, "go", "from above")
        return await child.result()

    async with testing.app(app, disk=disk) as live:
        assert await live.call("travel", Trip(who="ada")) == "from above"


async def test_a_suspended_run_with_a_step_under_way_goes_on_after_its_process_died(disk):
    """Bug bank: a suspended run with a pending step is rescheduled after worker loss, and its key is released (restate #5196)."""
    tried = []
    app = App("trips")

    @app.workflow(key="who")
    async def travel(trip: Trip, ctx: WorkflowContext) -> str:
        async def slow() -> str:
            tried.append(1)
            await asyncio.sleep(100 if len(tried) == 1 else 0)
            return trip.who

        await ctx.wait_for("go")
        return await ctx.step("slow", slow)

    async with testing.app(app, disk=disk) as live:
        run = await live.start("travel", Trip(who="ada"))
        async with live.crash_at(WritePoint.AFTER_COMMIT, 3):
            await live.signal(run, "go")
            await asyncio.sleep(1)
            await live.send(Leg(number=1))
            await live.send(Leg(number=1))
            await live.send(Leg(number=1))
    async with testing.app(app, disk=disk) as live:
        other = await live.start("travel", Trip(who="ada"))  # the same key
        await live.signal(other, "go")
        assert await live.result(run) == "ada"
        assert await live.result(other) == "ada"
    assert len(tried) == 3
