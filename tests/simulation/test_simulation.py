"""C1 to C7 under losses, crashes, rivals and bad luck, for many seeds. A failure is a seed:

PENSTOCK_SEED=1234 python -m pytest tests/simulation
"""

import asyncio
import os
from collections.abc import Sequence
from contextlib import suppress
from random import Random

import pytest
from chances import Chances
from life import live
from scene import Scene
from scenes import scenes_of
from world import World

from penstock.testing.virtual_time import run_virtually

ONE = os.environ.get("PENSTOCK_SEED")
SEEDS = [int(ONE)] if ONE else range(int(os.environ.get("PENSTOCK_SEEDS", "300")))


async def simulated(seed: int) -> tuple[World, Sequence[Scene]]:
    random = Random(seed)
    chances = Chances.of(random)
    world = World(random, chances)
    scenes = scenes_of(world)
    for number in range(chances.lives):
        lives = [asyncio.ensure_future(live(world, scenes, f"w{number}a"))]
        if chances.rivals:
            await asyncio.sleep(random.random() * chances.life_s)
            lives.append(asyncio.ensure_future(live(world, scenes, f"w{number}b")))
        await asyncio.sleep(random.random() * chances.life_s * 2)
        for each in lives:
            each.cancel()  # a kill: nothing is written any more
            with suppress(asyncio.CancelledError):
                await each
    world.healthy = True
    await live(world, scenes, "healed")
    return world, scenes


@pytest.mark.parametrize("seed", SEEDS, ids="seed-{}".format)
def test_every_guarantee_holds(seed: int) -> None:
    world, scenes = run_virtually(simulated(seed))
    disk = world.disk
    assert not world.faults
    for scene in scenes:
        scene.check()

    # Every agent is done with everything.
    for (agent, topic, partition), progress in disk.progress.items():
        assert progress.low == len(disk.logs[topic, partition]), (
            f"{agent} is at {progress} of {len(disk.logs[topic, partition])}"
        )
    assert {agent for agent, _, _ in disk.progress} >= {"split"}

    # C4: an effect happened more than once only where a process died or lost its claim in the middle.
    if world.chances.lives == 0:
        assert set(world.effects.values()) <= {1}
