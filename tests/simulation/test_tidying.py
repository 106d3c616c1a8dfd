"""Pruning, archive and large values beside work, with faults and deaths: nothing that is needed is lost, nothing leaks for ever.

A seed draws the faults, when each life ends, and how often is tidied. After each life, every reference on the disk has its value,
and every event that was ever durable is in the log or in the archive. In the end nothing lies there that nobody refers to.
"""

import asyncio
import os
from contextlib import suppress
from dataclasses import replace
from random import Random

import pytest

from penstock import App, Context, Event, Keep, Retention
from penstock.adapters.memory.store import Disk, MemoryStore
from penstock.core.agents.unit import Writes
from penstock.core.exports.copying import digests_of
from penstock.core.exports.keys import fresh
from penstock.errors import PenstockError, Unavailable
from penstock.ports.rows import KINDS
from penstock.runtime.engine import running
from penstock.runtime.tidying import READ_MS, Places, Round
from penstock.settings import Settings
from penstock.testing.archives import MemoryArchive
from penstock.testing.faults import Faults, Weather
from penstock.testing.faulty_store import FaultyStore
from penstock.testing.virtual_time import VirtualClock, run_virtually
from penstock.wiring import opened

SEEDS = max(1, int(os.environ.get("PENSTOCK_SEEDS", "1000")) // 20)
LIVES = 4
NOTHING = Retention(events=Keep(days=0), journals_days=0, runs_days=0, values_days=1, every_s=1e9)
TEXTS = [f"{number} " * 40_000 for number in range(3)]  # each more than a blob begins with


class Said(Event, key="who"):
    who: str
    text: str = ""


class Heard(Event, key="who"):
    who: str


def talk() -> App:
    app = App("talk", retention=NOTHING)

    @app.agent
    async def hear(said: Said, ctx: Context) -> Heard:
        thought = await ctx.step("think", str.upper, said.text)
        assert thought == said.text.upper()
        last = await ctx.values.get("last", "", to=str)
        assert last in ("", *TEXTS, "small")
        await ctx.values.set("last", said.text)
        await ctx.values.set("count", (await ctx.values.get("count", 0, to=int)) + 1)
        return Heard(who=said.who)

    @app.agent
    async def note(heard: Heard) -> None:
        pass

    return app


class World:
    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.disk = Disk()
        self.archive = MemoryArchive()
        self.clock = VirtualClock(Random(seed))
        self.acknowledged: set[str] = set()
        self.sent = 0

    def faults(self, *, healthy: bool) -> Faults:
        return Faults() if healthy else Weather(self.random, loss=0.03, delay_s=0.02, repeats=0.03)


async def lived(world: World, *, healthy: bool = False) -> None:
    """Live one life, which ends at some time as a kill does, unless it is the last."""
    store = FaultyStore(MemoryStore(world.disk), world.faults(healthy=healthy))
    async with opened(talk().declared, Settings(), clock=world.clock, storage=(store, None)) as parts:
        home = parts.household
        assert home is not None
        home = replace(home, archive=world.archive)
        async with running(replace(parts, household=None), owner="w") as engine:

            async def client() -> None:
                for _ in range(world.random.randint(1, 8)):
                    world.sent += 1
                    text = world.random.choice([*TEXTS, "small"])
                    event = Said(who=f"w{world.random.randint(0, 2)}", text=text)
                    world.acknowledged.add(await engine.send(event, id=f"e{world.sent}"))
                    await asyncio.sleep(world.random.expovariate(1 / 600))

            async def tidies() -> None:
                while True:
                    world.archive.is_full = not healthy and world.random.random() < 0.2
                    with suppress(Unavailable):
                        await Round(parts.store, world.clock, home, engine).run(Places())
                    await asyncio.sleep(world.random.expovariate(1 / 900))

            tidying = asyncio.ensure_future(tidies())
            try:
                await asyncio.gather(*(client() for _ in range(3)))
                await engine.settled(3600)
                if healthy:
                    await asyncio.sleep(2 * 86_400 + 2 * READ_MS / 1000)
            finally:
                tidying.cancel()
                await asyncio.gather(tidying, return_exceptions=True)


async def everything(disk: Disk) -> Writes:
    store, found = MemoryStore(disk), Writes()
    for kind in KINDS:
        getattr(found, kind).extend(getattr((await store.rows(kind, after=b"", limit=1_000_000)).rows, kind))
    return found


async def expect_whole(world: World) -> Writes:
    rows = await everything(world.disk)
    assert set(digests_of(rows)) <= world.disk.blobs.keys(), "a value that is referred to is gone"
    kept = world.archive.rows()
    assert set(digests_of(kept)) <= {blob.digest for blob in kept.blobs}, "a value is not in the archive"
    there = {each.event.id for each in (*rows.events, *kept.events)}
    assert world.acknowledged <= there, f"{world.acknowledged - there} is nowhere"
    assert fresh(kept, Writes())[1] == [], "the archive contradicts itself"
    return rows


async def simulated(seed: int) -> None:
    world = World(seed)
    for _ in range(LIVES):
        life = asyncio.ensure_future(lived(world))
        await asyncio.wait([life], timeout=world.random.expovariate(1 / 2000))
        life.cancel()  # what is under way is cut off, as by a kill
        for outcome in await asyncio.gather(life, return_exceptions=True):
            if outcome is not None and not isinstance(outcome, (PenstockError, asyncio.CancelledError)):
                raise outcome
        await expect_whole(world)
    await lived(world, healthy=True)
    rows = await expect_whole(world)
    assert set(world.disk.blobs) == set(digests_of(rows)), "a value that nobody refers to leaks"
    assert len(rows.events) <= 2 * 2, "what may go is still there"
    assert len(rows.dead) == 0
    handled = [each for each in world.archive.rows().runs if each.agent == "hear"]
    handled += [each for each in rows.runs if each.agent == "hear"]
    assert {each.run_id for each in handled} >= {f"{each}:hear" for each in world.acknowledged}
    assert {each.status for each in handled} == {"succeeded"}


@pytest.mark.parametrize("seed", range(SEEDS), ids="seed-{}".format)
def test_tidying_beside_work_loses_nothing_and_leaks_nothing(seed):
    run_virtually(simulated(seed))
