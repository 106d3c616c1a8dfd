"""Workers that share a slow store, and die and join all the while: what was asked for in the middle of it comes about, once.

Each seed is another course of events. What was found so: offsets that a takeover gave out twice, and cancellations that were lost
with the process, or with the partition, that was just ending a handling.
"""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from random import Random

import pytest
from house_of_workers import House

from penstock.adapters.memory.store import MemoryStore
from penstock.core.agents.control import Cancel, Signal
from penstock.core.agents.declaration import Options, declare
from penstock.core.agents.policy import NO_RETRY
from penstock.core.events.event import Event
from penstock.runtime.control import NAME as CONTROL
from penstock.runtime.control import control
from penstock.runtime.engine import running
from penstock.runtime.suspects import DEATHS_MAX
from penstock.runtime.workflow_context import WorkflowContext
from penstock.testing.virtual_time import run_virtually

SEEDS = range(80, 105)
TOURS = 10
LIFE_S = 12


class Tour(Event, key="driver"):
    driver: str


class Stop(Event, key="street"):
    street: str


class SlowStore(MemoryStore):
    """Takes as long as a disk or a network may."""

    def __init__(self, disk, now_ms, random):
        super().__init__(disk, now_ms=now_ms)
        self._random = random

    async def commit(self, claim, number, writes):
        await self._wait(0.1)
        await super().commit(claim, number, writes)
        await self._wait(0.02)

    async def run(self, run_id):
        await self._wait(0.03)
        found = await super().run(run_id)
        await self._wait(0.03)
        return found

    async def event(self, event_id):
        await self._wait(0.03)
        return await super().event(event_id)

    async def submitted(self, partitions, *, limit):
        await self._wait(0.03)
        return await super().submitted(partitions, limit=limit)

    async def read(self, topic, partition, *, after, limit):
        await self._wait(0.03)
        return await super().read(topic, partition, after=after, limit=limit)

    async def _wait(self, most_s):
        await asyncio.sleep(self._random.random() * most_s)


class Roads(House):
    """Workflows that start a handling which takes for ever, and wait for a tip."""

    def __init__(self, random):
        super().__init__()
        self.random = random

    def agents(self, name):
        async def wait(stop: Stop) -> None:
            await asyncio.sleep(3600)

        async def drive(tour: Tour, ctx: WorkflowContext) -> int:
            ctx.start("wait", Stop(street=f"{tour.driver} street"))
            return await ctx.wait_for("tip", int)

        made = [
            declare(wait, "wait", Options()),
            declare(drive, "drive", Options(retry=NO_RETRY, workflow=True)),
        ]
        return {each.name: each for each in made} | {CONTROL: control()}

    @asynccontextmanager
    async def worker(self, name):
        parts = self.parts(name)
        store = SlowStore(self.disk, parts.clock.now_ms, self.random)
        async with running(replace(parts, store=store), owner=name, beside=True) as engine:
            yield engine

    async def deaths(self, name):
        """Live and die again and again."""
        for number in range(1000):
            await self.killed_worker(f"{name}{number}", 1 + self.random.random() * LIFE_S)


async def driven(seed):
    random = Random(seed)
    house = Roads(random)
    await house.divide()
    wanted = {}
    async with house.worker("survivor") as survivor:
        dying = [asyncio.ensure_future(house.deaths(name)) for name in ("x", "y")]
        for number in range(TOURS):
            await asyncio.sleep(random.random() * 2)
            await survivor.send(Tour(driver=f"d{number}"), id=f"t{number}")
        for number in range(TOURS):
            await asyncio.sleep(random.random() * 4)
            run = f"t{number}:drive"
            wanted[run] = random.choice(["cancelled", "succeeded"])
            said = Cancel(run_id=run) if wanted[run] == "cancelled" else Signal(run_id=run, name="tip", payload=number)
            await survivor.send(said)
        await asyncio.sleep(5)
        for each in dying:
            each.cancel()
        await asyncio.gather(*dying, return_exceptions=True)
        await asyncio.sleep(60)
    assert {run: house.disk.runs[run].status for run in wanted} == wanted
    waits = [house.disk.runs.get(f"{each.event.id}:wait") for each in house.disk.log("stop")]
    assert len(waits) == TOURS
    for each in waits:
        assert each is not None, "its workflow has ended, and it goes on"
        assert each.status == "cancelled" or f"died {DEATHS_MAX} times" in each.reason
    assert {letter.agent for letter in house.disk.dead.values()} <= {"wait"}


@pytest.mark.parametrize("seed", SEEDS)
def test_what_is_cancelled_or_signalled_while_workers_die_comes_about(seed):
    run_virtually(driven(seed))
