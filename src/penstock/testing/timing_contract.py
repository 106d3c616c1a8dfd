"""What an app may rely on of time, on any store: C3 and C11 as tests. A store's tests inherit them and supply `disk`.

    class TestTimeOnMyStore(TimingContract):
        @pytest.fixture
        def disk(self, tmp_path):
            return lambda: open_my_store(tmp_path)      # an async context manager; each call opens the same data

Each test names the guarantee that it checks.
"""

import asyncio
from collections.abc import Callable

import pytest

from penstock.core.timing.timers import When
from penstock.runtime.context import Context
from penstock.runtime.engine import Engine
from penstock.testing.engine_trial import Disk, Order, Receipt, Seen, engine_of, killed

PATIENCE_S = 10.0


class TimingContract:
    """Timers on one store."""

    @pytest.fixture
    def disk(self) -> Disk:
        raise NotImplementedError("supply what opens the store")

    async def test_c11_what_waits_fires_once_after_a_kill(self, disk: Disk) -> None:
        seen: list[int] = []

        async def serve(order: Order) -> None:
            seen.append(order.number)

        async def send(engine: Engine) -> None:
            await engine.send(Order(customer="a", number=1), id="o1", when=When(after_s=0.2))
            await engine.send(Order(customer="a", number=2), id="o2", when=When(after_s=3600))

        await killed(disk, serve, do=send)
        for _ in range(2):
            async with engine_of(disk, serve) as (engine, store):
                await _until(lambda: seen == [1])
                assert await engine.settled(PATIENCE_S)
                assert [each.id for each in await store.timers()] == ["o2"]
        assert seen == [1]

    async def test_c3_a_timer_is_set_with_what_set_it(self, disk: Disk) -> None:
        seen: list[int] = []

        async def serve(order: Order, ctx: Context) -> Receipt:
            ctx.emit(Seen(customer=order.customer, number=order.number), after_s=0.05)
            if order.number == 0:
                raise ValueError("no")
            return Receipt(customer=order.customer, number=order.number)

        async def look(event: Seen) -> None:
            seen.append(event.number)

        async with engine_of(disk, serve, look) as (engine, store):
            await engine.send(Order(customer="a", number=0))
            await engine.send(Order(customer="b", number=7))
            await _until(lambda: seen == [7])
            assert await engine.settled(PATIENCE_S)
            assert list(await store.timers()) == []
        assert seen == [7]

    async def test_c11_an_answer_that_comes_later_reaches_who_waits_for_it(self, disk: Disk) -> None:
        async def serve(order: Order, ctx: Context) -> None:
            ctx.emit(Receipt(customer=order.customer, number=order.number), after_s=0.05)

        async with engine_of(disk, serve) as (engine, _):
            assert (await engine.ask(Order(customer="a", number=3), Receipt, within_s=PATIENCE_S)).number == 3

    async def test_c11_a_timer_by_name_moves_and_is_cancelled(self, disk: Disk) -> None:
        seen: list[int] = []

        async def serve(order: Order, ctx: Context) -> None:
            if order.number < 0:
                ctx.cancel_timer("nag")
            else:
                ctx.emit(Seen(customer=order.customer, number=order.number), after_s=0.1, timer="nag")

        async def look(event: Seen) -> None:
            seen.append(event.number)

        async with engine_of(disk, serve, look) as (engine, store):
            for customer, number in (("a", 1), ("b", 5), ("a", 2), ("b", -1), ("c", -1)):
                await engine.send(Order(customer=customer, number=number))
            await _until(lambda: seen == [2])
            await asyncio.sleep(0.15)
            assert await engine.settled(PATIENCE_S)
            assert list(await store.timers()) == []
        assert seen == [2]


async def _until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not holds():  # noqa: ASYNC110 - real time passes, and nothing else tells of it
            await asyncio.sleep(0.005)
