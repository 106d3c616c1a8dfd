"""An event that kills whoever handles it, at once, ends in the dead letters, also where it had no place in the log yet.

Found by `make chaos`: it waited for its place, was handled before that was durable, killed, and did so for ever.
"""

import asyncio
from contextlib import suppress

from house_of_workers import Order, virtually

from penstock.core.agents.declaration import Options, declare
from penstock.runtime.control import NAME as CONTROL
from penstock.runtime.control import control
from penstock.runtime.engine import running
from penstock.runtime.suspects import DEATHS_MAX

LIVES_MAX = DEATHS_MAX + 3


@virtually
async def test_it_is_given_up_after_as_many_deaths_as_any_other(house):
    await house.divide()
    deaths, handled = [], []

    def agents(die):
        async def pack(order: Order) -> None:
            if order.customer == "deadly":
                die()
                await asyncio.Event().wait()
            handled.append(order.number)

        return {"pack": declare(pack, "pack", Options()), CONTROL: control()}

    async def life(name):
        process = asyncio.current_task()

        def die():
            deaths.append(name)
            process.cancel()

        async with running(house.parts(name, agents(die)), owner=name, beside=True) as engine:
            if name == "w0":
                await engine.send(Order(customer="deadly"), id="deadly")
            await engine.until(lambda: house.disk.dead)
            await engine.send(Order(customer="other", number=1))
            await engine.until(lambda: handled)

    for number in range(LIVES_MAX):
        with suppress(asyncio.CancelledError):
            async with asyncio.timeout(60):
                await asyncio.ensure_future(life(f"w{number}"))
            break
    (letter,) = house.disk.dead.values()
    assert letter.event.event.id == "deadly"
    assert f"died {DEATHS_MAX} times" in letter.reason
    assert len(deaths) == DEATHS_MAX + 1
    assert handled == [1]
