"""What fails in the simulation for bad luck alone is told from an attempt that the engine counts twice, or loses."""

from random import Random

import pytest
from chances import Chances
from errands import Errand, Errands
from test_simulation import simulated
from world import World

from penstock.runtime.handling import Handlings
from penstock.runtime.lanes import Delivery
from penstock.testing.virtual_time import run_virtually


def unlucky() -> tuple[World, Errands]:
    """Run one errand whose helper fails at each attempt."""
    world = World(Random(1), Chances(failure=1.0, lives=1, life_s=60.0))
    scene = Errands(world)
    scene.errands, scene.doubts = [Errand(customer="c0", number=0, signals=2)], []
    return world, scene


def test_a_helper_without_any_luck_fails_its_errand():
    world, scene = unlucky()

    run_virtually(simulated(world, [scene]))

    scene.check()
    assert not world.faults
    assert scene.given_up == {"errand-0"}
    assert list(scene.unlucky.values()) == [6]


def test_an_attempt_that_the_engine_counts_twice_is_found(monkeypatch: pytest.MonkeyPatch):
    world, scene = unlucky()
    try_later = Handlings._try_later

    def twice(self: Handlings, delivery: Delivery, reason: str, wait_s: float) -> None:
        try_later(self, delivery, reason, wait_s)
        delivery.attempt += 1

    monkeypatch.setattr(Handlings, "_try_later", twice)

    run_virtually(simulated(world, [scene]))

    assert list(scene.unlucky.values()) == [4]
    assert "bad luck" in world.faults[0]
