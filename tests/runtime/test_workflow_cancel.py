"""A run that is made to end: it cleans up within a bound, and takes those with it that work for it, whatever dies meanwhile."""

import asyncio
from collections.abc import Callable

import pytest

from penstock import App, Context, Event, WorkflowContext, testing
from penstock.errors import RunFailed
from penstock.ports.chat_model import ChatEnd, TextDelta
from penstock.testing import WritePoint
from penstock.testing.apps import Disk
from penstock.testing.crashing import Crashed, NotReached
from penstock.testing.fixtures import anyio_backend, disk

__all__ = ["anyio_backend", "disk"]

pytestmark = pytest.mark.usefixtures("any_pace")


class Trip(Event):
    who: str


class Leg(Event):
    number: int


class Other(Event):
    number: int


async def died_everywhere(
    app: Callable[[], App], story, check, points=(WritePoint.AFTER_COMMIT, WritePoint.AFTER_HANDLING)
):
    """Tell the story once for each time that the process comes to one of the points; it dies there; check what follows."""
    for point in points:
        nth = 1
        while True:
            disk = Disk()
            try:
                async with testing.app(app(), disk=disk) as live, live.crash_at(point, nth):
                    await story(live)
                    await live.settled()
            except NotReached:
                break
            except Crashed:
                pass
            async with testing.app(app(), disk=disk) as live:
                await check(live)
            nth += 1
        assert nth > 1, f"the story never came to {point}"


async def statuses(live):
    return {run.agent: run.status for run in await live.runs() if run.agent != "runs"}


async def test_a_cancelled_workflow_cleans_up_with_steps_and_calls(disk):
    executed = []
    app = App("trips")

    @app.agent
    async def refund(leg: Leg, ctx: Context) -> None:
        executed.append(("refund", leg.number))

    @app.workflow
    async def travel(trip: Trip, ctx: WorkflowContext) -> None:
        try:
            await ctx.sleep(1000)
        finally:
            await ctx.step("undo", executed.append, "undo")
            await ctx.call("refund", Leg(number=1))

    async with testing.app(app, disk=disk) as live:
        run = await live.start("travel", Trip(who="ada"))
        await live.cancel(run, "ada changed her mind")
        with pytest.raises(RunFailed, match="ada changed her mind"):
            await live.result(run)
    assert executed == ["undo", ("refund", 1)]


async def test_a_clean_up_goes_on_where_it_was_after_each_death_and_the_run_stays_cancelled():
    executed = []

    def made():
        app = App("trips")

        @app.agent
        async def refund(leg: Leg, ctx: Context) -> int:
            await asyncio.sleep(5)
            return leg.number

        @app.workflow
        async def travel(trip: Trip, ctx: WorkflowContext) -> None:
            try:
                await ctx.step("pay", executed.append, "pay")
                await ctx.sleep(3600)
                executed.append("never")
            finally:
                await ctx.step("undo", executed.append, "undo")
                await ctx.call("refund", Leg(number=1))
                await ctx.step("undo", executed.append, "second")
                await ctx.sleep(1)  # the record of the last step is durable before the end: no death comes between

        return app

    async def story(live):
        executed.clear()
        run = await live.start("travel", Trip(who="ada"), id="t1")
        await asyncio.sleep(10)
        await live.cancel(run)
        with pytest.raises(RunFailed):
            await live.result(run, within_s=1000)

    async def check(live):
        await asyncio.sleep(7200)  # longer than it would have slept
        if not [run for run in await live.runs() if run.status == "cancelled"]:
            return  # it died before the cancellation was accepted
        assert (await statuses(live))["travel"] == "cancelled"
        assert "never" not in executed
        assert [executed.count(each) for each in ("pay", "undo", "second")] == [1, 1, 1]

    await died_everywhere(made, story, check)


