"""`states:startExecution`: a machine that starts another one, and may wait for its end (`.sync`, `.sync:2`).

An execution's name makes one run, for ever: asked for again with the same input it is the same execution, with another input it
is refused. Without a name, the task's idempotency key names it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any, Final, Protocol, cast

import msgspec

from penstock.core.agents.control import Cancel
from penstock.core.agents.declaration import Agent
from penstock.core.agents.machine_events import event_name
from penstock.core.asl.reducer import ACCOUNT
from penstock.core.asl.services import executions, parameters, problems
from penstock.core.asl.values import Json, equal, json_text, parsed_json
from penstock.core.events.envelope import Envelope
from penstock.errors import Invalid, Refused, RunFailed
from penstock.runtime.executions import Kept, described, found
from penstock.runtime.machine_inputs import event_for
from penstock.runtime.machine_tasks import GIVEN_UP, TaskCall, TaskFailed
from penstock.runtime.topology import Topology

WAIT_S: Final = 366 * 24 * 3600.0  # AWS ends an execution after a year


class Door(Protocol):
    """The front door of the engine, as far as executions use it."""

    async def send(
        self, event: Any, *, id: str | None = None, tenant: str = "default", cause: Envelope | None = None
    ) -> str: ...
    async def result(self, id: str, *, tenant: str, within_s: float) -> bytes: ...


class Executions:
    """A `JobService` that starts machines and workflows of the app by their names."""

    def __init__(
        self, door: Door, runs: Kept, topology: Topology, cause_of: Callable[[TaskCall], Awaitable[Envelope]]
    ) -> None:
        self._door = door
        self._runs = runs
        self._topology = topology
        self._cause_of = cause_of

    async def __call__(self, call: TaskCall, /) -> Json:
        """Start an execution; `TaskFailed` when there is no such machine, or another execution has the name."""
        try:
            given = parameters.checked("states:startExecution", call.arguments)
            answer = executions.started(await self._started(call, given))
        except problems.CallFailed as error:
            raise TaskFailed(error.error, error.cause) from error
        return answer if call.resource.sdk else problems.answered(answer, _request_id(call))

    async def ended(self, call: TaskCall, begun: Json, /) -> Json:
        """Wait for the end of an execution that was started, and return what `.sync` answers."""
        arn = str(cast("dict[str, Json]", begun)["ExecutionArn"])
        given = parameters.checked("states:startExecution", call.arguments)
        run = (await found(self._runs, arn, call.tenant))[0].change.run_id
        try:
            with suppress(RunFailed):  # what became of it says so
                await self._door.result(run, tenant=call.tenant, within_s=WAIT_S)
        except asyncio.CancelledError as cancelled:
            if GIVEN_UP in cancelled.args:  # as on AWS: who is waited for no longer is stopped
                said = Cancel(run_id=run, reason=f"{call.machine!r} waits for it no longer")
                await self._door.send(said, tenant=call.tenant)
            raise
        told = await described(self._runs, run, call.tenant)
        execution = executions.Execution(
            arn=arn,
            name=told.name,
            machine=str(given["StateMachineArn"]),
            input=executions.input_text(given.get("Input")),
            start_ms=told.started_ms,
            stop_ms=told.ended_ms or told.started_ms,
            status=told.status,
            output=json_text(told.output),
            error=told.error,
            cause=told.cause,
        )
        try:
            return executions.ended(execution, parsed=call.resource.version == "2")
        except problems.CallFailed as error:
            raise TaskFailed(error.error, error.cause) from error

    async def _started(self, call: TaskCall, given: Mapping[str, Json]) -> executions.Execution:
        agent = self._agent(given)
        name = str(given.get("Name") or problems.identity("execution", call.idempotency_key))
        text = executions.input_text(given.get("Input"))
        try:
            value = parsed_json(text)
        except ValueError as error:
            raise self._refused(
                call, "InvalidExecutionInput", f"Invalid State Machine Execution Input: '{error}'"
            ) from error
        if not executions.is_name(name):
            raise self._refused(call, "InvalidName", f"Invalid Name: '{name}'")
        if agent is None or agent.options.batch:
            arn = given["StateMachineArn"]
            raise self._refused(call, "StateMachineDoesNotExist", f"State Machine Does Not Exist: '{arn}'")
        try:
            event = event_for(agent, agent.name, value)
        except (Invalid, Refused) as error:
            raise self._refused(
                call, "InvalidExecutionInput", f"Invalid State Machine Execution Input: {error}"
            ) from error
        begins = event_name(agent.name, name, call.tenant)
        await self._door.send(event, id=begins, tenant=call.tenant, cause=await self._cause_of(call))
        arn = f"{ACCOUNT}:execution:{agent.name}:{name}"
        recorded = await self._runs.event(begins)
        if recorded is None or not equal(
            msgspec.json.decode(recorded.event.data), msgspec.json.decode(event.encoded())
        ):
            raise self._refused(call, "ExecutionAlreadyExists", f"Execution Already Exists: '{arn}'")
        return executions.Execution(arn=arn, name=name, machine=agent.name, input=text, start_ms=recorded.event.time_ms)

    def _agent(self, given: Mapping[str, Json]) -> Agent | None:
        return self._topology.agents.get(executions.machine_name(str(given["StateMachineArn"])))

    def _refused(self, call: TaskCall, code: str, message: str) -> problems.CallFailed:
        problem = problems.Problem(code=code, message=message, request_id=_request_id(call))
        return problems.failure("states", problem, sdk=call.resource.sdk)


def _request_id(call: TaskCall) -> str:
    return problems.identity("request", call.idempotency_key)
