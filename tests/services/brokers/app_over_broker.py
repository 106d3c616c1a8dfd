"""An app of three agents whose events go over a real broker: what every broker has to carry."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

from penstock import App, Context, Event
from penstock.core.events.messages import Message
from penstock.layers.brokered_store import AGENT

WITHIN_S = 40


class Ordered(Event, key="customer", topic="ordered"):
    customer: str
    number: int = 0


class Packed(Event, key="customer", topic="packed"):
    customer: str
    number: int


class Shipped(Event, key="customer", topic="shipped"):
    customer: str
    number: int


def shop(shipped: list[tuple[str, int]]) -> App:
    app = App("shop", events=[Shipped])

    @app.agent
    async def pack(order: Ordered, ctx: Context) -> Packed:
        await ctx.values.set("count", await ctx.values.get("count", 0) + 1)
        return Packed(customer=order.customer, number=order.number)

    @app.agent
    async def ship(packed: Packed) -> Shipped:
        shipped.append((packed.customer, packed.number))
        return Shipped(customer=packed.customer, number=packed.number)

    return app


async def carries_an_app(
    address: str, store: Path, broker_at: Callable[[str], AbstractAsyncContextManager[Any]]
) -> None:
    """Handle orders in order and once each, over a restart and a second worker; take what others publish."""
    log, shipped = f"{address}&partitions=4", list[tuple[str, int]]()
    app = shop(shipped)
    async with app.running(store=f"sqlite:{store}", log=log) as live, asyncio.timeout(WITHIN_S):
        assert (await live.ask(Ordered(customer="first"), Shipped)).customer == "first"
        await live.engine.send_many([Ordered(customer=f"c{number % 5}", number=number) for number in range(60)])
        await live.engine.until(lambda: len(shipped), lambda count: count >= 61)
        assert await live.ask(Ordered(customer="again"), Shipped, id="order-1") == await live.ask(
            Ordered(customer="again"), Shipped, id="order-1"
        )
    assert len(shipped) == len(set(shipped)) == 62
    for customer in range(5):
        numbers = [number for name, number in shipped if name == f"c{customer}"]
        assert numbers == sorted(numbers)
    async with broker_at(log) as others:
        bare = Message(b'{"customer": "stranger", "number": 7}', b"stranger")
        await others.publish([("ordered", 0, bare), ("ordered", 1, Message(b"no JSON"))])
        beyond = [each for lane in range(4) for each in await _all_of(others, "shipped", lane)]
    assert len(beyond) == 62  # others see what the app does
    async with (
        app.running(store=f"sqlite:{store}", log=log) as live,
        app.running(store=f"sqlite:{store}", log=log) as second,
        asyncio.timeout(WITHIN_S),
    ):
        await live.engine.until(lambda: ("stranger", 7) in shipped)
        letters = await live.engine.until(live.dead_letters)
        assert [each.agent for each in letters] == [AGENT]
        asked = [each.ask(Ordered(customer=f"d{number}"), Shipped) for number in range(8) for each in (live, second)]
        assert len(await asyncio.gather(*asked)) == 16
    assert len(shipped) == 79


async def _all_of(broker: Any, topic: str, partition: int) -> list[Any]:
    ends = await broker.ends([(topic, partition)])
    found: list[Any] = []
    async with asyncio.timeout(WITHIN_S):
        while (found[-1].position if found else 0) < ends.get((topic, partition), 0):
            after = found[-1].position if found else 0
            found += await broker.fetch({(topic, partition): after}, limit=1000)
            await asyncio.sleep(0.01)
    return found
