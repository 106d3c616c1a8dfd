"""The stored form of rows: MessagePack without names. New fields go to the end, and what is missing there has its default."""

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec.structs import astuple

from penstock.core.agents.pieces import StreamChunk
from penstock.core.agents.progress import Progress
from penstock.core.agents.unit import DeadLetter, ProgressWrite, RunChange, Sent, SessionDelta
from penstock.core.events.codec import decode, encode
from penstock.core.events.envelope import Envelope, Position, Recorded
from penstock.core.timing.timers import Timer
from penstock.errors import Refused

_unpack = msgspec.msgpack.decode


def packed(row: Sequence[Any]) -> bytes:
    """Return fields in their stored form; `Refused` for half a character, or a number of more than 64 bits."""
    try:
        return msgspec.msgpack.encode(row)
    except (UnicodeEncodeError, OverflowError, TypeError) as error:
        raise Refused(f"Redis cannot keep it: {error}", "mend the text or the number") from error


def event_row(recorded: Recorded) -> bytes:
    """Return an event as a row: its place, and its body as it is."""
    place = recorded.position
    topic = place.topic.encode()
    return b"%d:%d:%d:%b%b" % (place.partition, place.offset, len(topic), topic, encode(recorded.event))


def event_of_row(row: bytes) -> Recorded:
    partition, offset, length, rest = row.split(b":", 3)
    end = int(length)
    return Recorded(Position(rest[:end].decode(), int(partition), int(offset)), decode(rest[end:]))


def body_bytes(row: bytes) -> int:
    """Return how long the event of a row is."""
    _, _, length, rest = row.split(b":", 3)
    return len(rest) - int(length)


def run_row(run: RunChange) -> bytes:
    return packed(astuple(run))


def run_of_row(row: bytes) -> RunChange:
    return RunChange(*_unpack(row))


def letter_row(letter: DeadLetter) -> bytes:
    place = letter.event.position
    tenant = letter.event.event.tenant
    return packed(
        (letter.run_id, letter.agent, tenant, letter.event.event.id, place.topic, place.partition, place.offset,
         letter.reason, letter.attempts, letter.at_ms)
    )  # fmt: skip


class Letter(msgspec.Struct, array_like=True):
    """A dead letter as a row: the event is in the log."""

    run_id: str
    agent: str
    tenant: str
    event_id: str
    topic: str
    partition: int
    offset: int
    reason: str
    attempts: int
    at_ms: int

    def with_event(self, event: Envelope) -> DeadLetter:
        place = Position(self.topic, self.partition, self.offset)
        return DeadLetter(self.run_id, self.agent, Recorded(place, event), self.reason, self.attempts, self.at_ms)


def letter_of_row(row: bytes) -> Letter:
    return _unpack(row, type=Letter)


def session_row(delta: SessionDelta) -> bytes:
    return b"%d:%b" % (delta.count, packed((delta.expires_ms, delta.body, delta.subject)))  # a script reads the count


class Messages(msgspec.Struct, array_like=True):
    """Messages that were added together, as a row."""

    expires_ms: int
    body: bytes
    subject: str = ""
    count: int = 0


def messages_of_row(row: bytes) -> Messages:
    count, _, rest = row.partition(b":")
    messages = _unpack(rest, type=Messages)
    messages.count = int(count)
    return messages


def progress_row(done: ProgressWrite) -> bytes:
    return packed((done.low, done.above))


def progress_of_row(row: bytes) -> Progress:
    low, above = _unpack(row, type=tuple[int, list[tuple[int, int]]])
    return Progress(low, above)


def timer_row(timer: Timer) -> bytes:
    return packed(
        (timer.id, timer.partition, timer.clock, timer.due_ms, timer.set_ms, timer.topic, encode(timer.event),
         timer.agent, timer.name)
    )  # fmt: skip


def timer_of_row(row: bytes) -> Timer:
    timer_id, partition, clock, due_ms, set_ms, topic, body, agent, name = _unpack(row)
    return Timer(timer_id, partition, clock, due_ms, set_ms, topic, decode(body), agent, name)


def stream_row(chunk: StreamChunk) -> bytes:
    return packed((chunk.first, chunk.count, chunk.partition, chunk.tenant, chunk.body))


def chunk_of_row(run_id: str, name: str, row: bytes) -> StreamChunk:
    first, count, partition, tenant, body = _unpack(row)
    return StreamChunk(run_id, partition, tenant, name, first, count, body)


def sent_row(sent: Sent) -> bytes:
    return packed((sent.topic, sent.partition, encode(sent.event)))


def sent_of_row(row: bytes) -> Sent:
    topic, partition, body = _unpack(row)
    return Sent(topic, partition, decode(body))
