"""A worker that hands over a partition goes on with the others, whatever its agents take."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from penstock.adapters.memory.store import Disk, MemoryStore
from penstock.core.agents.declaration import Options, declare
from penstock.core.events.event import Event
from penstock.runtime.engine import Parts, running
from penstock.runtime.models import Models, Prompts
from penstock.runtime.topology import Topology
from penstock.testing import VirtualClock, run_virtually

pytestmark = pytest.mark.usefixtures("any_pace")

PARTITIONS = 4
HANDED_OVER_S = 60


class Order(Event, key="customer"):
    customer: str


async def serve(order: Order) -> str:
    return order.customer


async def note(order: Order) -> None:
    pass


@asynccontextmanager
async def worker(disk, name):
    agents = {each.__name__: declare(each, each.__name__, Options()) for each in (serve, note)}
    clock = VirtualClock(name=name)
    store = MemoryStore(disk, now_ms=virtual_ms)
    parts = Parts("shop", Topology(agents), store, clock, Models(lambda name: None, Prompts(None)))
    async with running(parts, owner=name, beside=True) as engine:
        yield engine


def virtual_ms():
    return int(asyncio.get_running_loop().time() * 1000)


def test_a_worker_whose_agents_take_the_same_events_hands_over_its_share_and_goes_on():
    async def main():
        disk = Disk()
        store = MemoryStore(disk, now_ms=virtual_ms)
        await store.divide(await store.claim("first"), PARTITIONS)
        async with worker(disk, "a") as one:
            await one.call("serve", Order(customer="before"))
            async with worker(disk, "b") as other:
                await asyncio.sleep(HANDED_OVER_S)
                owned = sorted(disk.owners.values())
                assert len(set(owned)) == 2, f"the second worker got no partition: {disk.owners}"
                for engine in (one, other):
                    for number in range(8):
                        await engine.call("serve", Order(customer=f"c{number}"))

    run_virtually(main())
