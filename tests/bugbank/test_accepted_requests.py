"""What was accepted is a run, whatever becomes of the process and of the caller."""

import asyncio

import pytest

from penstock import App, Context, Event, testing
from penstock.testing import WritePoint


class Order(Event, key="customer"):
    customer: str
    number: int


class Receipt(Event, key="customer"):
    customer: str
    number: int


def shop(pause_s: float = 0.0) -> App:
    app = App("shop")

    @app.agent
    async def serve(order: Order, ctx: Context) -> Receipt:
        await asyncio.sleep(pause_s)
        await ctx.step("charge", int, order.number)
        return Receipt(customer=order.customer, number=order.number)

    return app


@pytest.mark.parametrize("point", [WritePoint.AFTER_COMMIT, WritePoint.AFTER_RELEASE, WritePoint.BEFORE_EFFECT])
async def test_an_accepted_request_whose_process_dies_before_the_first_step_is_a_run_and_is_resumed(disk, point):
    """langgraph #8764: a run that was accepted, and whose worker died before its first step, was lost."""
    app = shop()
    async with testing.app(app, disk=disk) as live, live.crash_at(point):
        await live.send(Order(customer="a", number=1), id="order-1")
    assert "order-1" in disk.memory.ids
    assert not disk.memory.chunks, "a step was made: that is later than what is tried here"
    held_up = shop(pause_s=60)
    async with testing.app(held_up, disk=disk) as live, live.crash_at("after handling"):
        known = await live.engine.run("order-1:serve")
        assert known.change.status in ("queued", "running")
    async with testing.app(app, disk=disk) as live:
        await live.settled()
        assert [(each.run_id, each.status) for each in await live.runs("serve")] == [("order-1:serve", "succeeded")]
        assert [each.number for each in await live.events(Receipt)] == [1]


async def test_a_caller_who_goes_away_changes_nothing(disk):
    """kagent #2447: when the client disconnected, what the run had done was not stored."""
    async with testing.app(shop(pause_s=10), disk=disk) as live:
        asking = asyncio.ensure_future(live.ask(Order(customer="a", number=1), Receipt, id="order-1"))
        await asyncio.sleep(5)  # virtual: in the middle of the handling
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        await live.settled()
        assert [each.number for each in await live.events(Receipt)] == [1]
        assert (await live.ask(Order(customer="a", number=1), Receipt, id="order-1")).number == 1
