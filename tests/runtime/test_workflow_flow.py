"""How many runs of a workflow go on at once, how fast they begin, who is first, and how long they are kept."""

import asyncio

import pytest

from penstock import App, Concurrency, Event, Flow, Rate, Retention, WorkflowContext, testing
from penstock.errors import Invalid
from penstock.testing import WritePoint
from penstock.testing.fixtures import anyio_backend, disk

__all__ = ["anyio_backend", "disk"]


class Trip(Event, key="who"):
    who: str
    number: int = 0
    urgency: int = 0


def app_of(flow: Flow | None, begun: list[int] | None = None, **options: object) -> App:
    app = App("trips")

    @app.workflow(flow=flow, **options)
    async def travel(trip: Trip, ctx: WorkflowContext) -> int:
        if begun is not None:
            begun.append(trip.number)
        await ctx.wait_for("go")
        if trip.urgency == 9:
            await ctx.continue_as(Trip(who=trip.who, number=trip.number))
        return trip.number

    return app


async def running(live):
    return sorted(run.run_id for run in await live.runs("travel") if run.status == "running")


async def begin(live, count, **fields):
    for number in range(count):
        trip = Trip(who=fields.get("who", f"w{number}"), number=number, urgency=fields.get("urgency", 0))
        await live.send(trip, id=f"t{number}")
    await live.engine.services.committer.durable()


async def test_runs_hold_their_places_over_restarts_and_rounds_until_they_end(disk):
    app = app_of(Flow(concurrency=2))
    async with testing.app(app, disk=disk) as live:
        await begin(live, 5, urgency=9)
        assert await running(live) == ["t0:travel", "t1:travel"]
        (queue,) = [each for each in await live.engine.queues() if each.agent == "travel"]
        assert (queue.running, queue.waiting) == (2, 3)
    async with testing.app(app, disk=disk) as live:
        await asyncio.sleep(1)
        assert await running(live) == ["t0:travel", "t1:travel"]
        await live.signal("t0:travel", "go")  # it goes on with another round, and keeps its place
        await asyncio.sleep(1)
        assert await running(live) == ["t0:travel", "t1:travel"]
        await live.cancel("t1:travel")
        await asyncio.sleep(1)
        assert await running(live) == ["t0:travel", "t2:travel"]
        await live.signal("t0:travel", "go")
        assert await live.result("t0:travel") == 0
        await asyncio.sleep(1)
        assert await running(live) == ["t2:travel", "t3:travel"]
    async with testing.app(App("trips"), disk=disk) as live:
        await asyncio.sleep(1)
    async with testing.app(app, disk=disk) as live:  # they had halted, and go on
        await asyncio.sleep(1)
        assert await running(live) == ["t2:travel", "t3:travel"]


async def test_a_run_that_halts_leaves_its_place_to_others(disk):
    def made(step: str) -> App:
        app = App("trips")

        @app.workflow(flow=Flow(concurrency=1))
        async def travel(trip: Trip, ctx: WorkflowContext) -> None:
            await ctx.read(step, str)
            await ctx.wait_for("go")

        return app

    async with testing.app(made("look"), disk=disk) as live:
        await begin(live, 2)
        await asyncio.sleep(1)
        assert await running(live) == ["t0:travel"]
    async with testing.app(made("other"), disk=disk) as live:
        await asyncio.sleep(1)
        assert {run.run_id: run.status for run in await live.runs("travel")} == {
            "t0:travel": "halted",
            "t1:travel": "running",
        }


async def test_one_of_a_field_at_once_and_the_urgent_ones_first(disk):
    begun: list[int] = []
    async with testing.app(app_of(Flow(concurrency=1, priority="urgency"), begun), disk=disk) as live:
        for number, urgency in enumerate((0, 0, 5, 8)):
            await live.send(Trip(who=f"w{number}", number=number, urgency=urgency), id=f"t{number}")
        for number in (0, 3, 2, 1):
            await live.signal(f"t{number}:travel", "go")
            assert await live.result(f"t{number}:travel") == number
    assert begun == [0, 3, 2, 1]
    flow = Flow(concurrency=Concurrency(1, by="who"))
    async with testing.app(app_of(flow), disk=testing.Disk()) as live:
        await live.send(Trip(who="ada", number=1), id="a1")
        await live.send(Trip(who="ada", number=2), id="a2")
        await live.send(Trip(who="bob", number=3), id="b1")
        await asyncio.sleep(1)
        assert await running(live) == ["a1:travel", "b1:travel"]


async def test_a_rate_holds_over_kills_and_no_event_is_lost(disk):
    begun: list[int] = []
    app = app_of(Flow(rate=Rate(1, per_s=10)), begun)
    async with testing.app(app, disk=disk) as live:
        began_s = asyncio.get_running_loop().time()
        await begin(live, 4)
        await asyncio.sleep(15)
        assert len(await running(live)) == 2
        async with live.crash_at(WritePoint.AFTER_APPEND):
            await live.send(Trip(who="w9"))
    async with testing.app(app, disk=disk) as live:
        await begin(live, 4)
        await asyncio.sleep(28 - asyncio.get_running_loop().time() + began_s)
        assert len(await running(live)) == 3
        await asyncio.sleep(5)
        assert len(await running(live)) == 4
    assert set(begun) == {0, 1, 2, 3}


async def test_what_is_superseded_is_a_cancelled_run_that_never_began(disk):
    begun: list[int] = []
    async with testing.app(app_of(Flow(debounce_s=5), begun), disk=disk) as live:
        await begin(live, 3, who="ada")
        await asyncio.sleep(10)
        assert await running(live) == ["t2:travel"]
        assert sorted(run.run_id for run in await live.runs("travel") if run.status == "cancelled") == [
            "t0:travel",
            "t1:travel",
        ]
    assert begun == [2]


async def test_what_a_workflow_cannot_have_is_said_at_once(disk):
    with pytest.raises(Invalid) as raised:
        app_of(Flow(when_busy="reject"), retry=3, batch=5)
    said = str(raised.value)
    assert "flow.when_busy: is 'reject'" in said
    assert "Concurrency(1, by=FIELD)" in said
    assert "retry: is not an option of a workflow" in said
    assert "batch: is not an option of a workflow" in said


async def test_ended_runs_are_kept_as_long_as_their_workflow_says(disk):
    app = app_of(None, retention=Retention(journals_days=1.0))
    async with testing.app(app, disk=disk) as live:
        run = await live.start("travel", Trip(who="ada"), id="t1")
        waits = await live.start("travel", Trip(who="bob"), id="t2")
        await live.signal(run, "go")
        await live.result(run)
        assert (await live.engine.run(run)).records
        await asyncio.sleep(2 * 86_400)
        assert not (await live.engine.run(run)).records
        assert await live.result(run) == 0
        await live.signal(waits, "go")
        assert await live.result(waits) == 0
