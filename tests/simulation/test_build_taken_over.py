"""Who takes a partition over goes on with the builds that its owner had begun, although nobody writes any more."""

from dataclasses import replace
from random import Random

from chances import Chances
from library import Library
from test_simulation import simulated
from world import World

from penstock.testing.virtual_time import run_virtually

SEED = 83  # in it a build is left half done, and nothing is stored after its partition was taken over


def test_a_build_goes_on_where_its_worker_was_killed():
    random = Random(SEED)
    chances = Chances.of(random)
    world = World(random, replace(chances, partitions=random.choice([1, 2, 3, 5]), rivals=True, lives=4))
    library = Library(world)
    library.builds = True
    run_virtually(simulated(world, [library]))
    assert not world.faults
    library.check()
