"""What Flink keeps for a key: events that are not done with, timers, ids that were seen, and what agents remember.

Two values, so that what is remembered is written only when it changed. One version byte, then MessagePack: the form grows.
"""

from hashlib import blake2b
from typing import TypeVar
from zlib import crc32

import msgspec
from msgspec import Struct, field

from penstock.core.agents.unit import RunChange
from penstock.core.events.envelope import Envelope
from penstock.core.timing.timers import Timer
from penstock.errors import Finding, Invalid

VERSION = b"\x01"
SEEN_MAX = 256  # ids of a key that are remembered: what comes again within so many events is known
ID_BYTES = 8
BUCKETS = 128  # of events without a key: nothing asks for their order


class Underway(Struct, array_like=True):
    """An event, the agents that are not done with it, and what their runs have recorded."""

    topic: str
    event: Envelope
    left: list[str]
    runs: dict[str, RunChange] = field(default_factory=dict[str, RunChange])
    chunks: dict[str, list[bytes]] = field(default_factory=dict[str, list[bytes]])


class Head(Struct, array_like=True):
    """What is under way for a key.

    `sure_ms`: when Flink looks at it, whatever happens until then; 0: nobody has made sure (`marks`).
    """

    under_way: list[Underway] = field(default_factory=list[Underway])
    timers: dict[str, Timer] = field(default_factory=dict[str, Timer])
    seen: bytes = b""
    sure_ms: int = 0

    @property
    def is_empty(self) -> bool:
        return not (self.under_way or self.timers or self.seen)

    def has_seen(self, event_id: str) -> bool:
        """Whether an event of this id was handled, as far as is remembered."""
        digest = digest_of(event_id)
        at = self.seen.find(digest)
        while at >= 0 and at % ID_BYTES:
            at = self.seen.find(digest, at + 1)
        return at >= 0

    def see(self, event_id: str) -> None:
        self.seen = (self.seen + digest_of(event_id))[-SEEN_MAX * ID_BYTES :]


class Messages(Struct, array_like=True):
    """Messages that were added to a session together."""

    number: int
    count: int
    expires_ms: int
    body: bytes


class Remembered(Struct, array_like=True):
    """What agents remember for a key: values by agent and name, and the messages of its session."""

    values: dict[str, dict[str, bytes]] = field(default_factory=dict[str, dict[str, bytes]])
    messages: list[Messages] = field(default_factory=list[Messages])

    @property
    def is_empty(self) -> bool:
        return not (any(self.values.values()) or self.messages)


S = TypeVar("S", Head, Remembered)
_encoder = msgspec.msgpack.Encoder()


def encoded(state: Head | Remembered) -> bytes | None:
    """Return what is to be kept; None when there is nothing to keep."""
    return None if state.is_empty else VERSION + _encoder.encode(state)


def decoded(body: bytes | None, kind: type[S]) -> S:
    """Return what was kept; `Invalid` when it was not written by `encoded`."""
    if body is None:
        return kind()
    try:
        if body[:1] != VERSION:
            raise msgspec.ValidationError(f"{body[:1]!r} is not a known version")
        return msgspec.msgpack.decode(memoryview(body)[1:], type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        hint = "start the job from a savepoint that this version of penstock can read"
        raise Invalid("the state of a key", (Finding(kind.__name__, str(error), hint),)) from error


def name_of(event: Envelope) -> str:
    """Return the name of the state that an event belongs to: that of its key, or one of a few buckets without a key."""
    if event.key:
        return keyed_name(event.tenant, event.key)
    return f"n{len(event.tenant)}/{event.tenant}/{crc32(event.id.encode()) % BUCKETS}"


def keyed_name(tenant: str, key: str) -> str:
    return f"k{len(tenant)}/{tenant}/{key}"


def digest_of(event_id: str) -> bytes:
    return blake2b(event_id.encode(errors="replace"), digest_size=ID_BYTES).digest()
