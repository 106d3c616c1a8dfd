"""The envelope of every event: CloudEvents 1.0 attributes, plus what durable agents need to know of its origin.

An envelope never changes. Its stored form is `codec`'s business, its outside form `cloudevents`'.

It is a msgspec Struct and not a dataclass because one is made, encoded and decoded for each hop: a frozen
dataclass of eleven fields takes ten times as long to make (see docs/decisions/0002).
"""

import re
from hashlib import blake2b

from msgspec import Struct

DEFAULT_TENANT = "default"
EMITTED_TAIL_BYTES = 9  # millions of events of one origin must not meet: the same ids come again at each replay
UNPLACED = 0  # the offset of an event that waits: for its time, or for the owner of its partition
COMPARED = -1  # likewise, and its id must be compared with those that other workers bring
_EMITTED = re.compile(rf"\.[0-9a-f]{{{2 * EMITTED_TAIL_BYTES}}}\Z")


class Envelope(Struct, frozen=True, array_like=True):
    """One immutable fact. New fields go to the end, with a default: older logs stay readable."""

    id: str
    source: str
    type: str
    key: str  # CloudEvents' `subject`: events of one key are handled in order
    time_ms: int
    data: bytes  # JSON
    tenant: str = DEFAULT_TENANT
    correlation_id: str = ""  # the id of the event that everything began with
    causation_id: str = ""  # the id of the event whose handling emitted this one
    depth: int = 0  # hops since the beginning
    traceparent: str = ""  # W3C trace context
    reply_run: str = ""  # the workflow run that waits for the answer of whoever handles this
    reply_step: str = ""  # the agent that is to answer, and the step that the answer is for, with a blank between
    subject: str = ""  # whom it is about, so that it can be forgotten; in a store a pseudonym
    tracestate: str = ""  # what tracing systems said beside `traceparent`


class Position(Struct, frozen=True, array_like=True):
    """Where an event is in the log. Offsets count from 1 within a partition."""

    topic: str
    partition: int
    offset: int

    @property
    def is_given(self) -> bool:
        """Whether the event has its place."""
        return self.offset > UNPLACED


class Recorded(Struct, frozen=True):
    """An event with its place in the log."""

    position: Position
    event: Envelope


def emitted_id(run_id: str, correlation_id: str, number: int) -> str:
    """Return the id of the `number`-th event that a run emits: the same at each replay.

    It begins with the correlation id, so that all events of one origin stand together in an index by id.
    """
    tail = blake2b(f"{run_id}#{number}".encode(), digest_size=EMITTED_TAIL_BYTES).hexdigest()
    return f"{correlation_id}.{tail}"


def may_be_emitted(event_id: str) -> bool:
    """Whether a run could give this id to an event that it emits: then nobody else may."""
    return _EMITTED.search(event_id) is not None


def run_id(event_id: str, agent: str) -> str:
    """Return the id of the run in which `agent` handles the event."""
    return f"{event_id}:{agent}"


def event_of(run: str) -> tuple[str, str]:
    """Return the event id and the agent of a run id (the reverse of `run_id`)."""
    event_id, _, agent = run.rpartition(":")
    return event_id, agent
