"""`penstock run`: real processes that share a store, one of which is killed."""

import asyncio
import os
import re
import signal
import subprocess
import sys
from contextlib import contextmanager

import pytest

from penstock.cli.loading import load
from penstock.cli.working import divide, run_workers
from penstock.errors import Invalid, Refused
from penstock.wiring import Settings

pytestmark = pytest.mark.timeout(120)
CUSTOMERS = 20
APP = """
from penstock import App, Context, Event


class Order(Event, key="customer"):
    customer: str
    number: int


app = App("counting")


@app.agent
async def take(order: Order, ctx: Context) -> list[int]:
    seen = [*await ctx.values.get("seen", [], to=list[int]), order.number]
    await ctx.values.set("seen", seen)
    return seen
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "counting.py"
    path.write_text(APP, encoding="utf-8")
    return path


@contextmanager
def command(*arguments):
    """Run `penstock` as a person would, and interrupt it at the end."""
    program = [sys.executable, "-m", "penstock.cli", *arguments]
    process = subprocess.Popen(program, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(30)
        finally:
            process.kill()
            process.stderr.close()


def workers_in(process, count):
    """Return the process ids of the next workers that say that they run."""
    pids = []
    while len(pids) < count:
        line = process.stderr.readline()
        assert line, f"it ended with {process.poll()}"
        if said := re.search(r"runs on .* as process (\d+)", line):
            pids.append(int(said[1]))
    return pids


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


@pytest.mark.parametrize("workers", [0, -1, 65])
def test_a_number_of_workers_that_makes_no_sense_is_refused(file, workers):
    with pytest.raises(Invalid, match="--workers"):
        run_workers(file, {}, workers)


def test_a_store_in_memory_cannot_be_shared(file):
    with pytest.raises(Invalid, match="cannot be shared"):
        run_workers(file, {"store": "memory:"}, 2)
