"""What is durable only within a handling is refused elsewhere; it never does its work without a word of not being recorded."""

import asyncio

import pytest

from penstock import App, Context, Event, testing
from penstock.errors import Refused, RunFailed


class Order(Event, key="customer"):
    customer: str


async def charge() -> bool:
    return True


async def test_a_step_after_its_handling_has_ended_is_refused():
    """pydantic-ai #6620: a durable agent that ran where nothing was recorded did so silently."""
    app, left = App("leaving"), []

    @app.agent
    async def serve(order: Order, ctx: Context) -> None:
        left.append(ctx)

    async with testing.app(app) as live:
        await live.send(Order(customer="a"))
        await live.settled()
        with pytest.raises(Refused, match="comes after its handling has ended"):
            await left[0].step("charge", charge)
        with pytest.raises(Refused, match="comes after its handling has ended"):
            left[0].emit(Order(customer="b"))
    del serve


async def test_the_context_of_another_run_is_refused():
    """pydantic-ai #6620: a context that one run kept and another one used would record its steps in the wrong journal."""
    app, kept, used = App("borrowing"), asyncio.Queue[Context](), asyncio.Event()

    @app.agent
    async def lend(order: Order, ctx: Context) -> None:
        await kept.put(ctx)
        await used.wait()

    @app.agent
    async def borrow(order: Order) -> None:
        ctx = await kept.get()
        try:
            with pytest.raises(Refused, match=f"context of another run, {ctx.run_id}"):
                await ctx.step("charge", charge)
            with pytest.raises(Refused, match="context of another run"):
                ctx.emit(Order(customer="b"))
        finally:
            used.set()

    async with testing.app(app) as live:
        event_id = await live.send(Order(customer="a"))
        await live.settled()
        runs = [(await live.engine.run(f"{event_id}:{name}")).change.status for name in ("lend", "borrow")]
        assert runs == ["succeeded", "succeeded"]
    del lend, borrow


async def test_a_step_of_a_batch_is_refused():
    """pydantic-ai #6620: a batch has no journal in which a step with effects would be found again."""
    app = App("batches")

    @app.agent(batch=5)
    async def serve(orders: list[Order], ctx: Context) -> None:
        await ctx.step("charge", charge)

    async with testing.app(app) as live:
        with pytest.raises(RunFailed, match="batch"):
            await live.call("serve", Order(customer="a"))
    del serve


async def test_a_handler_called_as_a_function_has_no_step_that_would_not_be_recorded():
    """pydantic-ai #6620: called directly, a handler runs as any function, and its steps fail for want of a context."""
    app = App("direct")

    @app.agent
    async def serve(order: Order, ctx: Context) -> None:
        await ctx.step("charge", charge)

    with pytest.raises(TypeError, match="ctx"):
        await serve(Order(customer="a"))
    with pytest.raises(AttributeError):
        await asyncio.wait_for(serve(Order(customer="a"), None), 1)