async def test_cancelling_reaches_a_model_call_and_no_further_call_is_made(disk):
    """Bug bank: cancel a run with children mid model call (langgraph #5682)."""
    asked, aborted = [], []

    class Slow:
        name = "slow"

        async def stream(self, request):
            asked.append(request.messages[-1].content)
            try:
                await asyncio.sleep(1000)
            except asyncio.CancelledError:
                aborted.append(request.messages[-1].content)
                raise
            yield TextDelta("never")
            yield ChatEnd(model="slow")

    app = App("trips")
    app.model("default", Slow())

    @app.agent
    async def think(leg: Leg, ctx: Context) -> str:
        first = await ctx.model().ask(f"think of {leg.number}")
        second = await ctx.model().ask(f"think again of {first.text}")
        return second.text

    @app.workflow
    async def ponder(other: Other, ctx: WorkflowContext) -> str:
        return (await ctx.model().ask("ponder")).text + (await ctx.model().ask("again")).text

    @app.workflow
    async def travel(trip: Trip, ctx: WorkflowContext) -> None:
        await ctx.gather(ctx.call("think", Leg(number=1)), ctx.call("ponder", Other(number=2)))

    async with testing.app(app, disk=disk) as live:
        run = await live.start("travel", Trip(who="ada"), id="t1")
        await asyncio.sleep(10)
        before = sorted(asked)
        await live.cancel(run)
        await live.settled()
        await asyncio.sleep(5000)
        assert sorted(asked) == before, "no further call"
        assert sorted(aborted) == before, "every call under way is aborted"
        found = await live.runs()
        assert {each.status for each in found if each.agent != "runs"} == {"cancelled"}
        assert await live.dead_letters() == []


async def test_children_end_with_their_parent_whatever_dies_between_the_two_commits():
    def made():
        app = App("trips")

        @app.workflow
        async def wait(leg: Leg, ctx: WorkflowContext) -> None:
            await ctx.wait_for("never")

        @app.workflow
        async def watch(other: Other, ctx: WorkflowContext) -> None:
            await ctx.wait_for("never")

        @app.workflow
        async def travel(trip: Trip, ctx: WorkflowContext) -> None:
            ctx.start("wait", Leg(number=1))
            await ctx.first(ctx.call("watch", Other(number=2)), ctx.wait_for("go"))
            raise ValueError("enough")

        return app

    async def story(live):
        run = await live.start("travel", Trip(who="ada"), id="t1")
        await live.signal(run, "go")

    async def check(live):
        run = await live.start("travel", Trip(who="ada"), id="t1")
        await live.signal(run, "go", id="again")
        await live.settled()
        found = {each.run_id.rpartition(":")[2]: each.status for each in await live.runs() if each.agent != "runs"}
        assert found["travel"] == "failed"
        assert [each.status for each in await live.runs("wait")] == ["cancelled"]
        assert [each.status for each in await live.runs("watch")] == ["cancelled"]

    await died_everywhere(made, story, check)


async def test_a_child_may_be_left_alone_and_its_result_awaited_later(disk):
    app = App("trips")

    @app.workflow
    async def count(leg: Leg, ctx: WorkflowContext) -> int:
        await ctx.sleep(100)
        return leg.number

    @app.workflow
    async def travel(trip: Trip, ctx: WorkflowContext) -> list[int]:
        left = ctx.start("count", Leg(number=1), on_end="leave")
        mine = ctx.start("count", Leg(number=2))
        assert left.run_id != mine.run_id
        got = await mine.result()
        return [got, await mine.result()]

    @app.workflow
    async def hurry(trip: Trip, ctx: WorkflowContext) -> str:
        return ctx.start("count", Leg(number=3), on_end="leave").run_id

    async with testing.app(app, disk=disk) as live:
        assert await live.call("travel", Trip(who="ada"), within_s=1000) == [2, 2]
    async with testing.app(app, disk=disk) as live:
        child = await live.call("hurry", Trip(who="bob"))
        assert await live.result(child, within_s=1000) == 3


