"""Agents that are no workflows ask people too: the handling waits, its key with it, and others go on."""

import asyncio

import pytest

from penstock import App, Context, Event, Retry, testing
from penstock.errors import Invalid, Refused, RunFailed
from penstock.testing import WritePoint
from penstock.testing.apps import Disk
from penstock.testing.crashing import NotReached
from penstock.testing.fixtures import anyio_backend, disk

__all__ = ["anyio_backend", "disk"]

pytestmark = pytest.mark.usefixtures("any_pace")


class Claim(Event, key="who"):
    who: str
    cents: int = 1


def asking(executed):
    app = App("desk")

    @app.agent(timeout_s=5, retry=Retry(attempts_max=2, delay_s=1))
    async def handle(claim: Claim, ctx: Context) -> str:
        if claim.cents < 100:
            return "paid"
        approval = await ctx.approval("Pay?", payload={"who": claim.who}, options=["half", "all"], timeout_s=3600)
        await ctx.step("pay", executed.append, approval.value)
        if ctx.attempt == 1 and approval.reason == "fails once":
            raise ValueError("once")
        return f"{approval.value} by {approval.by}"

    return app


async def test_a_handling_waits_for_a_person_over_a_restart_and_its_time_stands_still(disk):
    executed = []
    async with testing.app(asking(executed), disk=disk) as live:
        run = await live.start("handle", Claim(who="ada", cents=100))
        await asyncio.sleep(60)
        assert await live.call("handle", Claim(who="bob")) == "paid"
    async with testing.app(asking(executed), disk=disk) as live:
        await asyncio.sleep(1)
        (asked,) = await live.approvals()
        assert (asked.id, asked.options) == (f"{run}/approval#0", ["half", "all"])
        with pytest.raises(Invalid, match="one of"):
            await live.approve(asked.id, "none")
        await live.approve(asked.id, "half", by="cleo", reason="fails once")
        assert await live.result(run) == "half by cleo"
        with pytest.raises(Refused, match='approved with "half" by cleo'):
            await live.approve(asked.id, "all")
    assert executed == ["half"]  # the second attempt asks nobody again


async def test_nobody_in_time_is_an_error_that_another_attempt_meets_too(disk):
    async with testing.app(asking([]), disk=disk) as live:
        run = await live.start("handle", Claim(who="ada", cents=100))
        with pytest.raises(RunFailed, match=r"'Pay.' did not end within 3600 s"):
            await live.result(run, within_s=4000)
        assert await live.approvals() == []


async def test_a_batch_asks_nobody(disk):
    app = App("desk")

    @app.agent(batch=10)
    async def handle(claims: list[Claim], ctx: Context) -> None:
        await ctx.approval("Pay?")

    async with testing.app(app, disk=disk) as live:
        await live.send(Claim(who="ada"))
        await live.settled()
        assert "cannot be asked here" in (await live.dead_letters())[0].reason


async def test_a_kill_at_any_point_pays_what_was_approved():
    died = 0
    for point in (WritePoint.BEFORE_COMMIT, WritePoint.AFTER_COMMIT, WritePoint.AFTER_HANDLING):
        for nth in range(1, 20):
            disk, executed, counted = Disk(), [], []
            try:
                async with testing.app(asking(executed), disk=disk) as live, live.crash_at(point, nth):
                    run = await live.start("handle", Claim(who="ada", cents=100), id="c1")
                    asked = await live.engine.until(live.approvals)
                    await live.approve(asked[0].id, "half", by="bob")
                    counted.append("half")
                    await live.result(run)
            except NotReached:
                break
            died += 1
            async with testing.app(asking(executed), disk=disk) as live:
                run = await live.start("handle", Claim(who="ada", cents=100), id="c1")
                await asyncio.sleep(1)
                for each in await live.approvals():
                    await live.approve(each.id, "all", by="bob")
                assert await live.result(run) in (["half by bob"] if counted else ["half by bob", "all by bob"])
            assert not {key: kept for key, kept in disk.memory.values.items() if key[1] == ":steps" and kept}
    assert died >= 6
