"""State machines: their runs from beginning to end, and the tasks that wait for whoever has their token."""

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from penstock.app import Running
from penstock.core.asl.happenings import Status
from penstock.core.asl.history import EVENTS_MAX
from penstock.gateway.callers import RunningApp, Tenant
from penstock.gateway.problems import documented
from penstock.gateway.runs import LISTED, Limit
from penstock.runtime.activities import POLL_WAIT_S
from penstock.runtime.executions import Execution
from penstock.runtime.machine_doors import CAUSE_CHARS_MAX, ERROR_CHARS_MAX, SYNC_WAIT_S, MachineDoor
from penstock.runtime.machines import machine_of

routes = APIRouter(prefix="/v1", tags=["machines"])
NewestFirst = Annotated[bool, Query(description="The last event comes first.")]
Events = Annotated[int, Query(ge=1, le=EVENTS_MAX, description="How many events at most.")]
Why = Annotated[str | None, Field(max_length=CAUSE_CHARS_MAX)]
Name = Annotated[str | None, Field(max_length=ERROR_CHARS_MAX)]


class Body(BaseModel):
    """What is asked for."""

    model_config = ConfigDict(extra="forbid")


class Start(Body):
    """A run is to begin."""

    input: Annotated[Any, Field(description="Any JSON, up to 256 KiB.")] = None
    name: Annotated[str | None, Field(description="The same name twice is one run, of the same input.")] = None
    wait_s: Annotated[float, Field(ge=0, le=SYNC_WAIT_S, description="Wait so long for its end; 0: do not wait.")] = 0


class Stop(Body):
    """Why a run is stopped."""

    error: Name = None
    cause: Why = None


class Success(Body):
    """A task ended well."""

    token: str
    output: Any = None


class Failure(Body):
    """A task failed."""

    token: str
    error: Name = None
    cause: Why = None


class Heartbeat(Body):
    """A task is still worked on."""

    token: str


class Take(Body):
    """A worker comes for a task."""

    wait_s: Annotated[float, Field(ge=0, le=POLL_WAIT_S, description="Wait so long for one.")] = POLL_WAIT_S


class TaskShown(BaseModel):
    """A task of an activity."""

    token: str | None = Field(default=None, description="Tell with it how the task ends; null: there was none.")
    input: Any = None


class MachineShown(BaseModel):
    """A state machine of the app."""

    name: str
    express: bool
    definition: dict[str, Any] = Field(description="The document that new runs follow.")


class Machines(BaseModel):
    """The state machines of the app."""

    machines: list[MachineShown]


class MachineRun(BaseModel):
    """A run of a state machine."""

    run_id: str
    machine: str
    name: str
    arn: str
    status: Status
    started_ms: int
    ended_ms: int | None = None
    input: Any = None
    output: Any = None
    error: str | None = None
    cause: str | None = None
    redrives: int = 0
    note: str = Field(default="", description="Why it does not go on, where it is halted.")


class MachineRuns(BaseModel):
    """Runs of a state machine, the newest first."""

    runs: list[MachineRun]


class History(BaseModel):
    """What happened in a run, in the shape of AWS's GetExecutionHistory."""

    events: list[dict[str, Any]]


def run_shape(execution: Execution) -> MachineRun:
    """Return a run as the outside sees it."""
    fields = msgspec.structs.asdict(execution)
    del fields["tenant"]
    return MachineRun(**fields)


@routes.get("/machines", summary="List state machines", responses=documented(422, 503))
async def list_machines(running: RunningApp) -> Machines:
    """Return the state machines of the app, with their definitions."""
    found = [(name, machine_of(agent)) for name, agent in running.engine.parts.topology.agents.items()]
    return Machines(machines=[_shown(running, name) for name, machine in found if machine is not None])


@routes.get("/machines/{machine}", summary="Show a state machine", responses=documented(404, 422, 503))
async def show_machine(machine: str, running: RunningApp) -> MachineShown:
    """Return a state machine with its definition."""
    return _shown(running, machine)


