"""The journal of a state machine's run: its records, in their order and with their times, are what has happened to it.

- From them the same run is made again: its history, and the commands that nobody has answered yet.
- A record of an answer has the number of the command that it answers: "call:AGENT#5", "task#5", "timer#7".
- What its tasks answer is kept as JSON, since MessagePack has no room for numbers of any size.
"""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeAlias

import msgspec
from msgspec import Raw, Struct

from penstock.core.agents.journal import StepRecord, decode_value, encode_value
from penstock.core.agents.listening import CHANNEL
from penstock.core.agents.machine_events import input_type, run_name
from penstock.core.agents.run_journal import CANCEL
from penstock.core.asl.happenings import (
    AnyCommand,
    AnyHappening,
    CancelTask,
    CancelTimer,
    Failed,
    Heartbeat,
    ReadItems,
    Redriven,
    ScheduleTask,
    Started,
    StartTimer,
    Stopped,
    Succeeded,
    TaskSubmitted,
    TimerFired,
    WriteResults,
)
from penstock.core.asl.lambda_calls import lambda_answer, thrown_cause
from penstock.core.asl.program import Program
from penstock.core.asl.reducer import advance
from penstock.core.asl.run import Run
from penstock.core.asl.task_kinds import task_kind
from penstock.core.asl.values import Json
from penstock.core.events.envelope import Envelope

MACHINE: Final = "machine"  # the record that a run begins with
CALL: Final = "call:"
TASK: Final = "task#"
BEGUN: Final = "begun#"  # a task was taken on, and its end follows
TIMER: Final = "timer#"
REDRIVEN: Final = "redriven#"
ANSWER: Final = f"{CHANNEL}task:"  # the channel of those who have a task's token, with its number
STOP: Final = f"{CHANNEL}stop"  # the channel of those who stop the run
NOTHING: Final = encode_value(None, TIMER)
SIGNALLED: Final = f"signal:{ANSWER}"
_SIGNAL: Final = "signal:"
_REASON: Final = re.compile(r"(?s)([\w.]+): (.*?)(?: \[([^\[\]]+:\d+)\])?")
_TOKEN: Final = re.compile(r"([A-Za-z0-9_-]{1,1800})\.([A-Za-z0-9_-]{1,64})/(\d{1,9})", re.ASCII)
_TASK_FAILED: Final = "TaskFailed"

Work: TypeAlias = ScheduleTask | ReadItems | WriteResults
Awaited: TypeAlias = Work | StartTimer


class Begins(Struct):
    """How a run begins: the definition that it keeps, by its digest, and what its tokens are told by. It is stored."""

    definition: str
    secret: str


class Outcome(Struct, omit_defaults=True):
    """How a task, a reading or a writing ended. It is stored: new fields go to the end, with a default."""

    output: bytes = b""  # JSON; empty: it failed
    error: str | None = None
    cause: str | None = None


class Answer(Struct):
    """What the holder of a token says."""

    kind: str  # success, failure or heartbeat
    output: str = "null"  # JSON
    error: str | None = None
    cause: str | None = None


class Token(Struct, frozen=True):
    """What the text of a task's token says."""

    run_id: str
    secret: str
    number: int


def started(cause: Envelope, machine: str, begins: Begins, run_id: str) -> Started:
    """Return the happening that a run begins with: the event's input, or its data where it is an event of another type."""
    data = msgspec.json.decode(cause.data)
    given = data["input"] if cause.type == input_type(machine).type_ else data
    whose = urlsafe_b64encode(run_id.encode()).decode().rstrip("=")
    name = run_name(machine, cause.id)
    return Started(at_ms=cause.time_ms, input=given, name=name, machine=machine, tokens=f"{whose}.{begins.secret}")


def begins_in(records: Iterable[StepRecord]) -> Begins | None:
    """Return how a run began; None when it has not, or its journal is gone."""
    return next((decode_value(each.value, Begins) for each in records if each.step == MACHINE), None)


def token_of(text: str) -> Token | None:
    """Read a task's token; None for a text that is none."""
    found = _TOKEN.fullmatch(text)
    if found is None:
        return None
    try:
        run_id = urlsafe_b64decode(found[1] + "=" * (-len(found[1]) % 4)).decode()
    except ValueError:
        return None
    return Token(run_id, found[2], int(found[3]))


def replayed(program: Program, begins: Started, records: Iterable[StepRecord]) -> "tuple[Run, dict[int, Awaited]]":
    """Return the run that the records tell of, and what it still waits for, by the number of the command."""
    run, awaited = Run(program), dict[int, Awaited]()
    note(awaited, advance(run, begins))
    for record in records:
        happening = happening_of(record, awaited)
        if happening is not None:
            note(awaited, advance(run, happening))
    return run, {number: each for number, each in awaited.items() if number in run.works or number in run.timers}


