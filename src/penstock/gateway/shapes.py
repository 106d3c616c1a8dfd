"""What runs, events and dead letters look like from outside: the same over HTTP and on the command line.

Times are milliseconds since 1970-01-01 UTC. A field that has nothing to say is null.
"""

from collections.abc import Sequence
from typing import Any, Literal, cast, get_args

import msgspec
from pydantic import BaseModel, Field

from penstock.core.agents.again import lineage_of, unwrapped
from penstock.core.agents.journal import decode_value, standing
from penstock.core.agents.pending import pending
from penstock.core.agents.unit import DeadLetter, RunChange, Status
from penstock.core.events.cloudevents import to_cloudevent
from penstock.core.events.envelope import Envelope, Recorded, event_of
from penstock.ports.state import StoredRun
from penstock.runtime import questions as runtime

Ended = Literal["succeeded", "failed", "cancelled"]
STATUSES: tuple[str, ...] = get_args(Status)
CloudEvent = dict[str, Any]


class Step(BaseModel):
    """A step that is recorded: it will not be executed again."""

    name: str
    at_ms: int


class Run(BaseModel):
    """What is known of a run."""

    run_id: str
    agent: str
    tenant: str
    key: str = Field(description="The value that orders the agent's events.")
    status: Status
    attempts: int = Field(description="How often it was tried; 0 while it has not been.")
    at_ms: int = Field(description="When the status changed last.")
    due_ms: int | None = Field(default=None, description="When the next attempt is due, while retrying.")
    duration_ms: float | None = Field(default=None, description="How long the attempt that succeeded took.")
    reason: str | None = Field(default=None, description="Why it failed, or is tried again.")


class Waiting(BaseModel):
    """Something that a workflow run waits for."""

    step: str
    what: str
    since_ms: int
    due_ms: int | None = Field(default=None, description="When it ends, or goes on, by itself; null: never.")


class RunWithSteps(Run):
    """A run with its result and its steps."""

    accepted_ms: int | None = Field(default=None, description="When its event was accepted.")
    result: Any = Field(default=None, description="What the agent returned.")
    forked_from: str | None = Field(default=None, description="The run that it has its first steps from.")
    forked_at: str | None = Field(default=None, description="The first step that it executed by itself.")
    steps: list[Step] = []
    waiting: list[Waiting] = Field(default=[], description="What it waits for, the oldest first.")


class Runs(BaseModel):
    """Runs, newest first."""

    runs: list[Run]


class DeadEvent(BaseModel):
    """An event that an agent gave up on, and why."""

    run_id: str
    agent: str
    event: CloudEvent
    reason: str
    attempts: int
    at_ms: int


class DeadEvents(BaseModel):
    """Events that agents gave up on, newest first."""

    dead_letters: list[DeadEvent]


class Question(BaseModel):
    """A step of which nobody knows whether it happened: a person is to decide."""

    run_id: str
    step: str
    agent: str
    tenant: str
    call: str = Field(description="The tool with its arguments.")
    reason: str = Field(description="Why nobody knows.")
    idempotency_key: str = Field(description="What the other side was told to recognise the call by.")
    asked_ms: int


class StepValue(Step):
    """A step, and what it returned."""

    value: Any = None


class DeadEventWhole(DeadEvent):
    """A dead letter with all that is known of it."""

    steps: list[StepValue] = Field(description="What the run recorded: it is not executed again unless asked.")
    causes: list[CloudEvent] = Field(description="The events that led to it, the first one first.")


def run_shape(change: RunChange) -> Run:
    """Return a run as the outside sees it."""
    return Run(**_fields(change))


def run_with_steps(stored: StoredRun, event: Recorded | None, now_ms: int) -> RunWithSteps:
    """Return a run with all that is known of it; `event` is the one that it handles."""
    waiting = [] if is_over(stored.change) else pending(stored.records, now_ms)
    fork = None if event is None else lineage_of(event)
    return RunWithSteps(
        **_fields(stored.change),
        forked_from=None if fork is None else fork.run_id,
        forked_at=None if fork is None else fork.at or None,
        accepted_ms=None if event is None else event.event.time_ms,
        result=result_of(stored.change),
        steps=[Step(name=record.step, at_ms=record.at_ms) for record in standing(stored.records)],
        waiting=[Waiting(**msgspec.structs.asdict(each)) for each in waiting],
    )


def dead_shape(letter: DeadLetter) -> DeadEvent:
    """Return a dead letter as the outside sees it."""
    return DeadEvent(**_letter_fields(letter))


def dead_shape_whole(letter: DeadLetter, stored: StoredRun | None, origin: Sequence[Recorded]) -> DeadEventWhole:
    """Return a dead letter with the records of its run, and what of its `origin` led to it."""
    known = {each.event.id: each.event for each in origin}
    causes: list[Envelope] = []
    cause = known.get(letter.event.event.causation_id)
    while cause is not None and cause not in causes:
        causes.append(cause)
        cause = known.get(cause.causation_id)
    records = standing([] if stored is None else stored.records)
    return DeadEventWhole(
        **_letter_fields(letter),
        steps=[StepValue(name=each.step, at_ms=each.at_ms, value=_shown_value(each.value)) for each in records],
        causes=[to_cloudevent(each) for each in reversed(causes)],
    )


def question_shape(question: runtime.Question) -> Question:
    """Return a question as the outside sees it."""
    return Question(**msgspec.structs.asdict(question))


def _letter_fields(letter: DeadLetter) -> dict[str, Any]:
    return {
        "run_id": letter.run_id,
        "agent": letter.agent,
        "event": to_cloudevent(unwrapped(letter.event).event),
        "reason": letter.reason,
        "attempts": letter.attempts,
        "at_ms": letter.at_ms,
    }


def _shown_value(value: msgspec.Raw) -> Any:
    """Return a recorded value as JSON can say it: bytes as base64."""
    return msgspec.to_builtins(decode_value(value, object))


def result_of(change: RunChange) -> Any:
    """Return what the agent returned, as plain data."""
    return msgspec.json.decode(change.result) if change.result else None


def is_over(change: RunChange) -> bool:
    return change.status in cast("tuple[str, ...]", get_args(Ended))


def first_event_id(run_id: str) -> str:
    """Return the id of the event that a run handles; of the first one, where it handles a batch (`FIRST+N:AGENT`)."""
    return event_of(run_id)[0].partition("+")[0]


def emitted_by(run_id: str, origin: Sequence[Recorded]) -> list[Envelope]:
    """Return those events of an origin that a run emitted, in the order of their topics."""
    cause, agent = first_event_id(run_id), event_of(run_id)[1]
    mine = [
        each for each in origin if each.event.causation_id == cause and each.event.source.rpartition("/")[2] == agent
    ]
    return [
        each.event
        for each in sorted(mine, key=lambda each: (each.event.time_ms, each.position.topic, each.position.offset))
    ]


def _fields(change: RunChange) -> dict[str, Any]:
    return {
        "run_id": change.run_id,
        "agent": change.agent,
        "tenant": change.tenant,
        "key": change.key,
        "status": change.status,
        "attempts": change.attempt,
        "at_ms": change.at_ms,
        "due_ms": (change.due_ms or None) if change.status == "retrying" else None,
        "duration_ms": change.duration_ms if change.status == "succeeded" else None,
        "reason": change.reason or None,
    }
