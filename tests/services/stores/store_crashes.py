"""A store whose server dies and comes back under an engine. Who inherits gives `url`, `opens`, and `dying`: a server that may be crashed.

`orders`: how many are carried through it.
"""

import asyncio
from collections.abc import Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import pytest

from penstock.adapters.clock.system import SystemClock
from penstock.layers.retrying_store import RetryingStore
from penstock.runtime.context import Context
from penstock.testing.commits import expect_one_of_each, one_of_each
from penstock.testing.engine_trial import Order, Receipt, engine_of


class Dying(NamedTuple):
    """A server that may be crashed and started again, and the address of a store on it. Both calls block."""

    url: str
    crash: Callable[[], Any]
    start: Callable[[], Any]


class StoreThroughCrashes:
    @pytest.fixture
    def orders(self):
        return 300

    async def test_an_engine_carries_on_through_crashes_of_the_server_and_loses_and_doubles_nothing(
        self, dying, opens, orders
    ):
        customers, calls = 10, 0

        @asynccontextmanager
        async def disk():
            async with opens(dying.url) as store:
                yield RetryingStore(store, SystemClock())

        async def serve(order: Order, ctx: Context) -> Receipt:
            nonlocal calls
            calls += 1
            await ctx.values.set("count", (await ctx.values.get("count", 0)) + 1)
            return Receipt(customer=order.customer, number=await ctx.step("number", int, order.number))

        async def flood(engine, customer):
            for number in range(customer, orders, customers):
                receipt = await engine.ask(Order(customer=f"c{customer}", number=number), Receipt, id=f"o{number}")
                assert receipt.number == number

        async with engine_of(disk, serve, timeout_s=60) as (engine, store):
            async with asyncio.TaskGroup() as tasks:
                for customer in range(customers):
                    tasks.create_task(flood(engine, customer))
                for third in (1, 2):
                    await engine.until(lambda: calls >= third * orders // 3)  # noqa: B023 - it looks before the loop goes on
                    await asyncio.to_thread(dying.crash)
                    await asyncio.to_thread(dying.start)
            assert await engine.settled(20)
            receipts = await store.read("receipt", 0, after=0, limit=10 * orders)
            counts = [await store.values("default", "serve", f"c{each}") for each in range(customers)]
            assert (await store.progress())["serve", "order", 0].low == orders
        assert sorted(each.event.causation_id for each in receipts) == sorted(f"o{number}" for number in range(orders))
        assert [int.from_bytes(each["count"]) for each in counts] == [orders // customers] * customers  # MessagePack
        assert calls == orders

    async def test_s4_a_commit_that_is_repeated_while_it_is_still_under_way_is_written_once(self, url, opens):
        async with opens(url) as store, opens(url) as other:
            claim = await store.claim("w")
            async with asyncio.TaskGroup() as tasks:
                for each in (store, other) * 5:
                    tasks.create_task(each.commit(claim, 1, one_of_each()))
            await expect_one_of_each(store)
