"""Runs of state machines as people and programs ask for them: what became of them, and their histories, from any store.

The history is not stored: it is made again from what has happened to the run, by the reducer that made it.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec
from msgspec import Struct

from penstock.core.agents.again import unwrapped
from penstock.core.agents.journal import standing
from penstock.core.agents.machine_events import event_name, run_name
from penstock.core.agents.machine_records import REDRIVEN, begins_in, replayed, started
from penstock.core.agents.unit import RunChange, Status
from penstock.core.asl.definition import Machine
from penstock.core.asl.happenings import Status as MachineStatus
from penstock.core.asl.history import aws_shaped
from penstock.core.asl.program import compiled
from penstock.core.asl.reducer import ACCOUNT
from penstock.core.asl.run import Run
from penstock.core.asl.values import Json
from penstock.core.events.envelope import DEFAULT_TENANT, Recorded, event_of, run_id
from penstock.errors import Finding, Invalid, Missing
from penstock.ports.state import RunFilter, StoredRun
from penstock.runtime.machines import DEFINITION, OWNER, definition_in

STATUSES: tuple[MachineStatus, ...] = ("RUNNING", "SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED")
LISTED_MAX = 1000
_ENDED: dict[Status, MachineStatus] = {"succeeded": "SUCCEEDED", "failed": "FAILED", "cancelled": "ABORTED"}
_OPEN: tuple[Status, ...] = ("running", "queued", "asking", "halted")


class Kept(Protocol):
    """Where runs are found."""

    async def run(self, run_id: str) -> StoredRun | None: ...
    async def event(self, event_id: str) -> Recorded | None: ...
    async def runs(self, which: RunFilter) -> Sequence[RunChange]: ...
    async def values(self, tenant: str, agent: str, key: str) -> Mapping[str, bytes]: ...


class Execution(Struct, kw_only=True):
    """A run of a state machine."""

    run_id: str
    machine: str
    name: str
    arn: str  # as its context object has it
    status: MachineStatus
    tenant: str
    started_ms: int
    ended_ms: int | None = None
    input: Json = None
    output: Json = None
    error: str | None = None
    cause: str | None = None
    redrives: int = 0
    note: str = ""  # why it does not go on, where it is halted, or waits


async def described(store: Kept, id: str, tenant: str) -> Execution:
    """Return what became of a run; `Missing` when there is none."""
    stored, recorded = await found(store, id, tenant)
    execution = _execution(stored.change, recorded)
    execution.redrives = sum(each.step.startswith(REDRIVEN) for each in standing(stored.records))
    return execution


async def listed(
    store: Kept, machine: str, tenant: str | None, status: MachineStatus | None, limit: int
) -> list[Execution]:
    """Return the newest runs of a machine."""
    if not 1 <= limit <= LISTED_MAX:
        raise Invalid("the list", (Finding("limit", f"is {limit}", f"from 1 to {LISTED_MAX}"),))
    if status is not None and status not in STATUSES:
        raise Invalid("the list", (Finding("status", f"is {status!r}", f"one of {', '.join(STATUSES)}"),))
    wanted: Sequence[Status | None] = [None] if status is None else _statuses(status)
    changes: list[RunChange] = []
    for each in wanted:
        changes += await store.runs(RunFilter(tenant, machine, each, limit if status != "TIMED_OUT" else LISTED_MAX))
    executions: list[Execution] = []
    for change in sorted(changes, key=lambda each: -each.at_ms):
        recorded = await store.event(event_of(change.run_id)[0])
        execution = None if recorded is None else _execution(change, recorded)
        if execution is not None and status in (None, execution.status):
            executions.append(execution)
    return executions[:limit]


async def history(store: Kept, id: str, tenant: str) -> list[dict[str, Any]]:
    """Return the events of a run, in the shape of AWS's GetExecutionHistory."""
    return [aws_shaped(each) for each in (await made_again(store, id, tenant)).history.events]


async def made_again(store: Kept, id: str, tenant: str) -> Run:
    """Return a run as the reducer has it, made again from what has happened to it."""
    stored, recorded = await found(store, id, tenant)
    change, records = stored.change, list(standing(stored.records))
    begins = begins_in(records)
    if begins is None:
        hint = (
            "it has not begun yet" if change.status == "queued" else "journals of ended runs are kept for a time only"
        )
        raise Missing(f"the history of run {change.run_id!r}", hint)
    program = compiled(await _definition(store, begins.definition))
    cause = unwrapped(recorded).event
    return replayed(program, started(cause, change.agent, begins, change.run_id), records)[0]


async def definition_of(store: Kept, id: str, tenant: str) -> Machine:
    """Return the definition that a run follows."""
    stored, _ = await found(store, id, tenant)
    begins = begins_in(stored.records)
    if begins is None:
        raise Missing(
            f"the definition of run {stored.change.run_id!r}", "it has not begun yet, or its journal was pruned"
        )
    return await _definition(store, begins.definition)


async def found(store: Kept, id: str, tenant: str) -> tuple[StoredRun, Recorded]:
    """Return a run by its id or its ARN; `Missing` when the tenant has none."""
    missing = Missing(f"ExecutionDoesNotExist: the run {id!r}", "see `penstock asl list`")
    for each in _ids(id, tenant):
        recorded = await store.event(event_of(each)[0])
        stored = None if recorded is None else await store.run(each)
        if stored is not None and recorded is not None:
            if recorded.event.tenant != tenant:
                raise missing
            return stored, recorded
    raise missing


def _ids(id: str, tenant: str) -> list[str]:
    """Return the ids of runs that a text may stand for: of an ARN, that of a name, and that of an event."""
    if not id.startswith("arn:"):
        return [id]
    machine, _, name = id.partition(":execution:")[2].partition(":")
    return [run_id(event_name(machine, name, tenant), machine), run_id(name, machine)]


async def _definition(store: Kept, digest: str) -> Machine:
    body = (await store.values(DEFAULT_TENANT, OWNER, digest)).get(DEFINITION)
    if body is None:
        raise Missing(f"the definition {digest}", "the store is damaged: restore a backup")
    return definition_in(body)


def _statuses(status: MachineStatus) -> tuple[Status, ...]:
    if status == "RUNNING":
        return _OPEN
    return ("failed",) if status == "TIMED_OUT" else tuple(each for each, named in _ENDED.items() if named == status)


def _execution(change: RunChange, recorded: Recorded) -> Execution:
    cause, machine = unwrapped(recorded).event, change.agent
    data = msgspec.json.decode(cause.data)
    name, status = run_name(machine, cause.id), _ENDED.get(change.status, "RUNNING")
    execution = Execution(
        run_id=change.run_id,
        machine=machine,
        name=name,
        arn=f"{ACCOUNT}:execution:{machine}:{name}",
        status=status,
        tenant=change.tenant,
        started_ms=cause.time_ms,
        input=data["input"] if cause.type == f"{machine}.input.v1" else data,
    )
    if status == "RUNNING":
        execution.note = change.reason
        return execution
    execution.ended_ms = change.at_ms
    result: Json = msgspec.json.decode(change.result) if change.result else None
    if status == "SUCCEEDED":
        execution.output = result
    elif isinstance(result, dict):  # what the run told of its own end
        told = msgspec.convert(result, dict[str, Any])
        execution.status = told["status"]
        execution.error, execution.cause = told.get("error"), told.get("cause")
    else:
        execution.cause = change.reason
    return execution
