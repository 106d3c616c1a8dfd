"""What a run waits for, and since when, is seen in its store."""

import asyncio

from penstock import App, Context, Event, WorkflowContext, testing, tool
from penstock.core.agents.pending import pending
from penstock.testing.fixtures import anyio_backend, disk

__all__ = ["anyio_backend", "disk"]


class Trip(Event, key="who"):
    who: str


class Leg(Event):
    number: int


class Paid(Event, key="order"):
    order: int


async def waits(live, run):
    stored = await live.engine.parts.store.run(run)
    return [
        (each.step, each.what, each.since_ms, each.due_ms and each.due_ms - each.since_ms)
        for each in pending(stored.records, live.clock.now_ms())
    ]


async def test_all_that_is_pending_is_named_with_its_beginning_and_its_end(disk):
    app = App("trips", events=[Paid])

    @app.agent
    async def drive(leg: Leg, ctx: Context) -> int:
        await asyncio.sleep(100)
        return leg.number

    @tool(unknown="ask")
    async def charge() -> None:
        raise TimeoutError

    @app.workflow
    async def travel(trip: Trip, ctx: WorkflowContext) -> None:
        await ctx.sleep(10)
        await ctx.gather(
            ctx.sleep(500),
            ctx.call("drive", Leg(number=1)),
            ctx.wait_for("go"),
            ctx.wait_for("in time", timeout_s=50),
            ctx.wait_for(Paid, match={"order": 7}, timeout_s=60),
            ctx.approval("Really?", timeout_s=70),
            ctx.step("charge", charge),
        )

    async with testing.app(app, disk=disk) as live:
        run = await live.start("travel", Trip(who="ada"))
        await asyncio.sleep(5)
        began_ms = live.clock.now_ms() - 5_000
        assert await waits(live, run) == [("sleep#0", "time", began_ms, 10_000)]
        await asyncio.sleep(10)
    async with testing.app(app, disk=disk) as live:
        await asyncio.sleep(2)
        since_ms = began_ms + 10_000
        assert sorted(await waits(live, run)) == [
            ("gather#0[0]/sleep#0", "time", since_ms, 500_000),
            ("gather#0[1]/call:drive#0", "the agent 'drive'", since_ms, None),
            ("gather#0[2]/wait:go#0", "the signal 'go'", since_ms, None),
            ("gather#0[3]/wait:in time#0", "the signal 'in time'", since_ms, 50_000),
            next(
                each
                for each in await waits(live, run)
                if each[1:] == ("the event Paid(key='7', order=7)", since_ms, 60_000)
            ),
            ("gather#0[5]/approval#0", "the approval 'Really?'", since_ms, 70_000),
            ("gather#0[6]/charge#0", "a person who knows what became of charge()", since_ms, None),
        ]
        await live.signal(run, "go")
        await asyncio.sleep(1)
        assert "the signal 'go'" not in [each[1] for each in await waits(live, run)]


async def test_what_lost_or_was_cut_off_is_not_waited_for(disk):
    app = App("trips", events=[Paid])

    @app.workflow
    async def travel(trip: Trip, ctx: WorkflowContext) -> None:
        await ctx.first(ctx.sleep(1000), ctx.wait_for("go"), ctx.approval("Really?"), ctx.wait_for(Paid))
        await ctx.wait_for("end")

    async with testing.app(app, disk=disk) as live:
        run = await live.start("travel", Trip(who="ada"))
        await asyncio.sleep(1)
        assert len(await waits(live, run)) == 4
        await live.signal(run, "go")
        await asyncio.sleep(1)
        assert [each[:2] for each in await waits(live, run)] == [("wait:end#0", "the signal 'end'")]
