"""Random state machines, killed at random: each run ends, nothing that was durable of it changes, and no task is begun twice.

`PENSTOCK_SEEDS` says how many are tried; a failure names its seed.
"""

import asyncio
import json
import os
from contextlib import suppress
from random import Random

import pytest

from penstock import App, Context, TaskFailed, TaskInput, testing
from penstock.adapters.memory.store import MemoryStore
from penstock.core.agents.policy import Retry
from penstock.errors import Missing
from penstock.runtime.executions import history
from penstock.testing import WritePoint
from penstock.testing.virtual_time import run_virtually

SEEDS = min(int(os.environ.get("PENSTOCK_SEEDS", "200")), 4000)
DEATHS = 3
ONCE = Retry(attempts_max=1)
RUN = "one"
DYING = [
    WritePoint.BEFORE_COMMIT,
    WritePoint.DURING_COMMIT,
    WritePoint.AFTER_COMMIT,
    WritePoint.AFTER_RELEASE,
    WritePoint.AFTER_HANDLING,
]
RETRY = [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 1, "MaxAttempts": 2, "JitterStrategy": "FULL"}]
ERRORS = ("States.ALL", "States.Timeout", "States.TaskFailed", "Broken")
TASK = {"Type": "Task", "Resource": "agent:work", "ResultPath": "$.a"}
SIMPLE = (
    {"Type": "Pass", "Parameters": {"items.$": "$.items", "id.$": "States.UUID()"}},
    {"Type": "Pass", "Result": 1, "ResultPath": "$.x", "Assign": {"seen.$": "$.items"}},
    {"Type": "Wait", "Seconds": 3},
    {**TASK, "TimeoutSeconds": 5},
    {**TASK, "Retry": RETRY},
    TASK,
)
INPUT = {"items": [1, 2, 3]}


def state(random, depth):
    kind = random.random()
    if depth == 0 or kind < 0.6:
        return dict(random.choice(SIMPLE))
    retry = {"Retry": RETRY} if random.random() < 0.3 else {}
    if kind < 0.8:
        branches = [chain(random, depth - 1) for _ in range(random.randint(1, 3))]
        return {"Type": "Parallel", "Branches": branches, "ResultPath": "$.p", **retry}
    return {
        "Type": "Map",
        "ItemsPath": "$.items",
        "MaxConcurrency": random.randint(0, 2),
        "ResultPath": "$.m",
        "ItemSelector": {"n.$": "$$.Map.Item.Value", "items": [1]},
        "ItemProcessor": {
            "ProcessorConfig": {"Mode": random.choice(["INLINE", "DISTRIBUTED"]), "ExecutionType": "STANDARD"},
            **chain(random, depth - 1),
        },
        **retry,
    }


def chain(random, depth):
    """States in a row, with names that no other row has; some catch what fails."""
    prefix = f"{random.getrandbits(40):x}"
    row = [state(random, depth) for _ in range(random.randint(1, 3))]
    error = random.choice([None, *ERRORS])
    for at, each in enumerate(row):
        each.update({"Next": f"{prefix}-{at + 1}"} if at + 1 < len(row) else {"End": True})
        if error is not None and each["Type"] in ("Task", "Parallel", "Map"):
            each["Catch"] = [{"ErrorEquals": [error], "Next": f"{prefix}-caught", "ResultPath": "$.error"}]
    named = {f"{prefix}-{at}": each for at, each in enumerate(row)}
    if error is not None and any("Catch" in each for each in row):
        named[f"{prefix}-caught"] = {"Type": "Succeed"}
    return {"StartAt": f"{prefix}-0", "States": named}


def app_of(seed):
    app = App("random")

    @app.agent(retry=ONCE)
    async def work(given: TaskInput, ctx: Context) -> object:
        """What becomes of a call follows from its id: so it is the same in every life."""
        fate = Random(f"{seed}{ctx.run_id}").random()
        if fate < 0.25:
            raise TaskFailed("Broken", "by chance")
        if fate < 0.4:
            await ctx.read("sleep", asyncio.sleep, 100)
        return fate

    app.workflow("machine", definition=chain(Random(seed), 2))
    return app


def ended(event):
    details = event.get("executionSucceededEventDetails", event.get("executionFailedEventDetails"))
    return json.loads(details.get("output", "null")), details.get("error")


async def durable_history(disk):
    with suppress(Missing):
        return await history(MemoryStore(disk.memory), f"machine~{RUN}:machine", "default")
    return []


async def tried(seed):
    app, random, disk = app_of(seed), Random(f"deaths {seed}"), testing.Disk()
    before = []
    for death in range(DEATHS):
        point, nth = random.choice(DYING), random.randint(1, 12)
        try:
            if death == 0:
                async with testing.app(app, disk=disk) as live, live.crash_at(point, nth):
                    await live.machine("machine").start_sync(INPUT, name=RUN, within_s=1e6)
            else:
                await testing.crash_starting(app, point, nth, disk=disk)
        except testing.NotReached:
            break
        now = await durable_history(disk)
        assert now[: len(before)] == before
        before = now
    async with testing.app(app, disk=disk) as live:
        door = live.machine("machine")
        found = await door.start_sync(INPUT, name=RUN, within_s=1e6)
        told = await door.history(found.run_id)
        await live.settled()
        calls = [each.run_id for each in await live.runs("work")]
    assert told[: len(before)] == before
    assert found.status in ("SUCCEEDED", "FAILED")
    assert await durable_history(disk) == told
    assert ended(told[-1]) == (found.output, found.error), "what was read again is what the run came to while it lived"
    scheduled = sum(each["type"] == "TaskScheduled" for each in told)
    distributed = any(each["type"] == "MapRunStarted" for each in told)  # the histories of its children are not kept
    assert len(calls) == len(set(calls))
    assert distributed or len(calls) <= scheduled, "one that is given up at once is not called"
    return found.status, death


@pytest.mark.parametrize("part", range(4))
def test_a_random_machine_that_is_killed_at_random_ends_as_it_would(part):
    outcomes = set()
    for seed in range(part, SEEDS, 4):
        try:
            outcomes.add(run_virtually(tried(seed)))
        except BaseException as error:
            error.add_note(f"seed {seed}")
            raise
    assert {status for status, _ in outcomes} == {"SUCCEEDED", "FAILED"}
    assert len({deaths for _, deaths in outcomes}) > 1
