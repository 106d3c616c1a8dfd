"""What the tasks of a state machine's run come to: events for agents, calls of services, readings and writings.

- An agent is called by an event of the same commit that records the call; its answer is recorded with its end.
- A service is called when all that led to it is durable, and again with the same key when it is not known what came of it.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, Protocol

import msgspec

from penstock.core.agents.journal import decode_value, encode_value
from penstock.core.agents.machine_records import BEGUN, CALL, TASK, Awaited, Outcome, Work
from penstock.core.asl.definition import ReaderConfig
from penstock.core.asl.happenings import ReadItems, ScheduleTask, StartTimer, WriteResults
from penstock.core.asl.lambda_calls import called_function, thrown_cause
from penstock.core.asl.resources import Kind, Resource, parse_resource
from penstock.core.asl.task_kinds import task_kind
from penstock.errors import PenstockError
from penstock.runtime.activities import ActivityTask, Offered
from penstock.runtime.calling import is_awaitable
from penstock.runtime.machine_inputs import event_for
from penstock.runtime.machine_tasks import GIVEN_UP, ReadCall, TaskCall, TaskFailed, TaskService, WriteCall, found
from penstock.runtime.operations import Operations
from penstock.runtime.write_points import WritePoint

NO_FUNCTION = "Lambda.ResourceNotFoundException"
NO_FUNCTION_CAUSE = (
    "Function not found: arn:aws:lambda:us-east-1:111111111111:function:{}:$LATEST (Service: AWSLambda; Status Code: 404; "
    "Error Code: ResourceNotFoundException; Request ID: {}; Proxy: null)"
)
NO_SERVICE = "States.Runtime"


class Events(Protocol):
    """The run that the work is for."""

    def record(self, step: str, value: bytes, at_ms: int | None = None) -> None: ...
    def ends(self, number: int, outcome: Outcome) -> None: ...
    def wake(self) -> None: ...


class MachineWork:
    """The work of one life of one run."""

    def __init__(self, operations: Operations, events: Events) -> None:
        self._operations = operations
        self._run = operations.run
        self._services = operations.services
        self._events = events
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._offered: dict[int, tuple[str, str]] = {}  # tasks that wait for workers: activity and token
        self._broken: BaseException | None = None

    def begin(self, asked: Awaited) -> None:
        """Begin some work, unless an earlier life has: then wait for what comes of it."""
        match asked:
            case ScheduleTask():
                self._begin_task(asked)
            case ReadItems():
                self._start(asked.id, self._read(asked))
            case WriteResults():
                self._start(asked.id, self._write(asked))
            case StartTimer():
                raise AssertionError(asked)

    def give_up(self, asked: Awaited) -> None:
        """Nobody waits for it any more."""
        task = self._tasks.pop(asked.id, None)
        if task is not None:
            task.cancel(GIVEN_UP)
        self._withdraw(asked.id)
        if isinstance(asked, ScheduleTask):
            name = self._agent_of(asked)
            if name is not None and f"{CALL}{name}#{asked.id}" in self._run.open:
                self._operations.give_up(f"{CALL}{name}#{asked.id}")

    def stop(self) -> None:
        """End what is under way: the run is over, or goes on in another life."""
        for task in self._tasks.values():
            task.cancel()
        self._tasks.clear()
        for number in list(self._offered):
            self._withdraw(number)

    def require_sound(self) -> None:
        """Raise what ended some of the work, if that was no failure of its own."""
        if self._broken is not None:
            raise self._broken

    # agents

    def _agent_of(self, asked: ScheduleTask) -> str | None:
        """Return the name of the agent that does a task, if one does."""
        called = called_function(task_kind(asked.resource), asked.payload)
        if called is not None:
            return called[0] if called[0] in self._operations.calls.agents else None
        resource = parse_resource(asked.resource)
        is_ours = resource is not None and resource.kind in (Kind.AGENT, Kind.WORKFLOW)
        return resource.name if resource is not None and is_ours else None

    def _begin_task(self, asked: ScheduleTask) -> None:
        name = self._agent_of(asked)
        if name is None:
            self._begin_service(asked)
            return
        step, journal = f"{CALL}{name}#{asked.id}", self._run.journal
        if journal.find(f"{step}/sent") is not None or journal.find(step) is not None:
            return
        called = called_function(task_kind(asked.resource), asked.payload)
        payload = asked.payload if called is None else called[1]
        calls = self._operations.calls
        try:
            event = event_for(calls.agents.get(name), name, payload)
            calls.send(self._run, step, name, event)
        except PenstockError as error:
            self._fails(asked.id, error)

    def _fails(self, number: int, error: Exception) -> None:
        name = type(error).__name__
        cause = thrown_cause(name, str(error), (), self._run.run_id)
        self._events.ends(number, Outcome(error=name, cause=cause))

    # services

    def _begin_service(self, asked: ScheduleTask) -> None:
        resource = parse_resource(asked.resource)
        assert resource is not None, "a resource that is none has a finding"
        service = found(self._services.outside.services, resource)
        if service is None and resource.kind is Kind.ACTIVITY:
            self._offer(asked, resource.name)
            return
        if service is None:
            called = called_function(task_kind(asked.resource), asked.payload)
            if called is not None:
                outcome = Outcome(error=NO_FUNCTION, cause=NO_FUNCTION_CAUSE.format(called[0], self._run.run_id))
            else:
                outcome = Outcome(error=NO_SERVICE, cause=f"Nothing here does what {asked.resource} names")
            self._events.ends(asked.id, outcome)
            return
        self._start(asked.id, self._serve(asked, resource, service))

    def _offer(self, asked: ScheduleTask, activity: str) -> None:
        """Have a worker come for a task, unless one has."""
        step = f"{BEGUN}{asked.id}"
        if self._run.journal.find(step) is not None:
            return

        def taken() -> None:
            del self._offered[asked.id]
            self._events.record(step, encode_value(b"", step))

        self._offered[asked.id] = activity, asked.token
        task = ActivityTask(asked.token, asked.payload)
        self._services.activities.offer(self._run.cause.tenant, activity, Offered(task, taken))

    def _withdraw(self, number: int) -> None:
        offered = self._offered.pop(number, None)
        if offered is not None:
            self._services.activities.withdraw(self._run.cause.tenant, *offered)

    def _start(self, number: int, work: Coroutine[Any, Any, Outcome | None]) -> None:
        task = asyncio.get_running_loop().create_task(self._tried(number, work))
        self._tasks[number] = task
        task.add_done_callback(self._done)

    def _done(self, task: "asyncio.Task[None]") -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._broken = error
            self._events.wake()

    async def _tried(self, number: int, work: Coroutine[Any, Any, Outcome | None]) -> None:
        step, run = f"{TASK}{number}", self._run
        run.executing[step] = None
        try:
            outcome = await work
        except TaskFailed as error:
            outcome = Outcome(error=error.error, cause=error.cause)
        except Exception as error:  # noqa: BLE001 - a service is whatever an app reaches
            if self._operations.calls.stopping:
                return  # it is the engine that ends: the task is done in the run's next life
            outcome = Outcome(error=type(error).__name__, cause=str(error))
        finally:
            waiting = run.executing.pop(step, None)
            if waiting is not None and not waiting.done():
                waiting.set_result(None)
        if self._tasks.pop(number, None) is not None and outcome is not None:
            self._events.ends(number, outcome)

    async def _serve(self, asked: ScheduleTask, resource: Resource, service: TaskService) -> Outcome | None:
        """Have a service do a task; return how it ended, or None when the holder of its token says so later."""
        kind, step = task_kind(asked.resource), f"{BEGUN}{asked.id}"
        call = TaskCall(
            **self._asking(asked),
            resource=resource,
            arguments=asked.payload,
            state=asked.state,
            token=asked.token,
            credentials=asked.credentials,
        )
        ends_later = kind.takes_token or resource.kind is Kind.ACTIVITY
        journal = self._run.journal
        begun = journal.find(step)
        if begun is None:
            output = await self._called(asked, service, call)
            body = msgspec.json.encode(output)
            if not (ends_later or kind.is_submitted):
                return Outcome(output=body)
            self._events.record(step, encode_value(body, step))
        else:
            output = msgspec.json.decode(decode_value(begun, bytes))
        if ends_later:
            return None
        ended = getattr(service, "ended", None)
        return Outcome(output=msgspec.json.encode(output if ended is None else await ended(call, output)))

    async def _read(self, asked: ReadItems) -> Outcome:
        resource = _named(asked.resource)
        source = found(self._services.outside.sources, resource)
        if source is None:
            return Outcome(error=NO_SERVICE, cause=f"Nothing here reads what {asked.resource} names")
        config = asked.config or ReaderConfig()
        call = ReadCall(
            **self._asking(asked),
            resource=resource,
            arguments=asked.payload,
            config=config,
            items_max=asked.items_max,
        )
        return Outcome(output=msgspec.json.encode(await self._called(asked, source, call)))

    async def _write(self, asked: WriteResults) -> Outcome:
        resource = _named(asked.resource)
        sink = found(self._services.outside.sinks, resource)
        if sink is None:
            return Outcome(error=NO_SERVICE, cause=f"Nothing here writes what {asked.resource} names")
        call = WriteCall(
            **self._asking(asked),
            resource=resource,
            arguments=asked.payload,
            config=asked.config,
            map_run=asked.map_run,
            children=asked.children,
        )
        return Outcome(output=msgspec.json.encode(await self._called(asked, sink, call)))

    async def _called(self, asked: Work, function: Any, call: Any) -> Any:
        services, step = self._services, f"{TASK}{asked.id}"
        await services.committer.durable()
        services.reached(WritePoint.BEFORE_EFFECT)
        services.executing(self._run.run_id, step)
        stand_in = services.stand_in
        name = getattr(asked, "state", step)
        result: Any = function(call) if stand_in is None else stand_in(name, function, (call,), {})
        if is_awaitable(result):
            result = await result
        services.reached(WritePoint.AFTER_EFFECT)
        return result

    def _asking(self, asked: Work) -> dict[str, str]:
        run = self._run
        key = f"{run.run_id}/{run.journal.named(f'{TASK}{asked.id}')}"
        return {"run_id": run.run_id, "machine": run.agent.name, "tenant": run.cause.tenant, "idempotency_key": key}


def _named(text: str) -> Resource:
    resource = parse_resource(text)
    assert resource is not None, "a resource that is none has a finding"
    return resource
