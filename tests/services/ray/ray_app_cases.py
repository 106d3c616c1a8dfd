"""Apps whose handlers run on a real Ray: the same outcomes as here, deaths of processes and nodes, pools. Run by tests/adapters/on_ray."""

import asyncio
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import hosted_app
import psutil
import pytest
from hosted_app import Slow
from hosted_outcomes import story
from ray_server import GCS, Ray

FOLDER = Path(os.environ.get("RAY_TEST_FOLDER", "/nowhere"))


@pytest.fixture(params=[Ray.client, Ray.direct])
def url(request):
    return request.param


def lines(path):
    return path.read_text().splitlines() if path.exists() else []


async def comes(holds):
    while not holds():  # noqa: ASYNC110 - other processes tell nobody
        await asyncio.sleep(0.02)


async def test_an_app_comes_to_the_same_on_ray(tmp_path, url):
    async with hosted_app.app.running(store=f"sqlite:{tmp_path}/here.db") as live:
        here = await story(live, str(tmp_path / "here"))
    async with hosted_app.app.running(store=f"sqlite:{tmp_path}/there.db", host=url) as live:
        there = await story(live, str(tmp_path / "there"))
    for name, value in here.items():
        assert there[name] == value, name
    effects = [
        [re.sub(r"sleeping \d+", "sleeping", each) for each in lines(tmp_path / name)] for name in ("here", "there")
    ]
    assert effects[0] == effects[1] != []


async def test_the_kill_of_an_actor_within_a_step_is_a_step_that_is_done_again(tmp_path):
    log = tmp_path / "log"
    async with hosted_app.app.running(store=f"sqlite:{tmp_path}/app.db", host=Ray.direct) as live, asyncio.timeout(60):
        run = await live.start("wait", Slow(customer="cy", wait_s=1.5, log=str(log)))
        await comes(lambda: any("sleeping" in each for each in lines(log)))
        pid = int(next(each for each in lines(log) if "sleeping" in each).split()[1])
        os.kill(pid, signal.SIGKILL)
        assert await live.result(run) != pid
        told = [each.split()[0] for each in lines(log)]
        assert told.count("charged") == 2  # one before, one after: each once
        assert told.count("sleeping") == 2
        assert told.count("slept") == 1
        assert (await live.engine.run(run)).change.attempt == 1


async def test_the_death_of_a_node_within_a_step_is_a_step_that_is_done_again(tmp_path):
    log = tmp_path / "log"
    agent = hosted_app.app.agents["wait"]
    node = [Path(sys.executable).parent / "ray", "start", "--block", f"--address=127.0.0.1:{GCS}", "--num-cpus=4"]
    with (tmp_path / "node.log").open("wb") as out:
        second = subprocess.Popen([*map(str, node), "--disable-usage-stats"], stdout=out, stderr=out)
    try:
        async with (
            hosted_app.app.running(store=f"sqlite:{tmp_path}/app.db", host=Ray.direct) as live,
            asyncio.timeout(90),
        ):
            import ray

            await comes(lambda: sum(each["Alive"] for each in ray.nodes()) == 2)
            events = [
                Slow(customer=f"c{number}", wait_s=4, log=str(log))
                for number in range(agent.options.resources.handlings_max + 1)
            ]
            runs = [await live.start("wait", each) for each in events]
            await comes(lambda: sum("sleeping" in each for each in lines(log)) == len(runs))
            family = psutil.Process(second.pid).children(recursive=True)
            there = {each.pid for each in family} & {int(each.split()[1]) for each in lines(log) if "sleeping" in each}
            second.kill()
            for each in family:
                if each.is_running():
                    each.kill()
            results = [await live.result(run) for run in runs]
            assert not set(results) & there
            told = [re.sub(r" \d+$", "", each) for each in lines(log)]
            assert told.count("charged") == 2 * len(runs)
            assert told.count("slept") == len(runs)
            if there:
                assert told.count("sleeping") > len(runs)
    finally:
        second.kill()
        second.wait()


async def test_a_connection_of_ray_client_that_is_lost_is_made_anew(tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_CLIENT_RECONNECT_GRACE_PERIOD", "1")
    store = f"sqlite:{tmp_path}/app.db"
    async with hosted_app.app.running(store=store, host=Ray.client) as live, asyncio.timeout(90):
        first = await live.call("wait", Slow(customer="a", wait_s=0.01), id="first")
        doors = [
            each
            for each in psutil.process_iter(["cmdline"])
            if "specific-server" in " ".join(each.info["cmdline"] or [])
        ]
        assert doors
        for each in doors:
            each.kill()
        second = await live.call("wait", Slow(customer="b", wait_s=0.01), id="second")
        assert second != first  # its actors went with the connection
        import ray

        assert ray.util.client.ray.is_connected()  # to the same cluster: none was made in this process


async def test_a_pool_grows_with_what_waits_and_shrinks_when_nothing_does(tmp_path):
    log = tmp_path / "log"

    def actors():
        return [
            each
            for each in psutil.process_iter(["cmdline"])
            if "ray::HandlingActor" in " ".join(each.info["cmdline"] or [])
        ]

    async with hosted_app.app.running(store=f"sqlite:{tmp_path}/app.db", host=Ray.direct) as live, asyncio.timeout(60):
        await comes(lambda: not actors())
        pids = set()
        for batch in range(100):  # as long as there is something to do: on a busy machine a worker is long in coming
            events = [Slow(customer=f"c{batch}-{number}", wait_s=0.3, log=str(log)) for number in range(8)]
            runs = [await live.start("wait", each) for each in events]
            pids |= {await live.result(run) for run in runs}
            assert len(actors()) <= 2  # what the agent declares as its most
            if len(pids) == 2:
                break
        assert len(pids) == 2
        await comes(lambda: not actors())
