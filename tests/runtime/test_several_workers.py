"""Several engines on one store: each works on its partitions, and together they keep what one alone keeps."""

import asyncio
from collections import Counter
from contextlib import AsyncExitStack

import pytest
from house_of_workers import PARTITIONS, BrokeredHouse, Delivered, House, Order, Parcel, Tour, virtually

from penstock.adapters.memory.store import MemoryStore
from penstock.core.agents.declaration import Options, declare
from penstock.core.agents.policy import NO_RETRY, Retry
from penstock.core.events.partitions import partition_of
from penstock.errors import Fenced, Invalid, Refused
from penstock.runtime.context import Context
from penstock.runtime.engine import running
from penstock.runtime.ownership import TTL_MS
from penstock.testing.virtual_time import run_virtually


async def orders(engine, count, *, customers=5):
    for number in range(count):
        await engine.send(Order(customer=f"c{number % customers}", number=number))


def test_a_lone_worker_with_one_partition_sends_over_the_broker_too():
    house = BrokeredHouse()

    async def story():
        async with running(house.parts("a"), owner="a") as engine:
            await orders(engine, 20)
            await engine.until(lambda: len(house.disk.log("delivered")), lambda count: count == 20)

    run_virtually(story())
    assert len(house.handled) == 20
    house.expect_order()
    for topic in ("order", "parcel", "delivered"):
        assert [each.position.offset for each in house.disk.log(topic)] == list(range(1, 21))
        assert len(house.topics.messages[topic, 0]) == 20


@virtually
async def test_partitions_are_shared_when_a_worker_joins_and_when_one_leaves(house):
    await house.divide()
    async with house.worker("a") as first:
        assert len(first.partitions) == PARTITIONS
        async with house.worker("b") as second:
            await asyncio.sleep(5)
            assert (len(first.partitions), len(second.partitions)) == (4, 4)
            assert not first.partitions & second.partitions
            async with house.worker("c") as third:
                await asyncio.sleep(5)
                assert sorted(len(each.partitions) for each in (first, second, third)) == [2, 3, 3]
        await asyncio.sleep(2)
        assert len(first.partitions) == PARTITIONS


@virtually
async def test_every_key_is_in_order_whoever_sends_and_wherever_it_goes(house):
    await house.divide()
    async with house.worker("a") as first, house.worker("b") as second:
        await asyncio.sleep(3)
        for number in range(40):
            await (first, second)[number % 2].send(Order(customer=f"c{number % 5}", number=number))
        for each in (first, second, first, second):
            assert await each.settled(60)
            await asyncio.sleep(2)
    assert len(house.handled) == 40
    house.expect_order()
    assert {name for name, _, _ in house.handled} == {"a", "b"}
    delivered = [each.event for each in house.disk.log("delivered")]
    assert len(delivered) == 40
    assert not house.disk.waiting
    for customer in range(5):
        counted = house.disk.values["default", "pack", f"c{customer}"]["count"]
        assert counted == bytes([8])  # MessagePack of 8: no update was lost


@virtually
async def test_who_asks_one_worker_is_answered_by_whoever_does_it(house):
    await house.divide()
    async with house.worker("a") as first, house.worker("b") as second:
        await asyncio.sleep(3)
        asked = [
            (first, second)[number % 2].ask(Order(customer=f"c{number}", number=number), Delivered, within_s=20)
            for number in range(30)
        ]
        replies = await asyncio.gather(*asked)
        assert [each.number for each in replies] == list(range(30))
        assert {each.by for each in replies} == {"a", "b"}
        results = await asyncio.gather(
            *(first.call("pack", Order(customer=f"d{number}", number=number), within_s=20) for number in range(9))
        )
        assert all(b"street-" in each for each in results)


