"""Limits of a flow that several workers share: together they never have more, whoever comes, goes or dies, and nobody starves."""

import asyncio
from collections import Counter
from contextlib import asynccontextmanager, suppress

import pytest
from house_of_workers import House, Order, virtually

from penstock.core.agents.declaration import Options, declare
from penstock.core.agents.flow import Concurrency, Flow
from penstock.runtime.engine import running
from penstock.testing.virtual_time import run_virtually

CUSTOMERS = 48


class Works(House):
    """Workers whose one agent has a flow, and who count how many are at work."""

    def __init__(self, flow, slow_s=0.05):
        super().__init__()
        self.flow, self.slow_s = flow, slow_s
        self.active: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        self.done: Counter[str] = Counter()

    def agents(self, name):
        async def work(order: Order) -> None:
            groups = ("all", f"number {order.number}", f"worker {name}")
            for each in groups:
                self.active[each] += 1
                self.most[each] = max(self.most[each], self.active[each])
            try:
                await asyncio.sleep(self.slow_s)
                self.done[name] += 1
            finally:
                for each in groups:
                    self.active[each] -= 1

        return {"work": declare(work, "work", Options(flow=self.flow))}

    @asynccontextmanager
    async def workers(self, *names):
        async with asyncio.TaskGroup() as group:
            ready, over = [asyncio.get_running_loop().create_future() for _ in names], asyncio.Event()

            async def live(name, future):
                async with running(self.parts(name), owner=name, beside=True) as engine:
                    future.set_result(engine)
                    await over.wait()
                    with suppress(TimeoutError):
                        await engine.settled(1)

            for name, future in zip(names, ready, strict=True):
                group.create_task(live(name, future))
            engines = await asyncio.gather(*ready)
            while not all(each.partitions for each in engines):  # noqa: ASYNC110 - seen from outside
                await asyncio.sleep(0.1)
            yield engines
            over.set()


async def worked_off(house, engines, count):
    while sum(house.done.values()) < count:  # noqa: ASYNC110 - seen from outside
        await asyncio.sleep(0.05)
    for each in engines:
        assert await each.settled(10)


def orders_of(count, number=lambda each: each):
    return [Order(customer=f"c{each % CUSTOMERS}", number=number(each)) for each in range(count)]


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 20])
def test_all_workers_together_have_as_many_at_work_as_the_limit_says_and_no_more(limit):
    async def life():
        house = Works(Flow(concurrency=limit))
        await house.divide()
        async with house.workers("a", "b", "c") as engines:
            await engines[0].send_many(orders_of(240))
            await worked_off(house, engines, 240)
        assert house.most["all"] == limit
        assert set(house.done) == {"a", "b", "c"}, "somebody starved"

    run_virtually(life())


@virtually
async def test_a_lone_worker_among_several_to_be_has_the_whole_limit():
    house = Works(Flow(concurrency=12))
    await house.divide()
    async with house.workers("a") as (engine,):
        await engine.send_many(orders_of(60))
        await worked_off(house, [engine], 60)
    assert house.most["all"] == 12


@virtually
async def test_the_limit_of_each_value_is_shared_and_that_of_each_worker_is_not():
    house = Works(Flow(concurrency=(Concurrency(2, by="number"), Concurrency(5, scope="worker"))))
    await house.divide()
    async with house.workers("a", "b") as engines:
        await engines[1].send_many(orders_of(240, number=lambda each: each % 7))
        await worked_off(house, engines, 240)
    assert [house.most[f"number {each}"] for each in range(7)] == [2] * 7
    assert [house.most[f"worker {each}"] for each in "ab"] == [5, 5]


@virtually
async def test_who_has_a_permit_that_others_wait_for_lets_them_take_turns():
    house = Works(Flow(concurrency=1), slow_s=0.01)
    await house.divide()
    async with house.workers("a", "b", "c") as engines:
        await engines[0].send_many(orders_of(2000))
        await asyncio.sleep(6)
        done = dict(house.done)
        await worked_off(house, engines, 2000)
    assert house.most["all"] == 1
    assert min(done.values()) > 0.15 * sum(done.values())
    assert sum(done.values()) > 300, "it is spent on turns"


@virtually
async def test_the_limit_holds_while_workers_join_and_are_killed():
    house = Works(Flow(concurrency=5), slow_s=0.3)
    await house.divide()

    async def doomed(name, life_s):
        async def live():
            async with running(house.parts(name), owner=name, beside=True):
                await asyncio.Event().wait()

        task = asyncio.ensure_future(live())
        await asyncio.sleep(life_s)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async with house.workers("a") as (engine,):
        await engine.send_many(orders_of(300))
        for number in range(4):
            await doomed(f"doomed-{number}", 2.3)
        begun_s = asyncio.get_running_loop().time()
        before = sum(house.done.values())
        await asyncio.sleep(6)  # what the dead had is free again
        assert sum(house.done.values()) - before >= 5 * 3 / 0.3
        assert asyncio.get_running_loop().time() > begun_s
        assert await engine.settled(600)
    assert house.most["all"] == 5
    assert not house.disk.dead
    assert not house.disk.permits or all(len(each) == 1 for each in house.disk.permits.values())
