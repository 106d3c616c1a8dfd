"""Runs of state machines from outside: started, described, listed, stopped, redriven, and their tasks answered by token."""

import asyncio

import pytest

from penstock import App, TaskFailed, TaskInput, testing
from penstock.core.agents.policy import Retry
from penstock.core.asl.history import aws_shaped
from penstock.errors import Invalid, LimitReached, Missing, Refused, RunFailed
from penstock.testing.asl_functions import FunctionWorld

ONCE = Retry(attempts_max=1)


def one(**state):
    return {"StartAt": "S", "States": {"S": {"End": True, **state}}}


PASS = one(Type="Pass")
WAIT = one(Type="Wait", Seconds=600)
HAND_OVER = one(
    Type="Task",
    Resource="arn:aws:states:::lambda:invoke.waitForTaskToken",
    Parameters={"FunctionName": "keep", "Payload": {"token.$": "$$.Task.Token"}},
    TimeoutSeconds=3600,
    HeartbeatSeconds=60,
)


class Desk:
    """An app whose agents say what they were given, and fail when they are told to."""

    def __init__(self):
        self.app = App("desk")
        self.given = []
        self.broken = False

        @self.app.agent(retry=ONCE)
        async def keep(given: TaskInput) -> None:
            self.given.append(given.input)

        @self.app.agent(retry=ONCE)
        async def work(given: TaskInput) -> object:
            self.given.append(given.input)
            if self.broken:
                raise TaskFailed("Desk.Broken", "it wobbles")
            return given.input

    @property
    def token(self):
        return self.given[-1]["token"]


@pytest.fixture
def desk():
    return Desk()


async def test_a_run_is_started_described_and_listed(desk):
    desk.app.workflow("echo", definition=PASS)
    async with testing.app(desk.app) as live:
        echo = live.machine("echo")
        run = await echo.start({"n": 1}, name="first")
        assert await live.result(run) == {"n": 1}
        found = await echo.describe(run)
        assert (found.status, found.name, found.input, found.output) == ("SUCCEEDED", "first", {"n": 1}, {"n": 1})
        assert found.arn.endswith(":execution:echo:first")
        assert await echo.describe(found.arn) == found
        second = await echo.start_sync(7)
        assert (second.status, second.output) == ("SUCCEEDED", 7)
        assert {each.run_id for each in await echo.runs()} == {run, second.run_id}
        assert await echo.runs(status="FAILED") == []
        assert echo.definition["StartAt"] == "S"


async def test_a_name_makes_one_run_and_another_input_under_it_is_refused(desk):
    desk.app.workflow("echo", definition=PASS)
    async with testing.app(desk.app) as live:
        echo, other = live.machine("echo"), live.machine("echo", tenant="acme")
        run = await echo.start({"n": 1}, name="first")
        assert await echo.start({"n": 1.0}, name="first") == run
        with pytest.raises(Refused, match="ExecutionAlreadyExists"):
            await echo.start({"n": 2}, name="first")
        theirs = await other.start({"n": 2}, name="first")
        assert theirs != run
        await live.settled()
        assert [each.run_id for each in await echo.runs()] == [run]
        assert (await other.describe(theirs)).name == "first"
        with pytest.raises(Missing, match="ExecutionDoesNotExist"):
            await other.describe(run)


async def test_what_cannot_be_is_refused(desk):
    desk.app.workflow("echo", definition=PASS)
    desk.app.workflow("wait", definition=WAIT)
    async with testing.app(desk.app) as live:
        echo = live.machine("echo")
        with pytest.raises(Missing, match=r"StateMachineDoesNotExist.*echo, wait"):
            live.machine("keep")
        with pytest.raises(Invalid, match="name: is 'a b'"):
            await echo.start(name="a b")
        with pytest.raises(LimitReached, match="262144"):
            await echo.start("x" * 262_144)
        run = await live.machine("wait").start()
        with pytest.raises(Missing, match="it is one of 'wait'"):
            await echo.describe(run)
        with pytest.raises(Invalid, match="RUNNING, SUCCEEDED"):
            await echo.runs(status="running")


async def test_its_history_is_that_of_the_reducer_also_while_it_runs(desk):
    steps = {
        "StartAt": "Work",
        "States": {
            "Work": {"Type": "Task", "Resource": "agent:work", "Next": "Wait"},
            "Wait": {"Type": "Wait", "Seconds": 600, "Next": "Done"},
            "Done": {"Type": "Succeed"},
        },
    }
    app = desk.app
    machine = app.workflow("steps", definition=steps)
    async with testing.app(app) as live:
        steps = live.machine("steps")
        run = await steps.start([1], name="h")
        await live.clock.sleep(10)
        assert [each["type"] for each in await steps.history(run)][-1] == "WaitStateEntered"
        assert (await steps.describe(run)).status == "RUNNING"
        await live.result(run, within_s=1e4)
        told = await steps.history(run)
    from penstock.core.asl.happenings import Started

    alone = FunctionWorld({"Work": lambda given: given}, lambda *_: None)
    expected = alone.run(machine.program, Started(at_ms=0, input=[1], name="h", machine="steps"))
    shown = [{**aws_shaped(each), "timestamp": None} for each in expected.history.events]
    assert [{**each, "timestamp": None} for each in told] == shown