@virtually
async def test_the_same_id_is_one_event_at_whichever_worker(house):
    await house.divide()
    async with house.worker("a") as first, house.worker("b") as second:
        await asyncio.sleep(3)
        asked = [each.ask(Order(customer="c", number=1), Delivered, id="order-1") for each in (first, second) * 3]
        assert {each.number for each in await asyncio.gather(*asked)} == {1}
        assert (await second.ask(Order(customer="c", number=1), Delivered, id="order-1")).number == 1
    assert len(house.handled) == 1


@virtually
async def test_a_workflow_calls_agents_of_other_workers_and_is_told_things_through_any(house):
    await house.divide()
    async with house.worker("a") as first, house.worker("b") as second:
        await asyncio.sleep(3)
        from penstock.core.agents.control import Signal

        tours = {}
        for number in range(6):
            event_id = await first.send(Tour(driver=f"driver-{number}", stops=5))
            tours[number] = f"{event_id}:drive"
        await asyncio.sleep(1)
        for number, run in tours.items():
            await second.send(Signal(run_id=run, name="tip", payload=number))
        await asyncio.sleep(5)
        for number, run in tours.items():
            change = (await first.run(run)).change
            assert (change.status, change.result) == ("succeeded", str(10 + number).encode())
    assert set(house.effects.values()) == {1}
    assert sum(house.effects.values()) == 30


@virtually
async def test_a_killed_workers_partitions_are_taken_over_and_its_events_handled_once(house):
    await house.divide()
    house.slow_s = 0.2
    async with house.worker("a") as survivor:
        doomed = asyncio.ensure_future(house.killed_worker("b", 4.05))
        await asyncio.sleep(4)
        mine = survivor.partitions
        assert len(mine) == 4
        await orders(survivor, 40, customers=20)
        await doomed
        began_s = asyncio.get_running_loop().time()
        while len(survivor.partitions) < PARTITIONS:  # noqa: ASYNC110 - seen from outside
            await asyncio.sleep(0.05)
        took_s = asyncio.get_running_loop().time() - began_s
        assert took_s <= TTL_MS / 1000 + 1
        await asyncio.sleep(1)
        assert await survivor.settled(60)
    assert len(house.disk.log("delivered")) == 40
    handled = {number for _, _, number in house.handled}
    assert handled == set(range(40))
    assert not house.disk.dead


@virtually
async def test_what_waited_for_an_owner_comes_before_what_is_sent_after_the_takeover(house):
    await house.divide()
    async with house.worker("a") as survivor:
        doomed = asyncio.ensure_future(house.killed_worker("b", 4.0))
        await asyncio.sleep(3.9)
        asked = []
        for number in range(200):  # for ten seconds, while nobody owns half of the keys, and then somebody does
            order = Order(customer=f"c{number % 5}", number=number)
            asked.append(asyncio.ensure_future(survivor.call("pack", order, within_s=60)))
            await asyncio.sleep(0.05)
        await asyncio.gather(doomed, *asked)
    assert len(house.handled) == 200
    house.expect_order()


@virtually
async def test_a_workflow_goes_on_with_another_worker(house):
    await house.divide()
    from penstock.core.agents.control import Signal

    async with house.worker("a") as first:
        runs = [f"{await first.send(Tour(driver=f'd{number}', stops=2))}:drive" for number in range(8)]
        await asyncio.sleep(1)
        async with house.worker("b") as second:
            await asyncio.sleep(5)
            assert len(second.partitions) == 4
            for run in runs:
                await first.send(Signal(run_id=run, name="tip", payload=1))
            await asyncio.sleep(5)
            assert {(await second.run(run)).change.status for run in runs} == {"succeeded"}
    assert sum(house.effects.values()) == 16


@virtually
async def test_a_handling_that_outlives_the_handover_is_done_again_by_the_next_owner(house):
    await house.divide()
    house.slow_s = 30
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(house.worker("a"))
        await orders(first, 16, customers=16)
        second = await stack.enter_async_context(house.worker("b"))
        await asyncio.sleep(120)
        assert (len(first.partitions), len(second.partitions)) == (4, 4)
        await asyncio.sleep(60)
    assert len(house.disk.log("delivered")) == 16
    counts = [house.disk.values["default", "pack", f"c{each}"]["count"] for each in range(16)]
    assert set(counts) == {b"\x01"}


