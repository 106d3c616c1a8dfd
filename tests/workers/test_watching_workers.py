"""`penstock run --metrics`: metrics and probes of workers that have no other door, from their start to their end."""

import asyncio
import re
import signal
import socket

import httpx2
import pytest
from worker_processes import COUNTING, command

from penstock.cli.watching import WatchDoor, watch_door, watched
from penstock.errors import Invalid, Refused

pytestmark = pytest.mark.timeout(120)


def doors_in(process, count):
    """Return the addresses that processes tell, once as many of them work."""
    found, working = [], 0
    while len(found) < count or working < count:
        line = process.stderr.readline()
        assert line, f"it ended with {process.poll()}"
        found += re.findall(r"metrics are at (http://\S+)/metrics", line)
        working += "runs on" in line
    return found


def figures(address):
    lines = httpx2.get(f"{address}/metrics", timeout=10).text.splitlines()
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")}


def until(look, wanted, within_s=30):
    """Ask again and again; what is asked is another process."""
    for _ in range(within_s * 20):
        if look() == wanted:
            return
        signal.sigtimedwait([], 0.05)
    assert look() == wanted


def test_one_process_says_how_it_does_and_ends_well_when_it_is_asked_to(tmp_path):
    store = f"sqlite:{tmp_path / 'counting.db'}"
    with command("run", str(COUNTING), "--store", store, "--metrics", "0") as process:
        (address,) = doors_in(process, 1)
        until(lambda: httpx2.get(f"{address}/readyz").status_code, 200)
        assert httpx2.get(f"{address}/healthz").json() == {"status": "ok", "app": "counting"}
        found = figures(address)
        assert found["penstock_up"] == 1
        assert found["process_cpu_seconds_total"] > 0
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


def test_each_of_several_workers_has_a_port_of_its_own(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    store = f"sqlite:{tmp_path / 'counting.db'}"
    options = ("--workers", "2", "--store", store, "--metrics-port", str(port))
    with command("run", str(COUNTING), *options) as process:
        assert sorted(doors_in(process, 2)) == [f"http://127.0.0.1:{port}", f"http://127.0.0.1:{port + 1}"]
        for each in (port, port + 1):
            until(lambda at=each: httpx2.get(f"http://127.0.0.1:{at}/readyz").status_code, 200)
            assert figures(f"http://127.0.0.1:{each}")["penstock_up"] == 1
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


async def test_a_process_that_does_not_work_yet_is_alive_and_not_ready():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    async with watched("shop", WatchDoor("127.0.0.1", port)) as state, httpx2.AsyncClient() as client:
        at = f"http://127.0.0.1:{port}"
        assert (await client.get(f"{at}/healthz")).status_code == 200
        answer = await client.get(f"{at}/readyz")
        assert (answer.status_code, answer.json()["status"]) == (503, "not ready")
        assert "penstock_up 0" in (await client.get(f"{at}/metrics")).text
        state.ending = True
        assert (await client.get(f"{at}/readyz")).json()["reason"] == "it was asked to end"
        with pytest.raises(Refused, match="--metrics"):
            async with watched("shop", WatchDoor("127.0.0.1", port)):
                pass


async def test_what_ends_the_work_leaves_as_it_came():
    async def work():
        async with watched("shop", WatchDoor("127.0.0.1", 0)):
            await asyncio.sleep(0)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await work()


@pytest.mark.parametrize(
    ("text", "door"),
    [
        ("9464", ("127.0.0.1", 9464)),
        ("0.0.0.0:9464", ("0.0.0.0", 9464)),
        ("[::1]:9464", ("::1", 9464)),
        (":0", ("127.0.0.1", 0)),
    ],
)
def test_a_door_is_a_port_or_a_host_with_one(text, door):
    assert watch_door(text) == door
    assert watch_door(str(watch_door(text))) == door


@pytest.mark.parametrize(
    ("text", "workers"), [("", 1), ("x", 1), ("70000", 1), ("1.2.3.4:", 1), ("65530", 8), ("²", 1)]
)
def test_what_is_no_door_is_refused(text, workers):
    with pytest.raises(Invalid, match="--metrics"):
        watch_door(text, workers)