@routes.post("/machines/{machine}/runs", summary="Start a run", responses=documented(404, 409, 413, 422, 503))
async def start_run(machine: str, start: Start, running: RunningApp, tenant: Tenant) -> MachineRun:
    """Begin a run; it is durable when this is answered. With `wait_s` the answer comes at its end, or after that time."""
    door = running.machine(machine, tenant=tenant)
    run = await door.start(start.input, name=start.name)
    return run_shape(await door.ended(run, within_s=start.wait_s) if start.wait_s else await door.describe(run))


@routes.get("/machines/{machine}/runs", summary="List runs", responses=documented(404, 422, 503))
async def list_runs(
    machine: str, running: RunningApp, tenant: Tenant, status: Status | None = None, limit: Limit = LISTED
) -> MachineRuns:
    """Return the newest runs of a state machine."""
    found = await running.machine(machine, tenant=tenant).runs(status=status, limit=limit)
    return MachineRuns(runs=[run_shape(each) for each in found])


@routes.get(
    "/machines/{machine}/runs/{run:path}/history", summary="Show a history", responses=documented(404, 422, 503)
)
async def show_history(
    machine: str,
    run: str,
    running: RunningApp,
    tenant: Tenant,
    *,
    newest_first: NewestFirst = False,
    limit: Events = EVENTS_MAX,
) -> History:
    """Return the events of a run, as AWS records them."""
    door = running.machine(machine, tenant=tenant)
    return History(events=await door.history(run, newest_first=newest_first, limit=limit))


@routes.post("/machines/{machine}/runs/{run:path}/stop", summary="Stop a run", responses=documented(404, 413, 422, 503))
async def stop_run(machine: str, run: str, stop: Stop, running: RunningApp, tenant: Tenant) -> MachineRun:
    """Have a run end where it is, with those that it waits for; one that has ended stays as it is."""
    door = running.machine(machine, tenant=tenant)
    await door.stop(run, error=stop.error, cause=stop.cause)
    return run_shape(await door.describe(run))


@routes.post("/machines/{machine}/runs/{run:path}/redrive", summary="Redrive", responses=documented(404, 409, 422, 503))
async def redrive_run(machine: str, run: str, running: RunningApp, tenant: Tenant) -> MachineRun:
    """Have a run that did not succeed go on: what failed, or was cut off, is done again."""
    door = running.machine(machine, tenant=tenant)
    await door.redrive(run)
    return run_shape(await door.describe(run))


@routes.get("/machines/{machine}/runs/{run:path}", summary="Show a run", responses=documented(404, 422, 503))
async def show_run(machine: str, run: str, running: RunningApp, tenant: Tenant) -> MachineRun:
    """Return what became of a run, by its id or its ARN."""
    return run_shape(await running.machine(machine, tenant=tenant).describe(run))


@routes.post("/activities/{name}/task", summary="Take a task", responses=documented(404, 422, 429, 503))
async def take_task(name: str, take: Take, running: RunningApp, tenant: Tenant) -> TaskShown:
    """Return the task of an activity that has waited longest, or the next one; without a token when none came in time."""
    task = await running.get_activity_task(name, within_s=take.wait_s, tenant=tenant)
    return TaskShown() if task is None else TaskShown(token=task.token, input=task.input)


@routes.post(
    "/tasks/success", status_code=204, summary="End a task well", responses=documented(404, 409, 413, 422, 503)
)
async def send_success(said: Success, running: RunningApp, tenant: Tenant) -> None:
    """End a task that waits for who has its token; 404 TaskDoesNotExist, 409 TaskTimedOut or InvalidToken."""
    await running.send_task_success(said.token, said.output, tenant=tenant)


@routes.post("/tasks/failure", status_code=204, summary="Have a task fail", responses=documented(404, 409, 422, 503))
async def send_failure(said: Failure, running: RunningApp, tenant: Tenant) -> None:
    """Have a task fail that waits for who has its token."""
    await running.send_task_failure(said.token, said.error, said.cause, tenant=tenant)


@routes.post("/tasks/heartbeat", status_code=204, summary="Keep a task alive", responses=documented(404, 409, 422, 503))
async def send_heartbeat(said: Heartbeat, running: RunningApp, tenant: Tenant) -> None:
    """Say that a task is still worked on."""
    await running.send_task_heartbeat(said.token, tenant=tenant)


def _shown(running: Running, name: str) -> MachineShown:
    door: MachineDoor = running.machine(name)
    return MachineShown(name=name, express=door.express, definition=dict(door.definition))
