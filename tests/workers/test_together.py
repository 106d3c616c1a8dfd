"""Two real processes and this one share a store, and one of them is killed: what must be so once is so once, on every backend."""

import asyncio
import os
import signal

import pytest
from worker_processes import TOGETHER, command, workers_in

from penstock.adapters.clock.system import SystemClock
from penstock.cli.loading import load
from penstock.core.timing.timers import moment_text
from penstock.errors import Missing
from penstock.ports.state import RunFilter
from penstock.settings import Settings

pytestmark = pytest.mark.timeout(180)
JOBS = 120
TIMERS = 10
TOURS = 6
TICKS = 4


async def until(look, wanted, within_s=40):
    """Look from outside until what is wanted is seen."""
    for _ in range(within_s * 20):
        if (seen := await look()) == wanted:
            return
        await asyncio.sleep(0.05)
    assert seen == wanted


@pytest.fixture
def environment(tmp_path, monkeypatch):
    monkeypatch.setenv("TOGETHER_NOTES", str(tmp_path / "notes.txt"))
    monkeypatch.setenv("TOGETHER_BEGAN", moment_text(SystemClock().now_ms()))
    return {**os.environ}


async def test_limits_timers_schedules_signals_and_cancelled_children_are_those_of_one_app(
    store, environment, tmp_path
):
    with command("run", str(TOGETHER), "--workers", "2", "--store", store, environment=environment) as process:
        first, _ = await asyncio.to_thread(workers_in, process, 2)
        app = load(TOGETHER)
        kinds = {event.__name__: event for agent in app.agents.values() for event in agent.accepts}
        async with app.running(Settings(store=store), beside=True) as live:
            catalog = live.engine.parts.store
            tours = [
                await live.start("drive", kinds["Tour"](driver=f"d{each}"), id=f"tour-{each}") for each in range(TOURS)
            ]
            for each in range(TIMERS):
                await live.send(kinds["Nudge"](who=f"w{each}"), id=f"nudge-{each}", after_s=4 if each % 2 else 600)
            jobs = [
                live.send(kinds["Job"](customer=f"c{each % 40}", number=each), id=f"job-{each}") for each in range(JOBS)
            ]
            await asyncio.gather(*jobs)
            os.kill(first, signal.SIGKILL)
            for each in range(0, TIMERS, 2):
                await live.cancel_timer(f"nudge-{each}")
            for each, run in enumerate(tours):
                await (live.signal(run, "tip", each) if each % 2 else live.cancel(run))
            for each in range(1, TOURS, 2):
                assert await live.result(tours[each], within_s=60) == each

            async def all_done():
                done = await catalog.runs(RunFilter(agent="work", status="succeeded", limit=1000))
                waits = await catalog.runs(RunFilter(agent="wait", status="cancelled", limit=1000))
                ticks = await catalog.runs(RunFilter(agent="tick", status="succeeded", limit=1000))
                nudged = await catalog.runs(RunFilter(agent="nudge", status="succeeded", limit=1000))
                return len(done), len(waits), len(ticks), len(nudged)

            await until(all_done, (JOBS, TOURS, TICKS, TIMERS // 2))
            assert [(await live.engine.run(tours[each])).change.status for each in range(0, TOURS, 2)] == [
                "cancelled"
            ] * 3
            ends = dict.fromkeys(("tick", "nudge", "job", "stop"), 0)
            for (topic, _), end in (await catalog.ends()).items():
                if topic in ends:
                    ends[topic] += end
            assert ends == {"tick": TICKS, "nudge": TIMERS // 2, "job": JOBS, "stop": TOURS}
            with pytest.raises(Missing):
                await live.cancel_timer("nudge-0")
            assert not await live.dead_letters()
    assert_within_limit((tmp_path / "notes.txt").read_text("utf-8").splitlines(), first)


def assert_within_limit(notes, killed):
    """Check that no more than three jobs went on at once. Those of the killed process ended with it, unseen."""
    at_work: dict[int, int] = {}
    most = 0
    last_of_killed = max((index for index, line in enumerate(notes) if int(line.split()[1]) == killed), default=-1)
    for index, line in enumerate(notes):
        pid, what = int(line.split()[1]), line.split()[2]
        at_work[pid] = at_work.get(pid, 0) + (1 if what == "begins" else -1)
        if index == last_of_killed:
            at_work.pop(killed)
        most = max(most, sum(at_work.values()))
    assert most == 3
