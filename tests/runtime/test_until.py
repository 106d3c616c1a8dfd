"""Waiting for what commits bring: a commit that comes while one looks is not missed."""

import asyncio

import pytest

from penstock import App, Event, testing
from penstock.errors import Unavailable


class Order(Event):
    number: int


def shop():
    app = App("shop")

    @app.agent
    async def pay(order: Order) -> int:
        return order.number

    return app


async def test_a_commit_that_comes_while_one_looks_is_not_missed():
    async with testing.app(shop()) as live:
        looks = 0

        async def look():
            nonlocal looks
            looks += 1
            if looks == 1:  # what it saw is old before it is told
                await live.call("pay", Order(number=7), id="o1")
                return []
            return [await live.engine.run("o1:pay")]

        async with asyncio.timeout(5):
            (run,) = await live.engine.until(look)
        assert run.change.result == b"7"
        assert looks == 2


async def test_it_looks_again_after_each_commit_until_it_holds():
    async with testing.app(shop()) as live:
        seen = []

        def look():
            seen.append(live.engine.services.committer.durable_number)
            return len(seen)

        async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
            waiting = tasks.create_task(live.engine.until(look, lambda count: count == 3))
            await asyncio.sleep(0)
            for number in range(3):
                await live.call("pay", Order(number=number), id=f"o{number}")
        assert waiting.result() == 3
        assert seen == sorted(set(seen))


async def test_who_waits_is_told_when_nothing_more_is_committed():
    async with testing.app(shop()) as live:

        async def waiting():
            with pytest.raises(Unavailable, match="it is gone"):
                await live.engine.until(lambda: False)

        async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
            tasks.create_task(waiting())
            await asyncio.sleep(0)
            live.engine.services.committer.stop(Unavailable("the store", "commit", "it is gone"))
        with pytest.raises(Unavailable, match="it is gone"):
            await live.engine.until(lambda: False)
