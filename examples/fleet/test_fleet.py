"""Reports that come late, twice, in any order, and over a crash, come to the same."""

from itertools import permutations

import pytest
from fleet_app import Known, Robot, app

from penstock import testing


def reports():
    """Return reports of three robots, some of them early ones."""
    ada, bob, cyd = Robot("ada"), Robot("bob"), Robot("cyd")
    ada.sees("wall")
    ada.uses(5)
    early = ada.report("north")
    ada.uses(-2)
    bob.sees("tree")
    bob.uses(4)
    cyd.sees("wall")
    return [early, ada.report("north"), bob.report("north"), cyd.report("north")]


@pytest.mark.parametrize("order", list(permutations(range(4)))[::5])
async def test_any_order_and_repeats_come_to_the_same(order):
    async with testing.app(app) as live:
        for number in (*order, *order):
            await live.send(reports()[number])
        await live.settled()
        known = (await live.events(Known))[-1]
    assert (known.obstacles, known.energy_used) == (["tree", "wall"], 7)


@pytest.mark.parametrize("point", ["after append", "after handling", "during commit", "after commit"])
async def test_a_crash_between_two_reports_loses_nothing(disk, point):
    async with testing.app(app, disk=disk) as live, live.crash_at(point):
        for report in reports():
            await live.send(report)
    async with testing.app(app, disk=disk) as live:
        for report in reports():
            await live.send(report)
        await live.settled()
        known = (await live.events(Known))[-1]
    assert (known.obstacles, known.energy_used) == (["tree", "wall"], 7)
