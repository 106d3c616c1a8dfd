"""What Tasks call, carried out on penstock's own parts, in this process: topics for queues, an agent for tables, rules for buses.

- Each effect is an event whose id follows from the task's idempotency key: a task that is done again, since a process died before
  its outcome was recorded, appends nothing new, and gets the same answer.
- What follows is counted as a hop from the machine's own event, so that machines and rules which start each other end (C9).
- Answers, refusals and their names are AWS's (`penstock.core.asl.services`).
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final, Protocol, TypeAlias

import msgspec

from penstock.core.agents.machine_events import event_name
from penstock.core.asl.services import bus, messages, parameters, problems
from penstock.core.asl.values import Json
from penstock.core.events.envelope import Envelope, emitted_id, event_of, run_id
from penstock.core.events.event import Event
from penstock.core.rules.bus_events import own_refused, put_event
from penstock.core.tables import operations
from penstock.core.tables.refusals import VALIDATION, TableRefused
from penstock.core.tables.table_events import table_call
from penstock.core.timing.timers import When, when
from penstock.errors import Invalid, Missing
from penstock.runtime.addressing import kinds_in, message_in
from penstock.runtime.executions import Kept
from penstock.runtime.machine_tasks import Outside, TaskCall, TaskFailed
from penstock.runtime.outside_calls import OutsideCalls
from penstock.runtime.starting_machines import Executions
from penstock.runtime.tables import NAME as TABLES
from penstock.runtime.tables import Tables
from penstock.runtime.topology import Topology

WAIT_S_MAX: Final = 300.0
Given: TypeAlias = Mapping[str, Json]
Work: TypeAlias = Callable[[TaskCall, Given], Awaitable[Json]]
_OTHER_NAMES: Final = {"events": "eventbridge", "states": "sfn", "bedrock": "bedrockruntime"}


class Door(Protocol):
    """The front door of the engine, as far as services use it."""

    async def send(
        self,
        event: Event,
        *,
        id: str | None = None,
        tenant: str = "default",
        key: str | None = None,
        when: When | None = None,
        cause: Envelope | None = None,
    ) -> str: ...
    async def result(self, id: str, *, tenant: str = "default", within_s: float = 60.0) -> bytes: ...


class OwnServices:
    """The services of one running app."""

    def __init__(self, door: Door, runs: Kept, topology: Topology, tables: Tables, calls: OutsideCalls) -> None:
        self._door = door
        self._runs = runs
        self._topology = topology
        self._tables = tables
        self._calls = calls

    def fill(self, outside: Outside) -> None:
        """Be what machines reach, where nobody else is."""
        works: dict[str, Work] = {
            "sqs:sendMessage": self._send_message,
            "sns:publish": self._publish,
            "events:putEvents": self._put_events,
            "http:invoke": self._calls.invoke_http,
            "bedrock:invokeModel": self._calls.invoke_model,
        }
        works |= {f"dynamodb:{action}": self._call_table for action in ("getItem", *operations.WRITES)}
        for call, work in works.items():
            service, action = call.split(":")
            outside.services.setdefault(call, _Service(call, work))
            if service != "http":
                name = _OTHER_NAMES.get(service, service)
                outside.services.setdefault(f"aws-sdk:{name}:{action}", _Service(call, work))
        executions = Executions(self._door, self._runs, self._topology, self.cause_of)
        outside.services.setdefault("states:startExecution", executions)
        outside.services.setdefault("aws-sdk:sfn:startExecution", executions)

    async def cause_of(self, call: TaskCall) -> Envelope:
        """Return the event that the asking run began with."""
        found = await self._runs.event(event_of(call.run_id)[0])
        if found is None:
            raise Missing(f"the event of the run {call.run_id!r}", "see `penstock runs list`")
        return found.event

    async def _send_message(self, call: TaskCall, given: Given) -> Json:
        refused = messages.Refusals("sqs", _request_id(call), sdk=call.resource.sdk)
        sending = messages.sent_message(given, refused)
        return messages.sent_answer(sending, await self._sent(call, sending, refused))

    async def _publish(self, call: TaskCall, given: Given) -> Json:
        refused = messages.Refusals("sns", _request_id(call), sdk=call.resource.sdk)
        sending = messages.published_message(given, refused)
        return messages.published_answer(await self._sent(call, sending, refused))

    async def _sent(self, call: TaskCall, sending: messages.Sending, refused: messages.Refusals) -> str:
        """Append a message to the topic of its queue, and return the id of the event."""
        try:
            kinds = kinds_in(self._topology, sending.to.removesuffix(messages.FIFO))
        except Missing as error:
            raise messages.no_such_queue(refused) from error
        attributes = messages.plain_attributes(sending.attributes)
        try:
            event = message_in(sending.body, kinds, group=sending.group, subject=sending.subject, attributes=attributes)
        except Invalid as error:
            code = "InvalidParameter" if refused.service == "sns" else "InvalidMessageContents"
            raise refused(code, f"The message is no event of {sending.to!r}: {error}") from error
        cause = await self.cause_of(call)
        own_key = self._topology.kind(type(event)).key
        return await self._door.send(
            event,
            id=_message_id(call, sending, cause),
            tenant=call.tenant,
            key=sending.group if sending.group and own_key is None else None,
            when=when(sending.delay_s, None) if sending.delay_s else None,
            cause=cause,
        )

    async def _put_events(self, call: TaskCall, given: Given) -> Json:
        entries = bus.entries_of(given["Entries"], adding=(call.machine, call.run_id), request_id=_request_id(call))
        entries = [own_refused(entry) for entry in entries]
        cause = await self.cause_of(call)
        ids: list[str] = []
        for number, entry in enumerate(entries):
            event_id = emitted_id(call.idempotency_key, cause.correlation_id or cause.id, number)
            if isinstance(entry, bus.Entry):
                await self._door.send(put_event(entry), id=event_id, tenant=call.tenant, cause=cause)
            ids.append(problems.identity("entry", event_id))
        answer = bus.put(entries, ids)
        if not call.resource.sdk:
            bus.require_none_failed(answer)
        return answer

    async def _call_table(self, call: TaskCall, given: Given) -> Json:
        action, cause = call.resource.action, await self.cause_of(call)
        try:
            schema = self._tables.required(str(given["TableName"]).rpartition("/")[2])
            event = table_call(schema, action, given, operations.key_of(schema, action, given))
        except TableRefused as error:
            raise _refused(call, error.code, error.message) from error
        event_id = emitted_id(call.idempotency_key, cause.correlation_id or cause.id, 0)
        await self._door.send(event, id=event_id, tenant=call.tenant, cause=cause)
        body = await self._door.result(run_id(event_id, TABLES), tenant=call.tenant, within_s=WAIT_S_MAX)
        told = msgspec.json.decode(body)
        if "answer" not in told:
            raise _refused(call, told["code"], told["message"])
        return told["answer"]


class _Service:
    """One action: its parameters checked, its failures those of the task."""

    def __init__(self, call: str, work: Work) -> None:
        self._call = call
        self._work = work

    async def __call__(self, call: TaskCall, /) -> Json:
        try:
            answer = await self._work(call, parameters.checked(self._call, call.arguments))
        except problems.CallFailed as error:
            raise TaskFailed(error.error, error.cause) from error
        if self._call in ("http:invoke", "bedrock:invokeModel") or not isinstance(answer, dict):
            return answer
        if call.resource.sdk:
            return {name.replace("MD5", "Md5", 1): value for name, value in answer.items()}
        return problems.answered(answer, _request_id(call))


def _request_id(call: TaskCall) -> str:
    return problems.identity("request", call.idempotency_key)


def _refused(call: TaskCall, code: str, message: str) -> problems.CallFailed:
    problem = problems.Problem(code=code, message=message, is_known=code != VALIDATION, request_id=_request_id(call))
    return problems.failure("dynamodb", problem, sdk=call.resource.sdk)


def _message_id(call: TaskCall, sending: messages.Sending, cause: Envelope) -> str:
    """Return the id of a message's event: by its deduplication id, if it has one, and else by the task."""
    if sending.is_fifo and sending.deduplication:
        return event_name(sending.to, sending.deduplication, call.tenant)
    return emitted_id(call.idempotency_key, cause.correlation_id or cause.id, 0)
