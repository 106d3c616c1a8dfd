"""What the engine and a worker on a host say to each other: MessagePack, many messages at a time; values in them too.

A handling has a number, which its engine gives out; what a handler asks for has a number within its handling. The journal,
memory and commits stay with the engine: a worker only calls the user's functions, and tells what they returned.
"""

from typing import Any, TypeAlias

import msgspec
from msgspec import Struct

from penstock.core.events.envelope import Position
from penstock.core.hosting.faults import Fault
from penstock.errors import Finding, Invalid

BATCH_BYTES_MAX = 256 * 1024 * 1024


class Handle(Struct, frozen=True, array_like=True, tag="handle"):
    """To a worker: handle events, each in its stored form with its place."""

    handling: int
    agent: str
    run_id: str
    attempt: int
    lane: str
    events: list[tuple[Position, bytes]]
    model: str = ""  # which model of the app answers in the place of all
    traceparent: str = ""  # of the attempt, where it is traced


class Execute(Struct, frozen=True, array_like=True, tag="execute"):
    """To a worker: call the function of a step. `reconcile`: ask the tool's own function what became of a call."""

    handling: int
    call: int
    idempotency_key: str = ""
    attempt: int = 1
    details: bytes | None = None  # what the last sign of life said
    reconcile: bool = False
    turn: int = 0  # which call of the function it is; its outcome says so
    step: str = ""  # as the journal has it, for messages
    traceparent: str = ""  # of the step, where it is traced


class Answer(Struct, frozen=True, array_like=True, tag="answer"):
    """To a worker: what was asked for. `is_own`: it is just what the worker itself returned, or raised."""

    handling: int
    call: int
    value: bytes | None = None
    fault: Fault | None = None
    is_own: bool = False


class Stop(Struct, frozen=True, array_like=True, tag="stop"):
    """To a worker: cancel a handling, or one of its steps."""

    handling: int
    call: int = 0


class Leave(Struct, frozen=True, array_like=True, tag="leave"):
    """To a worker: it is about to be ended, so what it has still to send to others is to be sent now."""

    handling: int = 0


class ToolForm(Struct, frozen=True, array_like=True):
    """How a tool is called: the parts of `ToolOptions` that are plain data; functions stay with the worker."""

    name: str
    shown: str  # its arguments, as people read them
    unknown: str  # "retry", "ask", "skip" or "reconcile"
    skip: bytes | None = None
    retry: tuple[int, float, float, float] | None = None
    timeout_s: float | None = None
    total_s: float | None = None
    idle_s: float | None = None
    wants_details: bool = False


class Step(Struct, frozen=True, array_like=True, tag="step"):
    """From a worker: a handler calls a step."""

    handling: int
    call: int
    name: str
    effects: bool
    tool: ToolForm | None = None


class Outcome(Struct, frozen=True, array_like=True, tag="outcome"):
    """From a worker: what the function of a step returned, or raised. `not_done`: so a tool's own function says."""

    handling: int
    call: int
    value: bytes | None = None
    fault: Fault | None = None
    not_done: bool = False
    turn: int = 0


class Beat(Struct, frozen=True, array_like=True, tag="beat"):
    """From a worker: a tool gives a sign of life."""

    handling: int
    call: int
    details: bytes


class Ask(Struct, frozen=True, array_like=True, tag="ask"):
    """From a worker: a handler asks for something that the engine has: a value, a session, a search."""

    handling: int
    call: int
    what: str
    body: bytes


class Told(Struct, frozen=True, array_like=True, tag="told"):
    """From a worker: a piece of a stream. `call`: the step within which it is told; 0: none."""

    handling: int
    call: int
    stream: str
    name: str
    piece: bytes


class Emitted(Struct, frozen=True, array_like=True):
    """An event that a handler emits; `after_s`, `at_ms`, `timer`: later. Without a type the timer is cancelled."""

    type: str
    data: bytes
    key: str | None = None
    after_s: float | None = None
    at_ms: int | None = None
    timer: str = ""


class Returned(Struct, frozen=True, array_like=True):
    """What a handler returned: events, or JSON, one or a list of them."""

    items: list[Emitted | bytes]
    is_list: bool = False


class Ended(Struct, frozen=True, array_like=True, tag="ended"):
    """From a worker: a handler has ended, with all that it wants written; or it has failed."""

    handling: int
    returned: Returned | None = None
    emitted: list[Emitted] = []
    later: list[Emitted] = []
    session: str | None = None
    messages: list[tuple[str, str]] = []
    values: dict[str, bytes | None] = {}
    fault: Fault | None = None
    is_cancelled: bool = False


class Left(Struct, frozen=True, array_like=True, tag="left"):
    """From a worker: it may be ended."""

    handling: int = 0


ToWorker: TypeAlias = Handle | Execute | Answer | Stop | Leave
FromWorker: TypeAlias = Step | Outcome | Beat | Ask | Told | Ended | Left
_encode = msgspec.msgpack.Encoder().encode
_to_worker = msgspec.msgpack.Decoder(list[ToWorker])
_from_worker = msgspec.msgpack.Decoder(list[FromWorker])
_DAMAGE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def encode_batch(messages: list[Any]) -> bytes:
    """Return messages as they travel; `Invalid` for what cannot be written."""
    try:
        return _encode(messages)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise Invalid("a message between engine and worker", (Finding("(whole)", str(error), "mend it"),)) from error


def decode_to_worker(body: bytes) -> list[ToWorker]:
    """Return what the engine says; `Invalid` when it is damaged, or of another version."""
    try:
        return _to_worker.decode(body)
    except _DAMAGE as error:
        raise _damaged(error) from error


def decode_from_worker(body: bytes) -> list[FromWorker]:
    """Return what a worker says; `Invalid` when it is damaged, or of another version."""
    try:
        return _from_worker.decode(body)
    except _DAMAGE as error:
        raise _damaged(error) from error


def _damaged(error: Exception) -> Invalid:
    hint = "run the same version of penstock on both sides"
    return Invalid("a message between engine and worker", (Finding("(whole)", str(error), hint),))
