"""A map over many items needs no more tasks than may go on at once, keeps their order, and ends with the first error."""

import asyncio

import pytest

from penstock import App, Event, WorkflowContext, testing
from penstock.errors import RunFailed
from penstock.testing.fixtures import anyio_backend, disk

__all__ = ["anyio_backend", "disk"]


class Trip(Event, key="who"):
    who: str
    stops: int = 0
    limit: int = 3


def trips(one, most=None):
    app = App("trips")

    @app.workflow
    async def travel(trip: Trip, ctx: WorkflowContext) -> list[int]:
        before = len(asyncio.all_tasks())

        async def leg(number):
            if most is not None:
                most.append(len(asyncio.all_tasks()) - before)
            return await ctx.step("leg", one, number)

        return await ctx.map(leg, range(trip.stops), limit=trip.limit)

    return app


async def call(app, disk, **of):
    async with testing.app(app, disk=disk) as live:
        return await live.call("travel", Trip(who="ada", **of))


async def test_five_hundred_items_need_no_more_tasks_than_go_on_at_once(disk):
    most = []
    assert await call(trips(lambda number: number + 1, most), disk, stops=500) == list(range(1, 501))
    assert 1 <= max(most) <= 3 + 4  # and a few of the engine's own


@pytest.mark.parametrize(("stops", "limit"), [(0, 3), (1, 3), (3, 3), (4, 3), (7, 1)])
async def test_results_are_in_the_order_of_the_items(disk, stops, limit):
    async def later_ones_are_quicker(number):
        await asyncio.sleep(0.001 * (stops - number))
        return number

    assert await call(trips(later_ones_are_quicker), disk, stops=stops, limit=limit) == list(range(stops))


async def test_the_first_error_ends_all_and_nothing_begins_after_it(disk):
    begun = []

    async def fails_at_two(number):
        begun.append(number)
        if number == 2:
            raise ValueError("the bridge is out")
        await asyncio.sleep(0.01)
        return number

    with pytest.raises(RunFailed, match="the bridge is out"):
        await call(trips(fails_at_two), disk, stops=50)
    assert set(begun) <= {0, 1, 2, 3, 4}


@pytest.mark.parametrize("limit", [0, -1])
async def test_a_limit_that_lets_nothing_begin_is_refused(disk, limit):
    with pytest.raises(RunFailed, match=f"limit={limit} lets no branch begin"):
        await call(trips(lambda number: number), disk, stops=2, limit=limit)
