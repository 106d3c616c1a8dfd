"""One fault at the n-th write of a small run, for every n: exhaustive, where the seeds draw at random."""

from random import Random

import pytest
from chances import Chances
from life import Life, live
from scenes import scenes_of
from test_simulation import expect_all_held
from world import World

from penstock.runtime.write_points import OF_ENGINES
from penstock.testing import WritePoint, run_virtually
from penstock.testing.faults import Faults, NthWrite

SEED = 7  # of the small world: what is asked; the faults are not drawn
FAULTS = ("lost request", "lost answer", "repeated", "full for a while", "full for long")
WRITES_LEAST = 10
pytestmark = pytest.mark.timeout(300)  # seconds of work, and many of waiting where the machine is busy


def small_world() -> World:
    return World(Random(SEED), Chances(life_s=0.2, poison=0.1, orders_max=8))


async def lived(world: World, faults: Faults | None, death: tuple[WritePoint, int] | None = None) -> bool:
    """Live one life with its fault, heal, and live once more; return whether the first died as it was to."""
    scenes = scenes_of(world)
    first = Life(world, "first", scenes, faults or Faults())
    if death:
        first.doomed(*death)
    await live(first, scenes)
    world.healthy = True
    await live(Life(world, "healed", scenes), scenes)
    expect_all_held(world, scenes)
    return first.fate.dead


def writes_without_fault() -> int:
    none = NthWrite(-1, "lost request")
    run_virtually(lived(small_world(), none))
    return none.seen


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_at_any_write_loses_and_doubles_nothing(fault):
    writes = writes_without_fault()
    assert writes >= WRITES_LEAST
    for nth in range(1, writes + 1):
        try:
            run_virtually(lived(small_world(), NthWrite(nth, fault)))
        except BaseException as error:
            error.add_note(f"{fault} at write {nth} of {writes}")
            raise


@pytest.mark.parametrize("point", [each for each in OF_ENGINES if each != WritePoint.WHILE_RESUMING])
def test_a_death_at_any_time_at_any_point_loses_and_doubles_nothing(point):
    nth, died = 0, True
    while died:
        nth += 1
        try:
            died = run_virtually(lived(small_world(), None, (point, nth)))
        except BaseException as error:
            error.add_note(f"death {point} for the {nth}. time")
            raise
    assert nth > (1 if "claim" in point else WRITES_LEAST // 2), f"{point} was reached only {nth - 1} times"