async def test_a_run_that_is_stopped_is_aborted_with_error_and_cause(desk, disk):
    desk.app.workflow("wait", definition=WAIT)
    async with testing.app(desk.app, disk=disk) as live:
        wait = live.machine("wait")
        run = await wait.start()
    async with testing.app(desk.app, disk=disk) as live:
        wait = live.machine("wait")
        await wait.stop(run, error="Enough", cause="it rains")
        await live.settled()
        found = await wait.describe(run)
        assert (found.status, found.error, found.cause) == ("ABORTED", "Enough", "it rains")
        assert (await wait.history(run))[-1]["executionAbortedEventDetails"] == {"error": "Enough", "cause": "it rains"}
        await wait.stop(run, error="Again")
        assert (await wait.describe(run)).error == "Enough"
        with pytest.raises(Missing, match="ExecutionDoesNotExist"):
            await wait.stop("nobody:wait")
        cancelled = await wait.start()
        await live.cancel(cancelled, "no more")
        await live.settled()
        assert (await wait.describe(cancelled)).cause == "no more"
        assert (await wait.history(cancelled))[-1]["type"] == "ExecutionAborted"


async def test_whoever_has_the_token_ends_the_task_over_restarts_and_once(desk, disk):
    desk.app.workflow("ask", definition=HAND_OVER)
    async with testing.app(desk.app, disk=disk) as live:
        run = await live.machine("ask").start()
        await live.settled()
        token = desk.token
    async with testing.app(desk.app, disk=disk) as live:
        with pytest.raises(Refused, match="InvalidToken"):
            await live.send_task_success("nonsense")
        with pytest.raises(Missing, match="TaskDoesNotExist"):
            await live.send_task_success(token.replace("/", "x/"))
        with pytest.raises(Missing, match="TaskDoesNotExist"):
            await live.send_task_success(token, tenant="acme")
        for _ in range(3):
            await live.clock.sleep(50)
            await live.send_task_heartbeat(token)
        await live.send_task_success(token, {"said": "yes"})
        with pytest.raises(Refused, match="TaskTimedOut"):
            await live.send_task_failure(token, "Late")
        assert await live.result(run) == {"said": "yes"}
        with pytest.raises(Refused, match="TaskTimedOut"):
            await live.send_task_heartbeat(token)


async def test_a_task_whose_holder_is_silent_times_out_also_over_a_restart(desk, disk):
    desk.app.workflow("ask", definition=HAND_OVER)
    async with testing.app(desk.app, disk=disk) as live:
        run = await live.machine("ask").start()
        await live.settled()
    async with testing.app(desk.app, disk=disk) as live:
        with pytest.raises(RunFailed, match=r"States\.Timeout"):
            await live.result(run, within_s=1e4)
        found = await live.machine("ask").describe(run)
        assert (found.status, found.error) == ("FAILED", "States.Timeout")
        assert 60_000 <= found.ended_ms - found.started_ms <= 62_000
        with pytest.raises(Refused, match="TaskTimedOut"):
            await live.send_task_success(desk.token)


async def test_the_holder_of_a_token_may_have_the_task_fail(desk):
    desk.app.workflow("ask", definition=HAND_OVER)
    async with testing.app(desk.app) as live:
        run = await live.machine("ask").start()
        await live.settled()
        await live.send_task_failure(desk.token, "Ask.No", "never")
        await live.settled()
        found = await live.machine("ask").describe(run)
        assert (found.error, found.cause) == ("Ask.No", "never")


@pytest.mark.parametrize(
    "options", [{"definition": {**WAIT, "TimeoutSeconds": 5}}, {"definition": WAIT, "timeout_s": 5}]
)
async def test_a_run_out_of_time_is_timed_out_and_listed_so(desk, options):
    desk.app.workflow("slow", **options)
    async with testing.app(desk.app) as live:
        slow = live.machine("slow")
        found = await slow.start_sync()
        assert found.status == "TIMED_OUT"
        assert [each.run_id for each in await slow.runs(status="TIMED_OUT")] == [found.run_id]
        assert await slow.runs(status="FAILED") == []


def both(desk):
    """Two branches: one waits, the other works and then works again on what may be broken."""
    work = {"Type": "Task", "Resource": "agent:work"}
    first = {"StartAt": "A1", "States": {"A1": {**work, "Next": "A2"}, "A2": {**work, "End": True}}}
    other = {"StartAt": "B", "States": {"B": {"Type": "Wait", "Seconds": 5, "End": True}}}
    fan = {"Type": "Parallel", "Branches": [first, other], "End": True}
    return desk.app.workflow("both", definition={"StartAt": "Fan", "States": {"Fan": fan}})


