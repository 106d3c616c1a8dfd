"""A run that continues with a journal that begins anew: what it asked, exposed and heard before is not mixed with what it does now."""

import asyncio

import pytest

from penstock import App, Event, WorkflowContext, testing
from penstock.errors import Refused
from penstock.runtime.listeners import OWNER
from penstock.testing.fixtures import anyio_backend, disk

__all__ = ["anyio_backend", "disk"]


class Round(Event):
    number: int


class Paid(Event):
    cents: int


async def one(live, title):
    while not (found := [each for each in await live.approvals() if each.title == title]):  # noqa: ASYNC110 - seen from outside
        await asyncio.sleep(1)
    return found[0]


async def test_an_answer_to_an_earlier_round_is_none_to_this_one(disk):
    app = App("desk")

    @app.workflow
    async def handle(turn: Round, ctx: WorkflowContext) -> str:
        _, approval = await ctx.first(ctx.approval(f"open in {turn.number}"), ctx.approval(f"round {turn.number}"))
        if turn.number < 2:
            await ctx.continue_as(Round(number=turn.number + 1))
        return approval.by

    async with testing.app(app, disk=disk) as live:
        run = await live.start("handle", Round(number=0))
        left, first = await one(live, "open in 0"), await one(live, "round 0")
        await live.approve(first.id, by="ann")
        second = await one(live, "round 1")
        assert second.id == f"{run}/1~first#0[1]/approval#0"
        for stale in (left, first):
            with pytest.raises(Refused, match="its run has continued"):
                await live.approve(stale.id, by="too late")
    async with testing.app(app, disk=disk) as live:
        await live.approve((await one(live, "round 1")).id, by="bob")
        with pytest.raises(Refused, match="its run has continued"):
            await asyncio.gather(one(live, "round 2"), live.approve(second.id, by="too late"))
        await live.approve((await one(live, "round 2")).id, by="cleo")
        assert await live.result(run) == "cleo"
        assert await live.approvals() == []
    assert not {key: kept for key, kept in disk.memory.values.items() if key[1] == ":steps" and kept}


async def test_what_is_exposed_counts_anew_in_each_round(disk):
    app = App("desk")

    @app.workflow
    async def handle(turn: Round, ctx: WorkflowContext) -> None:
        for number in range(5 - turn.number):
            ctx.expose("seen", [turn.number, number])
        ctx.expose("round", turn.number)
        await ctx.wait_for("go")
        ctx.expose("seen", [turn.number, "gone"])
        if turn.number < 3:
            await ctx.continue_as(Round(number=turn.number + 1))

    async with testing.app(app, disk=disk) as live:
        run = await live.start("handle", Round(number=0))
    for number in range(4):
        async with testing.app(app, disk=disk) as live:
            await live.settled()
            assert await live.query(run, "round", int) == number
            assert await live.query(run, "seen") == [number, 4 - number]
        async with testing.app(app, disk=disk) as live:
            await live.settled()
            assert await live.query(run, "seen") == [number, 4 - number]
            await live.signal(run, "go")
            await live.settled()


async def test_each_round_listens_by_itself(disk):
    app = App("desk", events=[Paid])

    @app.workflow
    async def handle(turn: Round, ctx: WorkflowContext) -> int:
        payments = ctx.listen(Paid)
        paid = await payments.next()
        if turn.number < 3:
            await ctx.continue_as(Round(number=turn.number + 1))
        return paid.cents

    async with testing.app(app, disk=disk) as live:
        run = await live.start("handle", Round(number=0))
        await live.settled()
        for cents in range(2):
            await live.send(Paid(cents=cents))
            await live.settled()
    async with testing.app(app, disk=disk) as live:
        for cents in range(2, 4):
            await live.send(Paid(cents=cents))
            await live.settled()
        assert await live.result(run) == 3
    assert not [key for key, kept in disk.memory.values.items() if key[1] == OWNER and kept]
