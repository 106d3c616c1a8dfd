"""Activities: workers come for tasks, over restarts, each task once."""

import asyncio

import pytest

from penstock import App, testing
from penstock.errors import Invalid, Missing, RunFailed
from penstock.runtime.activities import Activities, ActivityTask, Offered
from penstock.testing import WritePoint

ARN = "arn:aws:states:eu-west-1:123456789012:activity:paint"
PAINT = {
    "StartAt": "Paint",
    "States": {"Paint": {"Type": "Task", "Resource": ARN, "TimeoutSeconds": 600, "HeartbeatSeconds": 300, "End": True}},
}


def studio(definition=PAINT):
    app = App("studio")
    app.activity("paint")
    app.workflow("walls", definition=definition)
    return app


async def test_a_worker_takes_the_task_that_has_waited_longest_and_answers_it():
    async with testing.app(studio()) as live:
        first = await live.machine("walls").start("blue")
        second = await live.machine("walls").start("red")
        await live.settled()
        tasks = [await live.get_activity_task("paint") for _ in range(2)]
        assert [each.input for each in tasks] == ["blue", "red"]
        assert await live.get_activity_task("paint", within_s=5) is None
        await live.send_task_heartbeat(tasks[0].token)
        await live.send_task_success(tasks[1].token, "red wall")
        await live.send_task_failure(tasks[0].token, "Paint.Dry", "empty")
        assert await live.result(second) == "red wall"
        with pytest.raises(RunFailed, match=r"Paint\.Dry: empty"):
            await live.result(first)
        told = [each["type"] for each in await live.machine("walls").history(second)]
        assert told[2:5] == ["ActivityScheduled", "ActivityStarted", "ActivitySucceeded"]


async def test_a_worker_waits_for_the_next_task_and_several_get_one_each():
    async with testing.app(studio()) as live:
        workers = [asyncio.ensure_future(live.get_activity_task("paint")) for _ in range(3)]
        await live.clock.sleep(1)
        for number in range(3):
            await live.machine("walls").start(number)
        assert sorted(each.input for each in await asyncio.gather(*workers)) == [0, 1, 2]


async def test_a_worker_that_goes_away_when_it_is_told_of_a_task_leaves_it_to_another():
    activities, taken = Activities(), []
    gone, other = (asyncio.ensure_future(activities.next("default", "paint", 60)) for _ in range(2))
    await asyncio.sleep(1)
    activities.offer("default", "paint", Offered(ActivityTask("token", 3), lambda: taken.append(3)))
    gone.cancel()
    assert await other == ActivityTask("token", 3)
    assert taken == [3]
    assert gone.cancelled()


async def test_what_was_not_taken_is_offered_again_after_a_restart_and_what_was_is_not(disk):
    async with testing.app(studio(), disk=disk) as live:
        for number in range(2):
            await live.machine("walls").start(number, name=f"n{number}")
        await live.settled()
        taken = await live.get_activity_task("paint")
    async with testing.app(studio(), disk=disk) as live:
        other = await live.get_activity_task("paint")
        assert {taken.input, other.input} == {0, 1}
        assert await live.get_activity_task("paint", within_s=5) is None
        for task in (taken, other):
            await live.send_task_success(task.token, task.input)
        await live.settled()
        assert {each.status for each in await live.machine("walls").runs()} == {"SUCCEEDED"}


@pytest.mark.parametrize("point", [WritePoint.BEFORE_COMMIT, WritePoint.AFTER_COMMIT])
async def test_a_death_while_a_task_is_handed_out_hands_it_out_once(disk, point):
    async with testing.app(studio(), disk=disk) as live:
        run = await live.machine("walls").start("blue")
        await live.settled()
        got = []
        async with live.crash_at(point):
            got.append(await live.get_activity_task("paint"))
    async with testing.app(studio(), disk=disk) as live:
        again = await live.get_activity_task("paint", within_s=5)
        assert (again is None) == (point is WritePoint.AFTER_COMMIT), "it was durable that a worker had it, or not"
        if again is not None:
            assert got == []
            await live.send_task_success(again.token, "done")
            assert await live.result(run) == "done"


async def test_a_task_whose_worker_is_silent_times_out_and_one_that_nobody_takes_is_withdrawn():
    async with testing.app(studio()) as live:
        run = await live.machine("walls").start("blue")
        await live.clock.sleep(10_000)  # nobody comes for it: its time does not count yet
        assert [each["type"] for each in await live.machine("walls").history(run)][-1] == "ActivityScheduled"
        await live.get_activity_task("paint")
        with pytest.raises(RunFailed, match=r"States\.Timeout"):
            await live.result(run, within_s=1000)
        other = await live.machine("walls").start("red")
        await live.settled()
        await live.machine("walls").stop(other)
        await live.settled()
        assert await live.get_activity_task("paint", within_s=1) is None
        assert await live.get_activity_task("paint", within_s=1, tenant="acme") is None


async def test_activities_are_declared():
    with pytest.raises(Invalid, match="name: is 'a b'"):
        App("x").activity("a b")
    app = studio({"StartAt": "A", "States": {"A": {"Type": "Task", "Resource": "answer", "End": True}}})
    with pytest.raises(Invalid, match=r"the app has no activity 'answer'.*agent:answer"):
        async with testing.app(app):
            pass
    async with testing.app(studio()) as live:
        with pytest.raises(Missing, match=r"ActivityDoesNotExist.*this app has paint"):
            await live.get_activity_task("print")
