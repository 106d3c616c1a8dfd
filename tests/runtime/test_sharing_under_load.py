"""Workers that share a store while callers never pause: who joins, who takes over, and what waits meanwhile."""

import asyncio
from dataclasses import replace
from types import SimpleNamespace

from house_of_workers import PARTITIONS, Order, Tour, virtually

from penstock.adapters.memory.store import MemoryStore
from penstock.core.agents.control import Signal
from penstock.core.events.envelope import Envelope
from penstock.runtime.appending import Appender
from penstock.runtime.committer import Committer
from penstock.runtime.control import NAME as CONTROL
from penstock.runtime.control import control
from penstock.runtime.engine import running
from penstock.runtime.passing_on import PassingOn
from penstock.runtime.topology import Topology
from penstock.testing.virtual_time import VirtualClock

COMMIT_S = 0.005


class SlowStore(MemoryStore):
    """Commits take as long as on a disk, so some of what callers send is always on its way."""

    async def commit(self, claim, number, writes):
        await asyncio.sleep(COMMIT_S)
        await super().commit(claim, number, writes)


def worker(house, name):
    parts = house.parts(name)
    store = SlowStore(house.disk, now_ms=parts.clock.now_ms)
    return running(replace(parts, store=store), owner=name, beside=True)


@virtually
async def test_who_joins_under_steady_load_gives_places_itself_without_a_lull(house):
    await house.divide()
    sent = 0

    async def caller(engine, customer):
        nonlocal sent
        for number in range(10_000):
            await engine.call("pack", Order(customer=customer, number=number), within_s=60)
            sent += 1

    async with worker(house, "a") as first:
        calls = [asyncio.ensure_future(caller(first, f"c{each}")) for each in range(6)]
        await asyncio.sleep(0.3)
        async with worker(house, "b") as second:
            calls += [asyncio.ensure_future(caller(second, f"d{each}")) for each in range(6)]
            await asyncio.sleep(1.5)
            assert len(second.partitions) == PARTITIONS // 2
            assert second.appender.direct == second.partitions
            assert first.appender.direct == first.partitions
            for each in calls:
                each.cancel()
            await asyncio.gather(*calls, return_exceptions=True)
    assert sent > 500
    house.expect_order()
    assert len(house.handled) == len(set(house.handled))


@virtually
async def test_a_run_whose_event_waits_for_an_owner_is_queued_and_what_is_said_to_it_meanwhile_reaches_it(house):
    await house.divide()
    async with house.worker("a") as survivor:
        doomed = asyncio.ensure_future(house.killed_worker("b", 3))
        while len(survivor.partitions) != PARTITIONS // 2:  # noqa: ASYNC110 - seen from outside
            await asyncio.sleep(0.1)
        await doomed
        sending, runs = [], {}
        for number in range(12):
            tour = Tour(driver=f"driver-{number}", stops=2)
            sending.append(asyncio.ensure_future(survivor.send(tour, id=f"tour-{number}")))
            runs[number] = f"tour-{number}:drive"
        await asyncio.sleep(0.1)
        waiting = {sent.event.id for sent in house.disk.waiting.values()}
        assert waiting
        assert {event_id.partition("-")[0] for event_id in waiting} == {"tour"}
        for run in runs.values():
            assert (await survivor.run(run)).change.status in ("queued", "running")
        for number, run in runs.items():
            sending.append(asyncio.ensure_future(survivor.send(Signal(run_id=run, name="tip", payload=number))))
        await asyncio.gather(*sending)
        for number, run in runs.items():
            assert await survivor.result(run, within_s=60) == str(1 + number).encode()
    assert not house.disk.dead
    assert not house.disk.waiting


async def test_the_answer_to_a_call_has_an_id_that_comes_from_its_cause_another_for_each_end():
    store, topology = MemoryStore(), Topology({CONTROL: control()})
    committer = Committer(store, await store.claim("w"))
    services = SimpleNamespace(clock=VirtualClock(), committer=committer)
    passing_on = PassingOn(services, store, Appender("house", topology, PARTITIONS))
    cause, told = Envelope("e", "/s", "t", "k", 0, b"{}", reply_run="e:w"), []
    for end in ("order/1/7", "order/1/7", "penstock-again/1/2"):
        passing_on.answer(cause, "call#0", "e.1:pack", end, told.append)
    ids = [each.event.id for each in told]
    assert ids[0] == ids[1] != ids[2]
    assert all(each.startswith("e.") for each in ids)