async def test_what_is_shielded_is_done_to_its_end_before_the_run_ends():
    executed = []

    def made():
        app = App("trips")

        @app.workflow
        async def travel(trip: Trip, ctx: WorkflowContext) -> None:
            async def both():
                await ctx.step("take", executed.append, "take")
                await ctx.sleep(20)
                await ctx.step("give", executed.append, "give")
                await ctx.sleep(1)  # the record is durable before the end: no death comes between

            await ctx.shielded(both())
            executed.append("never")
            await ctx.step("next", executed.append, "never")

        return app

    async def story(live):
        executed.clear()
        run = await live.start("travel", Trip(who="ada"), id="t1")
        await asyncio.sleep(10)
        await live.cancel(run)
        with pytest.raises(RunFailed):
            await live.result(run, within_s=1000)

    async def check(live):
        await live.start("travel", Trip(who="ada"), id="t1")
        cancelled_before = bool(await live.runs("runs"))
        await live.cancel("t1:travel")
        await asyncio.sleep(100)
        assert (await statuses(live))["travel"] == "cancelled"
        assert executed.count("take") == executed.count("give")
        if cancelled_before:
            assert [executed.count(each) for each in ("take", "give", "never")] == [1, 1, 0]

    await died_everywhere(made, story, check)


async def test_code_that_takes_no_notice_is_ended_within_a_bound(disk):
    app = App("trips")
    rounds = []

    @app.workflow
    async def stubborn(trip: Trip, ctx: WorkflowContext) -> None:
        while True:
            try:
                await ctx.sleep(1000)
            except asyncio.CancelledError:
                rounds.append(1)

    async with testing.app(app, disk=disk) as live:
        run = await live.start("stubborn", Trip(who="ada"))
        await live.cancel(run, "enough")
        with pytest.raises(RunFailed, match="enough"):
            await live.result(run, within_s=100)
    assert len(rounds) < 200


async def test_a_cancelled_handling_of_an_agent_ends_without_another_attempt(disk):
    app = App("trips")
    begun = []

    @app.agent(key="who")
    async def work(trip: Trip, ctx: Context) -> str:
        begun.append(ctx.run_id)
        await asyncio.sleep(50)
        return trip.who

    async with testing.app(app, disk=disk) as live:
        first = await live.start("work", Trip(who="ada"))
        second = await live.start("work", Trip(who="ada"))
        third = await live.start("work", Trip(who="ada"))
        await asyncio.sleep(1)
        await live.cancel(second, "not needed")  # it waits for its turn
        await live.cancel(first, "not needed")
        with pytest.raises(RunFailed, match="not needed"):
            await live.result(first)
        assert await live.result(third, within_s=200) == "ada"
        with pytest.raises(RunFailed, match="not needed"):
            await live.result(second)
        await live.cancel(third)  # it has ended: it stays as it is
        await live.settled()
        assert await live.result(third) == "ada"
        assert await live.dead_letters() == []
    assert begun == [first, third]


async def test_a_run_that_takes_too_long_fails_with_its_children_and_its_time_goes_on_over_a_restart(disk):
    app = App("trips")

    @app.workflow
    async def wait(leg: Leg, ctx: WorkflowContext) -> None:
        await ctx.wait_for("never")

    @app.workflow(timeout_s=3600)
    async def travel(trip: Trip, ctx: WorkflowContext) -> None:
        await ctx.call("wait", Leg(number=1))

    async with testing.app(app, disk=disk) as live:
        run = await live.start("travel", Trip(who="ada"))
        await asyncio.sleep(1800)
    async with testing.app(app, disk=disk) as live:
        began_s = live.clock.monotonic_s()
        with pytest.raises(RunFailed, match="timeout_s=3600"):
            await live.result(run, within_s=7200)
        assert live.clock.monotonic_s() - began_s == pytest.approx(1800, abs=2)
        await live.settled()
        assert await statuses(live) == {"travel": "failed", "wait": "cancelled"}
        assert [letter.agent for letter in await live.dead_letters()] == ["travel"]