@virtually
async def test_a_handling_that_waits_for_another_attempt_is_not_doubled_when_its_partition_comes_back(house):
    await house.divide()
    begun: Counter[int] = Counter()

    async def pack(order: Order) -> None:
        begun[order.number] += 1
        if begun[order.number] == 1:
            raise RuntimeError("bad luck")
        await asyncio.sleep(1)

    retry = Retry(attempts_max=3, delay_s=60, delay_max_s=60)
    agents = {"pack": declare(pack, "pack", Options(retry=retry))}
    async with running(house.parts("a", agents), owner="a", beside=True) as first:
        await orders(first, 16, customers=16)
        await asyncio.sleep(1)
        async with running(house.parts("b", agents), owner="b", beside=True) as second:
            await asyncio.sleep(3)
            assert len(second.partitions) == 4
        await asyncio.sleep(120)
        assert len(first.partitions) == PARTITIONS
        assert await first.settled(60)
    assert begun == Counter(dict.fromkeys(range(16), 2))


@virtually
async def test_a_silent_worker_stops_and_what_it_did_meanwhile_is_not_written(house):
    await house.divide()

    async def silenced():
        async with house.worker("a") as first:
            store = MemoryStore(house.disk, now_ms=lambda: 2**60)  # a clock that says that all are silent
            await store.renew(await store.join("b"), ttl_ms=TTL_MS)
            await first.send(Order(customer="c"))

    with pytest.raises(Fenced):
        await silenced()
    assert house.disk.log("order") == []


@pytest.mark.parametrize("kind", [House, BrokeredHouse])
def test_handlers_that_a_silent_worker_cuts_off_are_not_said_to_have_failed(kind, caplog):
    house, begun = kind(), asyncio.Event()

    async def pack(order: Order) -> None:
        begun.set()
        await asyncio.sleep(1000)

    async def weigh(order: Order) -> None:
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            raise OSError("the scales were let go") from None

    async def silenced():
        await house.divide()
        agents = {each.__name__: declare(each, each.__name__, Options()) for each in (pack, weigh)}
        async with running(house.parts("a", agents), owner="a", beside=True) as first:
            await first.send(Order(customer="c"))
            await begun.wait()
            store = MemoryStore(house.disk, now_ms=lambda: 2**60)  # a clock that says that all are silent
            await store.renew(await store.join("b"), ttl_ms=TTL_MS)
            await asyncio.sleep(100)

    with pytest.raises(Fenced):
        run_virtually(silenced())
    assert [each.message for each in caplog.records if "failed" in each.message] == []


@virtually
async def test_an_app_whose_order_is_not_that_of_its_partitions_is_refused_with_all_findings(house):
    await house.divide()

    async def one(order: Order) -> None: ...
    async def two(parcel: Parcel) -> None: ...

    agents = {"one": declare(one, "one", Options(key="number")), "two": declare(two, "two", Options(key="customer"))}
    with pytest.raises(Invalid) as refused:
        async with running(house.parts("a", agents), owner="a", beside=True):
            pass
    assert [each.path for each in refused.value.findings] == ["one.key", "two.key"]


@virtually
async def test_a_session_of_another_partition_is_refused(house):
    await house.divide()
    here = "here"
    there = next(
        key
        for key in (f"k{number}" for number in range(99))
        if partition_of("default", key, PARTITIONS) != partition_of("default", here, PARTITIONS)
    )

    async def talk(order: Order, ctx: Context) -> None:
        with pytest.raises(Refused, match="another partition"):
            ctx.session_of(there)
        await ctx.session_of(here).add("user", "hello")

    agents = {"talk": declare(talk, "talk", Options(retry=NO_RETRY))}
    async with running(house.parts("a", agents), owner="a", beside=True) as engine:
        await engine.call("talk", Order(customer=here))
