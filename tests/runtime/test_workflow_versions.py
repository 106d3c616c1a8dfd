"""Code that changes under runs that go on: they keep their version, halt where the code does not fit, or are refused by name."""

import asyncio

import pytest

from penstock import App, Event, WorkflowContext, testing
from penstock.errors import Diverged, Invalid
from penstock.testing.fixtures import anyio_backend, disk

__all__ = ["anyio_backend", "disk"]


class Trip(Event):
    who: str


def app_of(*steps, version=1, returns=str):
    """A workflow of named steps, with a wait for `go` after the first."""
    app = App("trips")
    app.executed = []

    async def travel(trip: Trip, ctx: WorkflowContext) -> str:
        for number, step in enumerate(steps):

            def call(name=step):
                app.executed.append(name)
                return name

            call.__annotations__["return"] = returns
            await ctx.step(step, call)
            if number == 0:
                await ctx.wait_for("go")
        return f"{version}: {', '.join(steps)}"

    app.workflow(name="travel", version=version)(travel)
    return app


async def waiting(app, disk):
    async with testing.app(app, disk=disk) as live:
        run = await live.start("travel", Trip(who="ada"), id="t1")
        await live.settled()
        await asyncio.sleep(1)
    return run


async def test_a_run_whose_code_no_longer_fits_halts_and_goes_on_once_it_does(disk):
    """Bug bank: deploy with changed steps (PostHog #71077, unkey #4979)."""
    run = await waiting(app_of("pay", "ship"), disk)
    changed = app_of("check", "pay", "ship")
    async with testing.app(changed, disk=disk) as live:
        await asyncio.sleep(1)
        (found,) = await live.runs("travel")
        assert found.status == "halted"
        assert "'check#0' where the journal has 'pay#0'" in found.reason
        with pytest.raises(Diverged, match="check#0"):
            await live.result(run)
        await live.signal(run, "go")  # what comes meanwhile is kept
        await live.settled()
    assert changed.executed == []
    fitting = app_of("pay", "ship")
    async with testing.app(fitting, disk=disk) as live:
        assert await live.result(run) == "1: pay, ship"
    assert fitting.executed == ["ship"], "what was recorded is not executed again"


async def test_code_that_asks_for_less_halts_too_and_a_halted_run_can_be_cancelled(disk):
    run = await waiting(app_of("pay", "ship"), disk)
    async with testing.app(app_of(), disk=disk) as live:
        await asyncio.sleep(1)
        assert [each.status for each in await live.runs("travel")] == ["halted"]
        await live.cancel(run, "not worth it")
        await live.settled()
        assert [(each.status, each.reason) for each in await live.runs("travel")] == [("cancelled", "not worth it")]


async def test_a_record_whose_type_no_longer_fits_halts_the_run(disk):
    await waiting(app_of("pay", "ship"), disk)
    async with testing.app(app_of("pay", "ship", returns=int), disk=disk) as live:
        await asyncio.sleep(1)
        (found,) = await live.runs("travel")
        assert (found.status, "does not fit any more" in found.reason) == ("halted", True)


async def test_a_run_keeps_the_version_that_it_began_with(disk):
    run = await waiting(app_of("pay", "ship"), disk)
    both = app_of("check", "pay", version=2)
    for agent in app_of("pay", "ship").agents.values():
        both.workflow(name="travel", version=1)(agent.handler)
    async with testing.app(both, disk=disk) as live:
        await live.signal(run, "go")
        assert await live.result(run) == "1: pay, ship"
        newer = await live.start("travel", Trip(who="bob"), id="t2")
        await live.settled()
    async with testing.app(both, disk=disk) as live:
        await live.signal(newer, "go")
        assert await live.result(newer) == "2: check, pay"


async def test_an_app_without_the_version_of_a_run_is_refused_with_a_list(disk):
    await waiting(app_of("pay", version=2), disk)
    with pytest.raises(Invalid, match=r"t1:travel: is under way, and the app has its version"):
        async with testing.app(app_of("pay", version=3), disk=disk):
            pass


async def test_two_workflows_of_one_name_and_version_are_refused():
    app = app_of("pay")
    with pytest.raises(Invalid, match="is taken by another agent"):
        app.workflow(name="travel")(app.agents["travel"].handler)
