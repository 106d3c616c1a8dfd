"""The form of what is exported: lines of JSON, each of which says of what kind it is. The whole form: docs/exports.md.

- The form grows and never changes: fields are added at the end, with a default, and `FORMAT` rises with them: an older penstock
  refuses what it would lose.
- What people look for can be read; what is read back is the same to the last byte. A value is written as JSON where that gives
  its bytes again, and as base64 where it does not.
"""

from base64 import b64decode, b64encode
from collections.abc import Callable
from hashlib import blake2b
from typing import Any, Final

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from penstock.core.agents.unit import Status
from penstock.core.events.blobs import DIGEST_BYTES, Reference, packed_reference, reference_in
from penstock.core.events.envelope import DEFAULT_TENANT
from penstock.core.timing.timers import TimerClock

FORMAT: Final = 2
LINE_BYTES_MAX: Final = 128 * 1024 * 1024  # a value of 64 MiB in base64, and what stands around it


class Told(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Some bytes: the JSON that they are, the JSON of the MessagePack that they are, base64, or a blob by its digest."""

    json: Raw | UnsetType = UNSET
    packed: Raw | UnsetType = UNSET
    base64: str = ""
    blob: str = ""
    size: int = 0

    def body(self) -> bytes:
        """Return the bytes; `ValueError` when this is no form of any."""
        forms = [self.json is not UNSET, self.packed is not UNSET, bool(self.base64), bool(self.blob)]
        if sum(forms) > 1:
            raise ValueError("has more than one of json, packed, base64, blob")
        if self.json is not UNSET:
            return bytes(self.json)
        if self.packed is not UNSET:
            return msgspec.msgpack.encode(msgspec.json.decode(self.packed))
        return self._referring() if self.blob else b64decode(self.base64, validate=True)

    def _referring(self) -> bytes:
        digest = bytes.fromhex(self.blob)
        if len(digest) != DIGEST_BYTES or self.size < 0:
            raise ValueError(f"{self.blob!r} of {self.size} bytes is no blob")
        return packed_reference(Reference(digest, self.size))


def told_json(body: bytes) -> Told:
    """Return the form of bytes that are JSON, or a reference."""
    reference = reference_in(body)
    if reference is not None:
        return Told(blob=reference.digest.hex(), size=reference.size)
    return Told(json=Raw(body)) if _is_json(body) else _told_bytes(body)


def told_packed(body: bytes) -> Told:
    """Return the form of bytes that are MessagePack, or a reference."""
    reference = reference_in(body)
    if reference is not None:
        return Told(blob=reference.digest.hex(), size=reference.size)
    try:
        plain = msgspec.json.encode(msgspec.msgpack.decode(body))
        same = msgspec.msgpack.encode(msgspec.json.decode(plain)) == body
    except (msgspec.MsgspecError, UnicodeError, TypeError, ValueError, RecursionError, OverflowError):
        same, plain = False, b""
    return Told(packed=Raw(plain)) if same else _told_bytes(body)


def _is_json(body: bytes) -> bool:
    if b"\n" in body or b"\r" in body or not body or body != body.strip():
        return False
    try:
        msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return False
    return True


def _told_bytes(body: bytes) -> Told:
    return Told(base64=b64encode(body).decode())


class Line(Struct, frozen=True, tag_field="kind", forbid_unknown_fields=True):
    """One line. New fields go to the end, with a default."""


class Header(Line, frozen=True, tag="penstock export"):
    """The first line. `chosen`: what was asked for, where not everything was."""

    format: int
    app: str
    at_ms: int
    penstock: str
    partitions: int = 1
    chosen: dict[str, str | int] = {}


class EventForm(Struct, frozen=True, forbid_unknown_fields=True):
    """An event, without its place."""

    id: str
    source: str
    type: str
    key: str
    time_ms: int
    data: Told
    tenant: str = DEFAULT_TENANT
    correlation_id: str = ""
    causation_id: str = ""
    depth: int = 0
    traceparent: str = ""
    reply_run: str = ""
    reply_step: str = ""
    subject: str = ""  # a pseudonym: then key and data are sealed
    tracestate: str = ""


class EventLine(Line, frozen=True, tag="event"):
    """An event of the log."""

    topic: str
    partition: int
    offset: int
    event: EventForm


class JournalLine(Line, frozen=True, tag="journal"):
    """Recorded steps of a run: lists of step, value, at_ms and place."""

    run_id: str
    number: int
    steps: Told


class StreamLine(Line, frozen=True, tag="stream"):
    """Pieces of a stream: lists of kind, step, name, attempt and values."""

    run_id: str
    partition: int
    tenant: str
    name: str
    first: int
    count: int
    pieces: Told


class RunLine(Line, frozen=True, tag="run"):
    """What is known of a run; `steps`: those that were recorded with its end."""

    run_id: str
    agent: str
    tenant: str
    key: str
    status: Status
    attempt: int
    at_ms: int
    due_ms: int
    reason: str
    result: Told
    duration_ms: float
    steps: Told


class SessionLine(Line, frozen=True, tag="session"):
    """Messages of a session: lists of role, content and at_ms."""

    tenant: str
    session: str
    number: int
    count: int
    expires_ms: int
    messages: Told
    subject: str = ""


class ValueLine(Line, frozen=True, tag="value"):
    """What an agent remembers for a key."""

    tenant: str
    agent: str
    key: str
    name: str
    value: Told
    at_ms: int = 0
    subject: str = ""


class ProgressLine(Line, frozen=True, tag="progress"):
    """What an agent is done with in a partition: all up to `low`, and some ranges above it."""

    agent: str
    topic: str
    partition: int
    low: int
    above: list[tuple[int, int]]


class TimerLine(Line, frozen=True, tag="timer"):
    """An event that waits for its time."""

    id: str
    partition: int
    clock: TimerClock
    due_ms: int
    set_ms: int
    topic: str
    event: EventForm
    agent: str = ""
    name: str = ""


class DeadLine(Line, frozen=True, tag="dead"):
    """A dead letter, and where its event is."""

    run_id: str
    agent: str
    tenant: str
    topic: str
    partition: int
    offset: int
    reason: str
    attempts: int
    at_ms: int


class WaitingLine(Line, frozen=True, tag="waiting"):
    """An event that waits for the owner of its partition."""

    topic: str
    partition: int
    event: EventForm


class BlobLine(Line, frozen=True, tag="blob"):
    """A large value, which other lines refer to by its digest: BLAKE2b of 32 bytes, in hex."""

    digest: str
    value: Told


class End(Line, frozen=True, tag="end"):
    """The last line: how many lines of each kind there are, and the BLAKE2b of 32 bytes of all lines of a kind, in hex."""

    counts: dict[str, int]
    digests: dict[str, str]


RowLine = (
    EventLine
    | JournalLine
    | StreamLine
    | RunLine
    | SessionLine
    | ValueLine
    | ProgressLine
    | TimerLine
    | DeadLine
    | WaitingLine
    | BlobLine
)
LINE_KINDS: Final[tuple[str, ...]] = (
    "blob", "event", "journal", "stream", "run", "session", "value", "progress", "timer", "dead", "waiting",
)  # fmt: skip
_encoder: Final = msgspec.json.Encoder()
encode_line: Final[Callable[[Any], bytes]] = _encoder.encode
_decoder: Final = msgspec.json.Decoder(Header | End | RowLine)


class Tally:
    """Counts lines, and sums them up: what the last line says of all others."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self._digests: dict[str, blake2b] = {}

    def add(self, kind: str, body: bytes) -> None:
        self.counts[kind] = self.counts.get(kind, 0) + 1
        self._digests.setdefault(kind, blake2b(digest_size=DIGEST_BYTES)).update(body + b"\n")

    def end(self) -> End:
        return End(dict(self.counts), {kind: each.hexdigest() for kind, each in self._digests.items()})


def kind_of(line: Line) -> str:
    """Return what the line says of its kind."""
    tag = type(line).__struct_config__.tag
    assert isinstance(tag, str), line
    return tag


def decode_line(body: bytes) -> Line:
    """Return a line; `ValueError` when it is none: it says why, and where."""
    try:
        return _decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise ValueError(_plainly(str(error))) from error


def _plainly(problem: str) -> str:
    return problem.replace(" - at `$.", " at `").replace(" - at `$", " at `(whole)")
