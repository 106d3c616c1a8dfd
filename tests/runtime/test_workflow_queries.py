"""Queries: what a workflow exposes is seen by anybody, from the store, and never goes back."""

import asyncio

import pytest
from msgspec import Struct

from penstock import App, Event, Keep, Retention, WorkflowContext, testing
from penstock.core.agents.exposing import OWNER
from penstock.errors import Invalid, LimitReached, Missing, RunFailed
from penstock.testing.fixtures import anyio_backend, disk

__all__ = ["anyio_backend", "disk"]


class Trip(Event, key="who"):
    who: str
    stops: int = 3


class Progress(Struct):
    done: int
    of: int


def travelling():
    app = App("trips")

    @app.workflow
    async def travel(trip: Trip, ctx: WorkflowContext) -> int:
        ctx.expose("progress", Progress(0, trip.stops))
        for number in range(trip.stops):
            await ctx.wait_for("go")
            ctx.expose("progress", Progress(number + 1, trip.stops))
        ctx.expose("note", "home")
        return trip.stops

    return app


async def test_what_a_run_exposes_is_seen_while_it_works_and_when_it_has_ended(disk):
    async with testing.app(travelling(), disk=disk) as live:
        run = await live.start("travel", Trip(who="ada"))
        await live.settled()
        assert await live.query(run, "progress", Progress) == Progress(0, 3)
        await live.signal(run, "go")
        await live.settled()
        assert await live.query(run, "progress") == {"done": 1, "of": 3}
        with pytest.raises(Missing, match="it exposes progress"):
            await live.query(run, "note")
    async with testing.app(App("another"), disk=disk) as live:  # without the code, too
        assert await live.query(run, "progress", Progress) == Progress(1, 3)
    async with testing.app(travelling(), disk=disk) as live:
        await live.signal(run, "go")
        await live.signal(run, "go")
        assert await live.result(run) == 3
        assert await live.query(run, "note", str) == "home"
        known = await live.queries(run)
        assert {name: each.number for name, each in known.items()} == {"note": 1, "progress": 4}
        with pytest.raises(Invalid):
            await live.query(run, "note", int)
        with pytest.raises(Missing, match="the run"):
            await live.query(run, "note", tenant="other")
        with pytest.raises(Missing, match="the run"):
            await live.queries("none:travel")


async def test_a_run_that_goes_through_it_all_again_exposes_nothing_that_is_older(disk):
    app = App("trips")

    @app.workflow
    async def travel(trip: Trip, ctx: WorkflowContext) -> None:
        for number in range(trip.stops):
            await asyncio.sleep(1)  # what a workflow does by itself takes its time each time that it is resumed
            ctx.expose("stop", number)
            await ctx.wait_for("go")

    seen = []

    async def look(live, run, for_s):
        for _ in range(int(for_s * 4)):
            seen.append(await live.query(run, "stop", int))
            await asyncio.sleep(0.25)

    async with testing.app(app, disk=disk) as live:
        run = await live.start("travel", Trip(who="ada", stops=6))
        await asyncio.sleep(1.1)
        for _ in range(3):
            await live.signal(run, "go")
        await look(live, run, 3.5)
    for _ in range(2):
        async with testing.app(app, disk=disk) as live:
            await look(live, run, 5)
            await live.signal(run, "go")
            await look(live, run, 2)
    assert seen == sorted(seen)
    assert seen[-1] == 5


async def test_exposing_again_and_again_keeps_one_row_and_no_record(disk):
    app = App("trips")

    @app.workflow
    async def travel(trip: Trip, ctx: WorkflowContext) -> None:
        for number in range(10_000):
            ctx.expose("number", number)

    async with testing.app(app, disk=disk) as live:
        run = await live.start("travel", Trip(who="ada"))
        await live.result(run)
        stored = await live.engine.parts.store.run(run)
        assert [each.step for each in stored.records] == ["exposed"]
        assert await live.query(run, "number") == 9_999
    assert [len(kept) for key, kept in disk.memory.values.items() if key[1] == OWNER] == [1]


async def test_bounds_are_kept(disk):
    app = App("trips")

    @app.workflow
    async def travel(trip: Trip, ctx: WorkflowContext) -> None:
        with pytest.raises(LimitReached):
            ctx.expose("large", "x" * 300_000)
        for number in range(trip.stops):
            ctx.expose(f"name-{number}", number)

    async with testing.app(app, disk=disk) as live:
        await live.result(await live.start("travel", Trip(who="ada", stops=63)))
        with pytest.raises(RunFailed, match="the number of names"):
            await live.result(await live.start("travel", Trip(who="bob", stops=64)))


async def test_what_a_run_exposed_goes_with_the_run(disk):
    app = App("trips", retention=Retention(events=Keep(days=1), runs_days=1, journals_days=1))

    @app.workflow
    async def travel(trip: Trip, ctx: WorkflowContext) -> int:
        ctx.expose("stops", trip.stops)
        return trip.stops

    async with testing.app(app, disk=disk) as live:
        run = await live.start("travel", Trip(who="ada"))
        assert await live.result(run) == 3
        await asyncio.sleep(3 * 86_400)
        await live.result(await live.start("travel", Trip(who="bob")))
        await asyncio.sleep(86_400 / 2)
        with pytest.raises(Missing):
            await live.queries(run)
    assert len([key for key, kept in disk.memory.values.items() if key[1] == OWNER and kept]) == 1
