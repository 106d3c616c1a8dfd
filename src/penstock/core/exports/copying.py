"""Between the rows of a store and the lines of an export."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from penstock.core.agents.journal import decode_chunk
from penstock.core.agents.offload import reference_in_step
from penstock.core.agents.pieces import StreamChunk
from penstock.core.agents.unit import (
    DeadLetter,
    JournalChunk,
    ProgressWrite,
    RunChange,
    Sent,
    SessionDelta,
    ValueWrite,
    Writes,
)
from penstock.core.events.blobs import Blob, BlobUse, Owner, digest_of, reference_in
from penstock.core.events.envelope import Envelope, Position, Recorded
from penstock.core.exports.lines import (
    BlobLine,
    DeadLine,
    EventForm,
    EventLine,
    JournalLine,
    Line,
    ProgressLine,
    RunLine,
    SessionLine,
    StreamLine,
    TimerLine,
    ValueLine,
    WaitingLine,
    told_json,
    told_packed,
)
from penstock.core.timing.timers import Timer, TimerWrite
from penstock.errors import Invalid

T = TypeVar("T", bound=Struct)


def lines_of(rows: Writes) -> Iterator[Line]:
    """Return the lines of some rows, kind by kind; blobs are not among them."""
    for name, line in _LINES.items():
        yield from map(line, getattr(rows, name))


def blob_line(body: bytes) -> BlobLine:
    return BlobLine(digest_of(body).hex(), told_json(body))


def digests_of(rows: Writes) -> list[bytes]:
    """Return the digests of the large values that rows refer to, each once."""
    return list(dict.fromkeys(digest for _, digest in _references(rows)))


def uses_of(rows: Writes, now_ms: int) -> list[BlobUse]:
    """Return who uses which blobs among some rows."""
    return [BlobUse(digest, owner, now_ms) for owner, digest in dict.fromkeys(_references(rows))]


def add_row(rows: Writes, line: Line) -> None:
    """Add the row of a line to some rows; `ValueError` when a value in it is none.

    A dead letter gets an event that knows only its own id and tenant: whoever stores it puts the right one there.
    """
    name, row = _row(line)
    getattr(rows, name).append(row)


def _like(kind: type[T], source: Struct, **others: Any) -> T:
    """Return a struct with the fields of another one, as far as they are not given."""
    fields = (each.name for each in msgspec.structs.fields(kind) if each.name not in others)
    return kind(**{name: getattr(source, name) for name in fields}, **others)


def _event(event: Envelope) -> EventForm:
    return _like(EventForm, event, data=told_json(event.data))


def _envelope(form: EventForm) -> Envelope:
    return _like(Envelope, form, data=form.data.body())


def _run_line(run: RunChange) -> RunLine:
    return _like(RunLine, run, result=told_json(run.result), steps=told_packed(run.records))


def _letter_line(letter: DeadLetter) -> DeadLine:
    place = letter.event.position
    where = {"topic": place.topic, "partition": place.partition, "offset": place.offset}
    return _like(DeadLine, letter, tenant=letter.event.event.tenant, **where)


def _timer_line(write: TimerWrite) -> TimerLine:
    assert write.timer is not None, "a timer that is stored is there"
    return _like(TimerLine, write.timer, event=_event(write.timer.event))


_LINES: Mapping[str, Callable[[Any], Line]] = {
    "events": lambda each: _like(EventLine, each.position, event=_event(each.event)),
    "journal": lambda each: JournalLine(each.run_id, each.number, told_packed(each.body)),
    "streams": lambda each: _like(StreamLine, each, pieces=told_packed(each.body)),
    "runs": _run_line,
    "sessions": lambda each: _like(SessionLine, each, messages=told_packed(each.body)),
    "values": lambda each: _like(ValueLine, each, value=told_packed(each.body)),
    "progress": lambda each: _like(ProgressLine, each),
    "timers": _timer_line,
    "dead": _letter_line,
    "sent": lambda each: WaitingLine(each.topic, each.partition, _event(each.event)),
}


def _row(line: Line) -> tuple[str, Any]:  # noqa: C901, PLR0911, PLR0912 - one arm for each kind
    match line:
        case EventLine(topic, partition, offset, event):
            return "events", Recorded(Position(topic, partition, offset), _envelope(event))
        case JournalLine(run_id, number, told):
            return "journal", JournalChunk(run_id, number, told.body())
        case StreamLine():
            return "streams", _like(StreamChunk, line, body=line.pieces.body())
        case RunLine():
            return "runs", _like(RunChange, line, result=line.result.body(), records=line.steps.body())
        case SessionLine():
            return "sessions", _like(SessionDelta, line, body=line.messages.body())
        case ValueLine():
            return "values", _like(ValueWrite, line, body=line.value.body())
        case ProgressLine():
            return "progress", _like(ProgressWrite, line)
        case TimerLine():
            return "timers", TimerWrite(line.id, _like(Timer, line, event=_envelope(line.event)))
        case DeadLine():
            event = Envelope(line.run_id.rpartition(":")[0], "", "", "", 0, b"", line.tenant)
            place = Position(line.topic, line.partition, line.offset)
            return "dead", _like(DeadLetter, line, event=Recorded(place, event))
        case WaitingLine(topic, partition, event):
            return "sent", Sent(topic, partition, _envelope(event))
        case BlobLine(digest, told):
            body = told.body()
            if digest_of(body).hex() != digest:
                raise ValueError("has another content than its digest says")
            return "blobs", Blob(bytes.fromhex(digest), body)
        case _:
            raise ValueError("is out of its place")


def _references(rows: Writes) -> Iterator[tuple[Owner, bytes]]:
    bodies: list[tuple[Owner, bytes]] = [(("event", each.event.id), each.event.data) for each in rows.events]
    bodies += [(("timer", each.id), each.timer.event.data) for each in rows.timers if each.timer is not None]
    bodies += [(("run", run.run_id), run.result) for run in rows.runs]
    bodies += [(("session", each.tenant, each.session), each.body) for each in rows.sessions]
    bodies += [(("value", each.tenant, each.agent, each.key), each.body or b"") for each in rows.values]
    for owner, body in bodies:
        reference = reference_in(body)
        if reference is not None:
            yield owner, reference.digest
    chunks = [(chunk.run_id, chunk.body) for chunk in rows.journal]
    chunks += [(run.run_id, run.records) for run in rows.runs if run.records]
    for run_id, body in chunks:
        for digest in _in_steps(body):
            yield ("run", run_id), digest


def _in_steps(body: bytes) -> Iterable[bytes]:
    try:
        references = [reference_in_step(record) for record in decode_chunk(body)]
    except Invalid:  # whoever reads the run says so
        return ()
    return [each.digest for each in references if each is not None]
