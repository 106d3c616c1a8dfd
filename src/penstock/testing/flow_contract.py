"""What the flow of an agent keeps to, on any store. A store's tests inherit it beside `EngineContract`, with the same `disk`."""

import asyncio

import pytest

from penstock.core.agents.flow import Concurrency, Flow, Rate
from penstock.errors import RunCancelled
from penstock.ports.state import RunFilter
from penstock.ports.store import Store
from penstock.runtime.context import Context
from penstock.runtime.engine import Engine
from penstock.testing.engine_trial import Disk, Order, Receipt, engine_of, killed


class FlowContract:
    """C2, C6 and C9 of agents that have a `Flow`."""

    async def test_c9_no_more_go_on_at_once_than_the_limits_say(self, disk: Disk) -> None:
        active: list[str] = []
        most = {"all": 0, "slow": 0}

        async def serve(order: Order) -> None:
            active.append(order.customer)
            most["all"] = max(most["all"], len(active))
            most["slow"] = max(most["slow"], sum(each.startswith("slow") for each in active))
            await asyncio.sleep(0.001)
            active.remove(order.customer)

        flow = Flow(concurrency=(Concurrency(5), Concurrency(2, by="number")))
        async with engine_of(disk, serve, flow=flow) as (engine, _):
            slow = [Order(customer=f"slow{number}", number=1) for number in range(20)]
            quick = [Order(customer=f"quick{number}", number=10 + number) for number in range(20)]
            await engine.send_many([*slow, *quick])
            assert await engine.settled(10)
        assert most == {"all": 5, "slow": 2}

    async def test_c2_a_limit_of_one_agent_does_not_hold_back_another_one(self, disk: Disk) -> None:
        release = asyncio.Event()

        async def serve(_: Order) -> None:
            await release.wait()

        async def quick(order: Order) -> Receipt:
            return Receipt(customer=order.customer, number=order.number)

        async with engine_of(disk, serve, quick, flow=Flow(concurrency=60)) as (engine, _):
            for number in range(100):
                await engine.ask(Order(customer=f"c{number}", number=number), Receipt, within_s=5)
            release.set()
            assert await engine.settled(10)

    async def test_c6_what_is_rejected_is_told_and_written(self, disk: Disk) -> None:
        release = asyncio.Event()
        handled: list[int] = []

        async def serve(order: Order) -> Receipt:
            handled.append(order.number)
            await release.wait()
            return Receipt(customer=order.customer, number=order.number)

        async with engine_of(disk, serve, flow=Flow(when_busy="reject")) as (engine, store):
            await engine.send(Order(customer="a", number=1), id="o1")
            for _ in range(2):  # asked again, the answer is the same
                with pytest.raises(RunCancelled, match="rejected: its key is busy with o1:serve"):
                    await engine.call("serve", Order(customer="a", number=2), id="o2", within_s=5)
                with pytest.raises(RunCancelled, match="rejected"):
                    await engine.ask(Order(customer="a", number=2), Receipt, id="o2", within_s=5)
            release.set()
            assert await engine.settled(10)
            (cancelled,) = await store.runs(RunFilter(status="cancelled"))
            assert not await store.dead_letters()
            progress = (await store.progress())["serve", "order", 0]
        assert (cancelled.run_id, cancelled.attempt) == ("o2:serve", 0)
        assert handled == [1]
        assert progress.low == 2

    async def test_c6_what_is_replaced_is_written_and_the_newest_is_handled(self, disk: Disk) -> None:
        release = asyncio.Event()
        handled: list[int] = []

        async def serve(order: Order) -> None:
            handled.append(order.number)
            await release.wait()

        async with engine_of(disk, serve, flow=Flow(when_busy="replace")) as (engine, store):
            await engine.send_many([Order(customer="a", number=number) for number in range(5)])
            release.set()
            assert await engine.settled(10)
            cancelled = await store.runs(RunFilter(status="cancelled"))
        assert handled == [0, 4]
        assert [each.reason.partition(" ")[0] for each in cancelled] == ["replaced"] * 3

    async def test_c6_what_is_interrupted_ends_as_cancelled_with_the_reason(self, disk: Disk) -> None:
        handled: list[int] = []
        aborted: list[int] = []

        async def serve(order: Order, ctx: Context) -> Receipt:
            handled.append(order.number)
            if order.number != 4:
                try:
                    await ctx.read("model", asyncio.sleep, 60)
                finally:
                    aborted.append(order.number)
            return Receipt(customer=order.customer, number=order.number)

        async with engine_of(disk, serve, flow=Flow(when_busy="interrupt")) as (engine, store):
            for number in range(4):
                await engine.send(Order(customer="a", number=number), id=f"o{number}")
            assert (await engine.ask(Order(customer="a", number=4), Receipt, id="o4", within_s=5)).number == 4
            assert await engine.settled(10)
            cancelled = await store.runs(RunFilter(status="cancelled"))
            receipts = await store.read("receipt", 0, after=0, limit=10)
        assert aborted == handled[:-1]
        assert handled[0] == 0
        assert handled[-1] == 4
        assert [each.run_id for each in cancelled] == ["o3:serve", "o2:serve", "o1:serve", "o0:serve"]
        assert all(each.reason.startswith("interrupted by o") for each in cancelled)
        assert len(receipts) == 1

    async def test_c6_only_the_last_of_a_burst_is_handled_and_the_others_are_written(self, disk: Disk) -> None:
        handled: list[tuple[str, int]] = []

        async def serve(order: Order) -> None:
            handled.append((order.customer, order.number))

        async with engine_of(disk, serve, flow=Flow(debounce_s=0.2)) as (engine, store):
            await engine.send_many([Order(customer=f"c{n % 3}", number=n) for n in range(12)])
            assert await engine.settled(10)
            cancelled = await store.runs(RunFilter(status="cancelled"))
        assert sorted(handled) == [("c0", 9), ("c1", 10), ("c2", 11)]
        assert len(cancelled) == 9
        assert all(each.reason.startswith("superseded by ") for each in cancelled)

    async def test_c6_a_burst_that_a_kill_interrupts_comes_to_the_same(self, disk: Disk) -> None:
        handled: list[int] = []

        async def serve(order: Order) -> None:
            handled.append(order.number)

        async def burst(engine: Engine) -> None:
            await engine.send_many([Order(customer="a", number=number) for number in range(5)])

        flow = Flow(debounce_s=0.5)
        await killed(disk, serve, do=burst, flow=flow)
        assert handled == []
        async with engine_of(disk, serve, flow=flow) as (engine, store):
            assert await engine.settled(10)
            assert len(await store.runs(RunFilter(status="cancelled"))) == 4
        assert handled == [4]

    async def test_c9_a_kill_gives_no_burst_beyond_the_bucket(self, disk: Disk) -> None:
        begun: list[int] = []
        empty = asyncio.Event()

        async def serve(order: Order) -> None:
            begun.append(order.number)
            if len(begun) == 4:
                empty.set()
            await asyncio.Event().wait()

        async def until_the_bucket_is_empty(engine: Engine) -> None:
            await engine.send_many([Order(customer=f"c{number}", number=number) for number in range(10)])
            await empty.wait()

        flow = Flow(rate=(Rate(4, per_s=3600), Rate(3, per_s=3600, by="number")))
        await killed(disk, serve, do=until_the_bucket_is_empty, flow=flow)
        async with engine_of(disk, serve, flow=flow) as (engine, store):
            await engine.send(Order(customer="z", number=99))
            await _looked_up(engine, store)
        assert len(begun) == 4

    async def test_c9_a_rate_of_each_value_is_kept_over_a_kill(self, disk: Disk) -> None:
        begun: list[int] = []
        twice, other = asyncio.Event(), asyncio.Event()

        async def serve(order: Order) -> None:
            begun.append(order.number)
            if len(begun) == 2:
                twice.set()
            if order.number == 8:
                other.set()

        async def two_of_one(engine: Engine) -> None:
            await engine.send_many([Order(customer=f"c{number}", number=7) for number in range(5)])
            await twice.wait()

        flow = Flow(rate=Rate(2, per_s=3600, by="number"))
        await killed(disk, serve, do=two_of_one, flow=flow)
        async with engine_of(disk, serve, flow=flow) as (engine, store):
            await engine.send(Order(customer="z", number=8))
            await _looked_up(engine, store)
            await other.wait()
        assert sorted(begun) == [7, 7, 8]


async def _looked_up(engine: Engine, store: Store) -> None:
    """Wait until what was asked of the store before is answered, and what follows from it is durable."""
    for _ in range(20):
        await store.values("default", "nobody", "")
        await asyncio.sleep(0.002)
        await engine.services.committer.durable()
