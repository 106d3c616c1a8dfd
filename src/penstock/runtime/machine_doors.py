"""What callers do with the state machines of a running app."""

import asyncio
import logging
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import msgspec

from penstock.core.agents.again import RedriveRun
from penstock.core.agents.control import CONTROL, AnswerTask, StopMachine
from penstock.core.agents.machine_events import event_name
from penstock.core.agents.machine_records import token_of
from penstock.core.asl.definition import to_document
from penstock.core.asl.happenings import Status
from penstock.core.asl.history import EVENTS_MAX
from penstock.core.asl.threads import PAYLOAD_BYTES_MAX
from penstock.core.asl.values import Json, equal
from penstock.core.events.envelope import event_of
from penstock.core.events.event import Event
from penstock.errors import LimitReached, Missing, Refused, RunFailed, TimedOut
from penstock.runtime import executions
from penstock.runtime.activities import POLL_WAIT_S, ActivityTask
from penstock.runtime.asking_again import UNSIGNED, Asked, Signature
from penstock.runtime.engine import Engine
from penstock.runtime.executions import Execution
from penstock.runtime.machine_answers import BAD_TOKEN, error_of, require_counted
from penstock.runtime.machines import StateMachine, machine_of, require_name

_log = logging.getLogger("penstock")
SYNC_WAIT_S = 300.0  # as long as an express machine may run on AWS
REDRIVEN_WITHIN_S = 5.0
CAUSE_CHARS_MAX = 32_768
ERROR_CHARS_MAX = 256
EXISTS = "ExecutionAlreadyExists"


class MachineDoor:
    """One state machine of a running app, for one tenant."""

    def __init__(self, engine: Engine, machine: StateMachine, tenant: str) -> None:
        self._engine = engine
        self._machine = machine
        self._tenant = tenant

    @property
    def definition(self) -> Mapping[str, Any]:
        """The document that new runs follow."""
        return to_document(self._machine.definition)

    @property
    def express(self) -> bool:
        return self._machine.express

    async def start(self, input: Json = None, *, name: str | None = None) -> str:
        """Begin a run, and return its id once that is durable.

        The same `name` twice is one run; with another input it is `Refused`, as ExecutionAlreadyExists.
        """
        event, event_id = self._event(input), self._id(name)
        run = await self._engine.start(self._machine.name, event, id=event_id, tenant=self._tenant)
        await self._require_same(event_id, event)
        return run

    async def start_sync(
        self, input: Json = None, *, name: str | None = None, within_s: float = SYNC_WAIT_S
    ) -> Execution:
        """Begin a run, wait for its end, and return what became of it. `TimedOut` when it goes on for longer."""
        run = await self.start(input, name=name)
        with suppress(RunFailed):  # what became of it says so
            await self._engine.result(run, tenant=self._tenant, within_s=within_s)
        return await self.describe(run)

    async def ended(self, run: str, *, within_s: float = SYNC_WAIT_S) -> Execution:
        """Wait for the end of a run, or some time, and return what is known of it then."""
        execution = await self.describe(run)
        with suppress(RunFailed, TimedOut):
            await self._engine.result(execution.run_id, tenant=self._tenant, within_s=within_s)
        return await self.describe(run)

    async def describe(self, run: str) -> Execution:
        """Return what became of a run, by its id or its ARN."""
        await self._engine.services.committer.durable()
        return self._mine(await executions.described(self._engine.parts.store, run, self._tenant))

    async def runs(self, *, status: Status | None = None, limit: int = 50) -> list[Execution]:
        """Return the newest runs."""
        await self._engine.services.committer.durable()
        return await executions.listed(self._engine.parts.store, self._machine.name, self._tenant, status, limit)

    async def stop(self, run: str, *, error: str | None = None, cause: str | None = None) -> None:
        """Have a run end where it is, with those that it waits for; one that has ended stays as it is."""
        _require_short(error, cause)
        execution = await self.describe(run)
        said = StopMachine(run_id=execution.run_id, error=error, cause=cause)
        await said_to_machine(self._engine, said, self._tenant)

    async def redrive(self, run: str, *, signed: Signature = UNSIGNED) -> None:
        """Have a run that failed, timed out or was stopped go on: what failed, or was cut off, is done again."""
        execution = await self.describe(run)
        if execution.status in ("RUNNING", "SUCCEEDED"):
            raise Refused(f"ExecutionNotRedrivable: the run {run!r} is {execution.status}", "start another one")
        stored, recorded = await executions.found(self._engine.parts.store, execution.run_id, self._tenant)
        died_ms = stored.change.at_ms
        again = RedriveRun(
            run_id=execution.run_id, agent=execution.machine, died_ms=died_ms, by=signed.by, why=signed.why
        )
        await self._engine.send_again([Asked(again, recorded)])

        async def goes_on() -> bool:
            known = await self._engine.parts.store.run(execution.run_id)
            return known is not None and known.change.at_ms != died_ms

        try:
            async with asyncio.timeout(REDRIVEN_WITHIN_S):
                await self._engine.services.committer.until(goes_on)
        except TimeoutError:  # another worker may have it
            _log.warning("run %s does not go on within %g s of its redrive", execution.run_id, REDRIVEN_WITHIN_S)

    async def history(self, run: str, *, newest_first: bool = False, limit: int = EVENTS_MAX) -> list[dict[str, Any]]:
        """Return the events of a run, in the shape of AWS's GetExecutionHistory; `Missing` once its journal was pruned."""
        execution = await self.describe(run)
        events = await executions.history(self._engine.parts.store, execution.run_id, self._tenant)
        return (events[::-1] if newest_first else events)[:limit]

    def _event(self, input: Json) -> Event:
        event = self._machine.input(input)
        size = len(msgspec.json.encode(input))
        if size > PAYLOAD_BYTES_MAX:
            raise LimitReached("the input of the run, in bytes of JSON,", size, PAYLOAD_BYTES_MAX)
        return event

    def _id(self, name: str | None) -> str | None:
        if name is None:
            return None
        require_name(name)
        return event_name(self._machine.name, name, self._tenant)

    async def _require_same(self, event_id: str | None, event: Event) -> None:
        recorded = None if event_id is None else await self._engine.parts.store.event(event_id)
        if recorded is not None and not equal(
            msgspec.json.decode(recorded.event.data), msgspec.json.decode(event.encoded())
        ):
            raise Refused(f"{EXISTS}: the run {event_id!r} has another input", "give another name")

    def _mine(self, execution: Execution) -> Execution:
        if execution.machine != self._machine.name:
            raise Missing(
                f"ExecutionDoesNotExist: the run {execution.run_id!r} of {self._machine.name!r}",
                f"it is one of {execution.machine!r}",
            )
        return execution


