"""C1 to C7 under losses, crashes, rivals and bad luck, for many seeds: safety at each write, then healing and rest.

A failure is a seed, and says how to run it again. `make soak` tries fresh ones for hours.
"""

import asyncio
import os
from collections.abc import Sequence
from contextlib import suppress
from random import Random

import pytest
from brokered import SimulatedBroker
from chances import Chances
from life import Life, live
from scene import Scene
from scenes import scenes_of
from watching import virtual_ms
from world import World

from penstock.adapters.memory.store import MemoryStore
from penstock.layers.brokered_store import AGENT as BROKER
from penstock.testing.virtual_time import run_virtually

ONE = os.environ.get("PENSTOCK_SEED")
FIRST = int(os.environ.get("PENSTOCK_FIRST_SEED", "0"))
SEEDS = [int(ONE)] if ONE else range(FIRST, FIRST + int(os.environ.get("PENSTOCK_SEEDS", "1000")))
PACED = ("steady", "steady", "ticking", "coarse")  # half of the seeds have clocks that are hard on whoever looks twice
AT_ONCE = 20  # seeds in one test: each test costs more than a seed does
pytestmark = pytest.mark.timeout(300)  # seconds of work, and many of waiting where the machine is busy


async def simulated(world: World, scenes: Sequence[Scene]) -> None:
    random, chances = world.random, world.chances
    if chances.partitions > 1:
        store = MemoryStore(world.disk, now_ms=virtual_ms)
        await store.divide(await store.claim("divider"), chances.partitions)
    for number in range(chances.lives):
        lives = [asyncio.ensure_future(live(Life(world, f"w{number}a", scenes), scenes))]
        if chances.rivals:
            await asyncio.sleep(random.random() * chances.life_s)
            lives.append(asyncio.ensure_future(live(Life(world, f"w{number}b", scenes), scenes)))
        await asyncio.sleep(random.random() * chances.life_s * 2)
        for each in lives:
            each.cancel()  # a kill: nothing is written any more
            with suppress(asyncio.CancelledError):
                await each
    world.healthy = True
    await live(Life(world, "healed", scenes), scenes)


def check(seed: int, *, over_broker: bool = False) -> None:
    """Simulate the world of a seed; its clocks are drawn apart, as the broker's chances are where its events go over one."""
    random, apart = Random(seed), Random(f"broker of {seed}")
    world = World(random, Chances.of(random))
    world.pace = Random(f"clocks of {seed}").choice(PACED)
    if over_broker:
        world.broker = SimulatedBroker.of(apart)
        world.chances.partitions = apart.choice([1, 2, 5])
    scenes = scenes_of(world)
    run_virtually(simulated(world, scenes))
    expect_all_held(world, scenes)


def expect_all_held(world: World, scenes: Sequence[Scene]) -> None:
    """Check a healed world."""
    disk = world.disk
    assert not world.faults, world.faults[:5]
    for scene in scenes:
        scene.check()

    # Every agent is done with everything.
    for (agent, topic, partition), progress in disk.progress.items():
        if agent != BROKER:
            assert progress.low == len(disk.logs[topic, partition]), (
                f"{agent} is at {progress} of {len(disk.logs[topic, partition])}"
            )
    assert {agent for agent, _, _ in disk.progress} >= {"split"}
    assert not disk.waiting, f"{disk.waiting} wait for ever"
    world.expect_in_line()


@pytest.mark.parametrize("seeds", [SEEDS[at : at + AT_ONCE] for at in range(0, len(SEEDS), AT_ONCE)], ids=str)
def test_every_guarantee_holds(seeds: Sequence[int]) -> None:
    for seed in seeds:
        try:
            check(seed)
        except BaseException as error:
            error.add_note(f"seed {seed}: PENSTOCK_SEED={seed} make test ARGS=tests/simulation")
            raise
