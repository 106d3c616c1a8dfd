"""What runs of state machines keep to, on any store. A store's tests inherit it, with the `disk` of `EngineContract`."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from penstock.adapters.clock.system import SystemClock
from penstock.app import App, Running
from penstock.core.agents.machine_events import TaskInput
from penstock.core.agents.policy import NO_RETRY
from penstock.core.asl.happenings import Status
from penstock.core.asl.values import Json
from penstock.errors import Refused, RunFailed
from penstock.runtime.engine import running
from penstock.runtime.machine_tasks import TaskFailed
from penstock.settings import Settings
from penstock.testing.engine_trial import Disk
from penstock.wiring import opened

WITHIN_S = 20.0
TASK: dict[str, Any] = {
    "Type": "Task",
    "Resource": "agent:work",
    "Parameters": {"what": "work"},
    "ResultPath": "$.work",
}
ASK: dict[str, Any] = {
    "Type": "Task",
    "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken",
    "Parameters": {"FunctionName": "work", "Payload": {"what": "ask", "token.$": "$$.Task.Token"}},
    "ResultPath": "$.said",
}


class Office:
    """What outlives the processes, and the app of each of them."""

    def __init__(self) -> None:
        self.given: list[dict[str, Any]] = []
        self.broken = False

    def app(self, last: Json = "done") -> App:
        app = App("office")

        @app.agent(retry=NO_RETRY)
        async def work(given: TaskInput) -> object:
            self.given.append(given.input)
            if self.broken:
                raise TaskFailed("Office.Closed", "it is late")
            return len(self.given)

        wait = {"Type": "Wait", "Seconds": 0}
        last_one = {"Type": "Pass", "Result": last, "ResultPath": "$.last", "End": True}
        states = {"Work": {**TASK, "Next": "Ask"}, "Ask": {**ASK, "Next": "Wait"}, "Wait": {**wait, "Next": "Last"}}
        app.workflow("steps", definition={"StartAt": "Work", "States": {**states, "Last": last_one}})
        return app

    async def asks(self, live: Running) -> None:
        """Wait until a run asks for an answer."""
        async with asyncio.timeout(WITHIN_S):
            await live.engine.until(lambda: any("token" in each for each in self.given))

    @property
    def token(self) -> str:
        return next(each["token"] for each in self.given if "token" in each)


@asynccontextmanager
async def living(disk: Disk, app: App) -> AsyncGenerator[Running]:
    """Run an app on what lies on a disk."""
    async with (
        disk() as store,
        opened(app.declared, Settings(), clock=SystemClock(), storage=(store, None)) as parts,
        running(parts, owner="contract") as engine,
    ):
        yield Running(app, engine)


async def killed(disk: Disk, app: App, do: Callable[[Running], Awaitable[Any]]) -> Any:
    """Run an app, do something, and stop as a killed process does; return what the doing came to."""
    done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    async def life() -> None:
        async with living(disk, app) as live:
            done.set_result(await do(live))
            await asyncio.Event().wait()

    task = asyncio.ensure_future(life())
    await asyncio.wait([task, done], return_when=asyncio.FIRST_COMPLETED)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return done.result()


class MachineContract:
    """C1, C4 and C6 of runs of state machines."""

    async def test_c4_a_killed_run_goes_on_with_its_history_its_token_and_its_definition(self, disk: Disk) -> None:
        office = Office()

        async def begin(live: Running) -> tuple[str, list[dict[str, Any]]]:
            door = live.machine("steps")
            run = await door.start({"n": 1}, name="one")
            await live.engine.until(lambda: len(office.given) == 2)
            await live.engine.services.committer.durable()
            return run, await door.history(run)

        run, before = await killed(disk, office.app(), begin)
        async with living(disk, office.app(last="another definition")) as live:
            door = live.machine("steps")
            await live.send_task_success(office.token, "yes")
            output = await live.result(run, within_s=WITHIN_S)
            assert output == {"n": 1, "work": 1, "said": "yes", "last": "done"}
            told = await door.history(run)
            assert told[: len(before)] == before
            assert len(office.given) == 2
            with pytest.raises(Refused, match="TaskTimedOut"):
                await live.send_task_success(office.token, "no")
            assert await door.start({"n": 1}, name="one") == run
            with pytest.raises(Refused, match="ExecutionAlreadyExists"):
                await door.start({"n": 2}, name="one")
            assert [each.run_id for each in await door.runs(status="SUCCEEDED")] == [run]

    async def test_c6_a_run_that_failed_is_redriven_after_a_kill(self, disk: Disk) -> None:
        office = Office()
        office.broken = True

        async def fail(live: Running) -> str:
            return (await live.machine("steps").start_sync({})).run_id

        run = await killed(disk, office.app(), fail)
        office.broken = False
        async with living(disk, office.app()) as live:
            door = live.machine("steps")
            assert await status(door.describe(run)) == "FAILED"
            await door.redrive(run)
            await office.asks(live)
            await live.send_task_failure(office.token, "No", "never")
            with pytest.raises(RunFailed, match="No: never"):
                await live.result(run, within_s=WITHIN_S)
            told = [each["type"] for each in await door.history(run)]
            assert told.count("ExecutionRedriven") == 1
            assert told.count("ExecutionFailed") == 2

    async def test_c4_a_run_that_is_stopped_is_aborted_after_a_kill_too(self, disk: Disk) -> None:
        office = Office()

        async def begin(live: Running) -> str:
            run = await live.machine("steps").start({})
            await live.engine.until(lambda: len(office.given) == 2)
            return run

        run = await killed(disk, office.app(), begin)
        async with living(disk, office.app()) as live:
            door = live.machine("steps")
            await door.stop(run, error="Enough", cause="rain")
            found = await door.ended(run, within_s=WITHIN_S)
            assert (found.status, found.error, found.cause) == ("ABORTED", "Enough", "rain")


async def status(described: Awaitable[Any]) -> Status:
    """Return the status of a run that is described."""
    return (await described).status
