"""Runs of state machines on several workers: begun, answered and stopped through any of them, and taken over."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from penstock import App, TaskInput
from penstock.adapters.memory.store import Disk, MemoryStore
from penstock.app import Running
from penstock.errors import Refused
from penstock.runtime.engine import running
from penstock.settings import Settings
from penstock.testing.virtual_time import VirtualClock
from penstock.wiring import opened

PARTITIONS = 8
ASK = {
    "StartAt": "Work",
    "States": {
        "Work": {"Type": "Task", "Resource": "agent:work", "Next": "Ask"},
        "Ask": {
            "Type": "Task",
            "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken",
            "Parameters": {"FunctionName": "keep", "Payload.$": "$$.Task.Token"},
            "End": True,
        },
    },
}


class House:
    """A store in memory that several workers share."""

    def __init__(self):
        self.disk = Disk()
        self.tokens = {}
        self.worked = []

    def app(self):
        app = App("house")

        @app.agent
        async def work(given: TaskInput) -> object:
            self.worked.append(given.input)
            return given.input

        @app.agent
        async def keep(given: TaskInput) -> None:
            self.tokens[given.input.partition(".")[0]] = given.input

        app.workflow("ask", definition=ASK)
        return app

    async def divide(self):
        store = MemoryStore(self.disk)
        await store.divide(await store.claim("divider"), PARTITIONS)

    @asynccontextmanager
    async def worker(self, name):
        clock, app = VirtualClock(name=name), self.app()
        store = MemoryStore(self.disk, now_ms=clock.now_ms)
        async with (
            opened(app.declared, Settings(), clock=clock, storage=(store, None), shared=True) as parts,
            running(parts, owner=name, beside=True) as engine,
        ):
            yield Running(app, engine)

    async def killed_worker(self, name, life_s):
        async def live():
            async with self.worker(name):
                await asyncio.Event().wait()

        task = asyncio.ensure_future(live())
        await asyncio.sleep(life_s)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_runs_are_begun_answered_and_stopped_through_any_worker():
    house = House()
    await house.divide()
    async with house.worker("a") as first, house.worker("b") as second:
        await asyncio.sleep(5)
        assert first.engine.partitions
        assert second.engine.partitions
        doors = [first.machine("ask"), second.machine("ask")]
        runs = [await doors[number % 2].start(number, name=f"n{number}") for number in range(12)]
        await asyncio.sleep(5)
        assert len(house.tokens) == 12
        for number, token in enumerate(list(house.tokens.values())[:6]):
            live = (first, second)[number % 2]
            await live.send_task_success(token, "yes")
            with pytest.raises(Refused, match="TaskTimedOut"):
                await live.send_task_success(token, "again")
        await asyncio.sleep(5)
        found = [await doors[number % 2].describe(run) for number, run in enumerate(runs)]
        assert sorted(each.status for each in found) == ["RUNNING"] * 6 + ["SUCCEEDED"] * 6
        for number, each in enumerate(found):
            if each.status == "RUNNING":
                await doors[(number + 1) % 2].stop(each.run_id, error="Enough")
        await asyncio.sleep(5)
        assert {each.status for each in await doors[0].runs()} == {"SUCCEEDED", "ABORTED"}
    assert sorted(house.worked) == list(range(12))


async def test_who_takes_over_goes_on_with_the_runs_of_a_worker_that_was_killed():
    house = House()
    await house.divide()
    async with house.worker("a") as first:
        dying = asyncio.ensure_future(house.killed_worker("b", 20))
        await asyncio.sleep(6)
        door = first.machine("ask")
        runs = [await door.start(number) for number in range(12)]
        await dying
        await asyncio.sleep(10)
        assert len(first.engine.partitions) == PARTITIONS
        for token in house.tokens.values():
            await first.send_task_success(token, "yes")
        assert [await first.result(run, within_s=30) for run in runs] == ["yes"] * 12
    assert sorted(house.worked) == list(range(12))