class ForMachines:
    """The doors to state machines."""

    __slots__ = ()
    engine: Engine

    def machine(self, name: str, *, tenant: str = "default") -> MachineDoor:
        """Return a state machine of the app, to start runs of it and to look after them."""
        agents = self.engine.parts.topology.agents
        machine = machine_of(agents.get(name))
        if machine is None:
            known = ", ".join(each for each, agent in agents.items() if machine_of(agent) is not None) or "none"
            raise Missing(f"StateMachineDoesNotExist: the state machine {name!r}", f"this app has {known}")
        return MachineDoor(self.engine, machine, tenant)

    async def get_activity_task(
        self, name: str, *, within_s: float = POLL_WAIT_S, tenant: str = "default"
    ) -> ActivityTask | None:
        """Return the task of an activity that has waited longest, or the next one: `token` and `input`. None: none came in time.

        Its end is told by `send_task_success` or `send_task_failure`. It is handed out once.
        """
        if name not in self.engine.services.outside.activities:
            known = ", ".join(sorted(self.engine.services.outside.activities)) or "none"
            raise Missing(f"ActivityDoesNotExist: the activity {name!r}", f"this app has {known}")
        task = await self.engine.services.activities.next(tenant, name, within_s)
        if task is not None:
            await self.engine.services.committer.durable()
        return task

    async def send_task_success(self, token: str, output: Json = None, *, tenant: str = "default") -> None:
        """End a task well that waits for who has its token.

        `Missing`, as TaskDoesNotExist; `Refused`, as TaskTimedOut when it waits no more, and as InvalidToken.
        """
        body = msgspec.json.encode(output)
        if len(body) > PAYLOAD_BYTES_MAX:
            raise LimitReached("the output of the task, in bytes of JSON,", len(body), PAYLOAD_BYTES_MAX)
        await answer_task(self.engine, token, tenant, kind="success", output=body.decode())

    async def send_task_failure(
        self, token: str, error: str | None = None, cause: str | None = None, *, tenant: str = "default"
    ) -> None:
        """Have a task fail that waits for who has its token; the errors are those of `send_task_success`."""
        _require_short(error, cause)
        await answer_task(self.engine, token, tenant, kind="failure", error=error, cause=cause)

    async def send_task_heartbeat(self, token: str, *, tenant: str = "default") -> None:
        """Say that a task is still worked on; the errors are those of `send_task_success`."""
        await answer_task(self.engine, token, tenant, kind="heartbeat")


async def answer_task(engine: Engine, token: str, tenant: str, **said: Any) -> None:
    """Say something to the task of a token, and return once it counts."""
    known = token_of(token)
    if known is None:
        raise error_of(BAD_TOKEN)
    answer = AnswerTask(run_id=known.run_id, task=known.number, secret=known.secret, **said)
    await said_to_machine(engine, answer, tenant)


async def said_to_machine(engine: Engine, said: StopMachine | AnswerTask, tenant: str) -> None:
    """Say something to the run of a state machine, wherever it is; raise why it comes to nothing."""
    await engine.services.committer.durable()
    recorded = await engine.parts.store.event(event_of(said.run_id)[0])
    if recorded is None or recorded.event.tenant != tenant:
        raise error_of("TaskDoesNotExist" if isinstance(said, AnswerTask) else "ExecutionDoesNotExist")
    # The run's own key, so that the worker hears it who has the run.
    body = await engine.call(CONTROL, said, tenant=tenant, key=recorded.event.key or recorded.event.id)
    require_counted(msgspec.json.decode(body) if body else "")


def _require_short(error: str | None, cause: str | None) -> None:
    for what, text, most in (("error", error, ERROR_CHARS_MAX), ("cause", cause, CAUSE_CHARS_MAX)):
        if text is not None and len(text) > most:
            raise LimitReached(f"the {what}, in characters,", len(text), most)