def waits_for_token(run: Run, awaited: Mapping[int, Awaited], number: int) -> bool:
    """Whether a task waits for what the holder of its token says."""
    asked = awaited.get(number)
    if not isinstance(asked, ScheduleTask) or number not in run.works:
        return False
    kind = task_kind(asked.resource)
    return kind.takes_token or kind.events == "Activity"


def redriven(records: Iterable[StepRecord], at_ms: int) -> StepRecord:
    """Return the record by which a run goes on after its end."""
    count = sum(each.step.startswith(REDRIVEN) for each in records)
    return StepRecord(f"{REDRIVEN}{count}", Raw(NOTHING), at_ms)


def note(awaited: "dict[int, Awaited]", commands: Iterable[AnyCommand]) -> None:
    """Keep in mind what was asked for: an answer is read by that."""
    for command in commands:
        if not isinstance(command, CancelTask | CancelTimer):
            awaited[command.id] = command


def happening_of(record: StepRecord, awaited: Mapping[int, Awaited]) -> AnyHappening | None:
    """Return what a record says has happened; None for a record that is no happening."""
    step = record.step
    name, _, number = step.rpartition("#")
    if not number.isdigit():
        return _cancelled(record) if step == CANCEL else None
    if name.startswith(CALL):
        return _answered(record, awaited.get(int(number)))
    if name.startswith(_SIGNAL):
        return _said(record, name.removeprefix(_SIGNAL))
    read = _READ.get(name)
    return None if read is None else read(record, int(number))


def _fired(record: StepRecord, number: int) -> AnyHappening:
    return TimerFired(at_ms=record.at_ms, id=number)


def _taken_on(record: StepRecord, number: int) -> AnyHappening:
    return TaskSubmitted(at_ms=record.at_ms, id=number, output=_json(decode_value(record.value, bytes)))


def _redriven(record: StepRecord, _number: int) -> AnyHappening:
    return Redriven(at_ms=record.at_ms)


def _cancelled(record: StepRecord) -> Stopped:
    return Stopped(at_ms=record.at_ms, cause=decode_value(record.value, dict[str, Any])["reason"])


def _answered(record: StepRecord, asked: Awaited | None) -> AnyHappening | None:
    """Read how the handling of an agent ended that a task had called."""
    if not isinstance(asked, ScheduleTask):
        return None
    outcome: dict[str, Any] = decode_value(record.value, Any)
    if "failed" in outcome:
        error, cause = failure_of(outcome["failed"], outcome["run_id"])
        return Failed(at_ms=record.at_ms, id=asked.id, error=error, cause=cause)
    kind, output = task_kind(asked.resource), _json(outcome["result"])
    if kind.service == "lambda" and kind.events == "Task":
        output = lambda_answer(output)
    if kind.takes_token:
        return TaskSubmitted(at_ms=record.at_ms, id=asked.id, output=output)
    return Succeeded(at_ms=record.at_ms, id=asked.id, output=output)


def _ended(record: StepRecord, number: int) -> AnyHappening:
    outcome: Outcome = decode_value(record.value, Outcome)
    if outcome.output:
        return Succeeded(at_ms=record.at_ms, id=number, output=_json(outcome.output))
    return Failed(at_ms=record.at_ms, id=number, error=outcome.error, cause=outcome.cause)


def _said(record: StepRecord, channel: str) -> AnyHappening | None:
    """Read what was said to the run, or to one of its tasks."""
    number = channel.removeprefix(ANSWER)
    if channel != STOP and not (channel.startswith(ANSWER) and number.isdigit()):
        return None
    said = decode_value(record.value, dict[str, Any])["payload"]
    if channel == STOP:
        return Stopped(at_ms=record.at_ms, error=said["error"], cause=said["cause"])
    answer = msgspec.convert(said, Answer)
    match answer.kind:
        case "success":
            return Succeeded(at_ms=record.at_ms, id=int(number), output=_json(answer.output.encode()))
        case "failure":
            return Failed(at_ms=record.at_ms, id=int(number), error=answer.error, cause=answer.cause)
        case _:
            return Heartbeat(at_ms=record.at_ms, id=int(number))


def failure_of(reason: str, run_id: str) -> tuple[str, str]:
    """Return error and cause of a task whose agent failed for a reason: the class of its exception, and what Lambda tells."""
    found = _REASON.fullmatch(reason)
    if found is None:
        return "Error", thrown_cause("Error", reason, (), run_id)
    error, message, place = found.groups()
    if error == _TASK_FAILED and (own := _REASON.fullmatch(message)) is not None:
        return own[1], own[2]
    return error, thrown_cause(error, message, (place,) if place else (), run_id)


def _json(body: bytes) -> Json:
    return msgspec.json.decode(body) if body else None


_READ: Final = {"timer": _fired, "task": _ended, "begun": _taken_on, "redriven": _redriven}