async def test_a_failed_run_that_is_redriven_does_again_what_failed_and_nothing_else(desk, disk):
    both(desk)
    async with testing.app(desk.app, disk=disk) as live:
        door = live.machine("both")
        desk.broken = True
        run = (await door.start_sync("x")).run_id
        assert (await door.describe(run)).error == "Desk.Broken"
        assert desk.given == ["x"]
        desk.broken = False
        await door.redrive(run)
    async with testing.app(desk.app, disk=disk) as live:
        door = live.machine("both")
        assert await live.result(run, within_s=1e4) == ["x", "x"]
        assert desk.given == ["x", "x", "x"]
        found = await door.describe(run)
        assert (found.status, found.redrives) == ("SUCCEEDED", 1)
        told = [each["type"] for each in await door.history(run)]
        assert told[told.index("ExecutionFailed") + 1] == "ExecutionRedriven"
        assert told.count("TaskStateEntered") == 2
        assert told.count("ExecutionStarted") == 1
        with pytest.raises(Refused, match="ExecutionNotRedrivable"):
            await door.redrive(run)


async def test_a_stopped_run_may_be_redriven_too(desk):
    desk.app.workflow("wait", definition=WAIT)
    async with testing.app(desk.app) as live:
        wait = live.machine("wait")
        run = await wait.start("later")
        await live.clock.sleep(5)
        await wait.stop(run)
        await live.settled()
        await wait.redrive(run)
        assert await live.result(run, within_s=1e4) == "later"
        told = [each["type"] for each in await wait.history(run)]
        assert told == [
            "ExecutionStarted",
            "WaitStateEntered",
            "ExecutionAborted",
            "ExecutionRedriven",
            "WaitStateExited",
            "ExecutionSucceeded",
        ]


async def test_a_fork_goes_on_from_what_the_run_had_before_a_call(desk):
    steps = {
        "A": {"Type": "Task", "Resource": "agent:work", "Next": "B"},
        "B": {"Type": "Task", "Resource": "agent:work"},
    }
    desk.app.workflow("two", definition={"StartAt": "A", "States": {**steps, "B": {**steps["B"], "End": True}}})
    async with testing.app(desk.app) as live:
        run = (await live.machine("two").start_sync("x")).run_id
        stored = await live.engine.run(run)
        calls = [each.step for each in stored.records if each.step.startswith("call:") and "/" not in each.step]
        fork = await live.fork(run, calls[1])
        assert await live.result(fork) == "x"
        assert desk.given == ["x"] * 3
        assert len(await live.machine("two").history(fork)) == len(await live.machine("two").history(run))


async def test_an_express_machine_may_not_have_all_and_has_five_minutes(desk):
    with pytest.raises(Invalid, match="waitForTaskToken"):
        desk.app.workflow("ask", definition=HAND_OVER, express=True)
    desk.app.workflow("wait", definition=WAIT, express=True)
    async with testing.app(desk.app) as live:
        found = await live.machine("wait").start_sync(within_s=1e4)
        assert found.status == "TIMED_OUT"
        assert 300_000 <= found.ended_ms - found.started_ms <= 301_000
        assert live.machine("wait").definition["TimeoutSeconds"] == 300


@pytest.mark.parametrize("at_once", [1, 3])
async def test_a_map_has_no_more_agents_at_work_at_once_than_it_says(at_once):
    app, active, most = App("crew"), [], []

    @app.agent
    async def work(given: TaskInput) -> object:
        active.append(given.input)
        most.append(len(active))
        await asyncio.sleep(10)
        active.remove(given.input)
        return given.input

    task = {"Type": "Task", "Resource": "agent:work", "End": True}
    each = {"Type": "Map", "MaxConcurrency": at_once, "ItemProcessor": {"StartAt": "W", "States": {"W": task}}}
    app.workflow("crew", definition={"StartAt": "Each", "States": {"Each": {**each, "End": True}}})
    async with testing.app(app) as live:
        found = await live.machine("crew").start_sync(list(range(9)), within_s=1e4)
        assert found.output == list(range(9))
        assert max(most) == at_once


async def test_what_a_service_answered_is_recorded_and_played_back(desk):
    calls = []

    async def add_note(call):
        calls.append((call.state, call.arguments, call.idempotency_key))
        return {"id": 7}

    note = {"Type": "Task", "Resource": "arn:aws:states:::crm:addNote", "Parameters": {"text.$": "$"}, "End": True}
    desk.app.service("crm:*", add_note)
    desk.app.workflow("note", definition={"StartAt": "Note", "States": {"Note": note}})

    async def answer(name, call, args, options):
        return {"id": "from the cassette"}

    async with testing.app(desk.app) as live:
        found = await live.machine("note").start_sync("hi")
        assert found.output == {"id": 7}
        assert calls == [("Note", {"text": "hi"}, f"{found.run_id}/task#1")]
    async with testing.app(desk.app, tools=answer) as live:
        assert (await live.machine("note").start_sync("hi")).output == {"id": "from the cassette"}
    assert len(calls) == 1
