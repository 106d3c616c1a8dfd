"""`penstock run`: real processes that share a store, one of which is killed."""

import asyncio
import os
import signal

import pytest
from worker_processes import COUNTING, command, workers_in

from penstock.cli.loading import load
from penstock.cli.working import divide, run_workers
from penstock.errors import Invalid, Refused
from penstock.settings import Settings

pytestmark = pytest.mark.timeout(120)
CUSTOMERS = 20


@pytest.fixture
def file():
    return COUNTING


async def orders(live, app, numbers):
    """Ask for orders of all customers, in turn, and return what was seen of each at last."""
    (order,) = app.agents["take"].accepts
    seen = {}
    for number in numbers:
        names = [f"c{each}" for each in range(CUSTOMERS)]
        asked = (live.call("take", order(customer=name, number=number), within_s=30) for name in names)
        seen = dict(zip(names, await asyncio.gather(*asked), strict=True))
    return seen


async def test_workers_share_a_file_and_one_that_is_killed_is_replaced(file, tmp_path):
    store = f"sqlite:{tmp_path / 'counting.db'}"
    with command("run", str(file), "--workers", "2", "--store", store) as process:
        first, _ = await asyncio.to_thread(workers_in, process, 2)
        app = load(file)
        async with app.running(Settings(store=store), beside=True) as live:
            before = await orders(live, app, range(3))
            assert set(map(tuple, before.values())) == {(0, 1, 2)}
            os.kill(first, signal.SIGKILL)
            after = await orders(live, app, range(3, 6))
            assert set(map(tuple, after.values())) == {(0, 1, 2, 3, 4, 5)}
            (again,) = await asyncio.to_thread(workers_in, process, 1)
            assert again != first
    assert process.returncode == 0


async def test_another_command_is_kept_from_a_file_that_workers_share(file, tmp_path):
    store = f"sqlite:{tmp_path / 'counting.db'}"
    with command("run", str(file), "--workers", "1", "--store", store) as process:
        await asyncio.to_thread(workers_in, process, 1)
        with pytest.raises(Refused, match="in use"):
            async with load(file).running(Settings(store=store)):
                pass


async def test_one_process_runs_an_app_without_a_door(file, tmp_path):
    with command("run", str(file), "--store", f"sqlite:{tmp_path / 'counting.db'}") as process:
        await asyncio.to_thread(workers_in, process, 1)
    assert process.returncode == 0


async def test_a_store_is_divided_once(file, tmp_path):
    chosen = Settings(store=f"sqlite:{tmp_path / 'counting.db'}")
    assert await divide(load(file), chosen, 4) == 4
    assert await divide(load(file), chosen, 8) == 4


@pytest.mark.parametrize("workers", ["0", "-1", "65", "3-2", "1-65", "many", "1-", "2-3-4"])
def test_a_number_of_workers_that_makes_no_sense_is_refused(file, workers):
    with pytest.raises(Invalid, match="--workers"):
        run_workers(file, {}, workers)


def test_a_store_in_memory_cannot_be_shared(file):
    with pytest.raises(Invalid, match="cannot be shared"):
        run_workers(file, {"store": "memory:"}, "2")
