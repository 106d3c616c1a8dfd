"""Workflows whose name the app has no more: their runs halt, are kept with what comes for them, and go on once it is back."""

import asyncio
import logging

import pytest

from penstock import App, Context, Event, WorkflowContext, testing
from penstock.errors import Diverged, RunFailed
from penstock.testing.fixtures import anyio_backend, disk

__all__ = ["anyio_backend", "disk"]


class Trip(Event, key="who"):
    who: str


class Leg(Event):
    number: int


def travelling(executed: list[str]) -> App:
    app = App("trips")

    @app.workflow
    async def travel(trip: Trip, ctx: WorkflowContext) -> str:
        await ctx.step("pay", executed.append, "pay")
        leg = await ctx.call("drive", Leg(number=1))
        return f"{await ctx.wait_for('go')} {leg}"

    @app.agent
    async def drive(leg: Leg, ctx: Context) -> int:
        await asyncio.sleep(100)
        return leg.number

    return app


def without_travel() -> App:
    app = App("trips")

    @app.agent
    async def drive(leg: Leg, ctx: Context) -> int:
        return leg.number

    return app


async def begun(disk, executed):
    async with testing.app(travelling(executed), disk=disk) as live:
        run = await live.start("travel", Trip(who="ada"), id="t1")
        await asyncio.sleep(10)
    return run


async def test_a_run_whose_name_is_gone_halts_loudly_keeps_what_comes_and_goes_on_when_it_is_back(disk, caplog):
    executed: list[str] = []
    run = await begun(disk, executed)
    with caplog.at_level(logging.ERROR, "penstock"):
        async with testing.app(without_travel(), disk=disk) as live:
            await live.signal(run, "go", "went")
            await live.settled()  # the agent that it called has answered too
            (found,) = await live.runs("travel")
            assert (found.status, "no workflow 'travel' any more: declare it again" in found.reason) == ("halted", True)
            with pytest.raises(Diverged, match="declare it again"):
                await live.result(run)
            assert await live.dead_letters() == []
    assert "the app has no workflow 'travel' any more; 1 of its runs halt: t1:travel" in caplog.text
    async with testing.app(without_travel(), disk=disk) as live:
        assert [each.status for each in await live.runs("travel")] == ["halted"]
    async with testing.app(travelling(executed), disk=disk) as live:
        assert await live.result(run) == "went 1"
    assert executed == ["pay"]


async def test_a_run_whose_name_is_gone_can_be_cancelled(disk):
    run = await begun(disk, [])
    async with testing.app(without_travel(), disk=disk) as live:
        await live.cancel(run, "gone for good")
        with pytest.raises(RunFailed, match="gone for good"):
            await live.result(run)
    async with testing.app(travelling([]), disk=disk) as live:
        await live.settled()
        assert [each.status for each in await live.runs("travel")] == ["cancelled"]


async def test_a_workflow_that_became_an_agent_of_the_same_name_halts_too(disk):
    await begun(disk, [])
    app = without_travel()

    @app.agent(name="travel")
    async def travel(trip: Trip, ctx: Context) -> None:
        raise AssertionError("its event was dealt with")

    async with testing.app(app, disk=disk) as live:
        await live.settled()
        assert [each.status for each in await live.runs("travel")] == ["halted"]


async def test_an_agents_event_waits_in_the_log_for_its_name(disk):
    app, handled = App("trips"), []

    @app.agent(name="drive")
    async def slow(leg: Leg, ctx: Context) -> None:
        await asyncio.sleep(100)
        handled.append(leg.number)

    async with testing.app(app, disk=disk) as live:
        await live.send(Leg(number=1))
        await asyncio.sleep(1)
    async with testing.app(App("trips"), disk=disk) as live:
        await live.settled()
        assert await live.runs("drive") == []
    async with testing.app(app, disk=disk) as live:
        await live.settled()
    assert handled == [1]
