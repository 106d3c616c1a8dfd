"""What is said to a run from outside: events on a topic of their own, in order per run."""

from typing import Any, Literal

from penstock.core.events.event import Event

TOPIC = "penstock-runs"
CONTROL = "runs"  # the agent that hears it


class Signal(Event, topic=TOPIC, key="run_id"):
    """A message to a workflow run, which takes it with `ctx.wait_for(name)`, now or later."""

    run_id: str
    name: str
    payload: Any = None


class Cancel(Event, topic=TOPIC, key="run_id"):
    """A run is to end where it is."""

    run_id: str
    reason: str = "cancelled"


class Decide(Event, topic=TOPIC, key="run_id"):
    """What a person says of a step: that it was done, is to be tried again, or has failed; or of what is to be approved."""

    run_id: str
    step: str
    outcome: Literal["done", "retry", "fail", "approve", "reject"]
    value: Any = None
    by: str = ""
    reason: str = ""


class StopMachine(Event, topic=TOPIC, key="run_id"):
    """The run of a state machine is to end where it is, with this error and cause."""

    run_id: str
    error: str | None = None
    cause: str | None = None


class AnswerTask(Event, topic=TOPIC, key="run_id"):
    """What the holder of a task's token says: how the task ended, or that it is still worked on."""

    run_id: str
    task: int
    secret: str
    kind: Literal["success", "failure", "heartbeat"]
    output: str = "null"  # JSON
    error: str | None = None
    cause: str | None = None


class CancelTimer(Event, topic=TOPIC, key="timer_id"):
    """What waits for its time is not to happen: said to the worker that owns the timer's partition."""

    timer_id: str


class RunFollowed(Event, topic=TOPIC, key="run_id"):
    """Somebody follows the streams of a run through another worker, which sees them in the store."""

    run_id: str


class CallAnswered(Event, topic=TOPIC, key="run_id"):
    """A run that another one waits for has ended: said where they are in partitions of different workers."""

    run_id: str
    step: str
    by: str  # the run that has ended


class RunListens(Event, topic=TOPIC, key="run_id"):
    """A run listens to events of a partition, from its place in this topic on; said to the owner of that partition."""

    run_id: str
    listening: dict[str, Any]  # a `Listening`


class RunListensNoMore(Event, topic=TOPIC, key="run_id"):
    """What was said by a `RunListens` is over."""

    run_id: str
    channel: str


class EventHeard(Event, topic=TOPIC, key="run_id"):
    """An event has come that a run listens to."""

    run_id: str
    channel: str
    event_id: str
