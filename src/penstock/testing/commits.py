"""Commits for the contracts of stores: what to write, and how to see that it is written, whole and once."""

from collections.abc import Awaitable, Callable

from msgspec import Raw
from msgspec.msgpack import encode

from penstock.core.agents.journal import StepRecord, encode_chunk
from penstock.core.agents.pieces import Piece, StreamChunk, decode_pieces, encode_pieces
from penstock.core.agents.progress import Progress
from penstock.core.agents.unit import (
    DeadLetter,
    JournalChunk,
    ProgressWrite,
    RunChange,
    SessionDelta,
    Status,
    ValueWrite,
    Writes,
)
from penstock.core.events.envelope import Envelope, Position, Recorded
from penstock.core.sessions.history import SessionMessage, encode_messages
from penstock.ports.state import StoredRun
from penstock.ports.store import Store

NOW_MS = 1_700_000_000_000
LATER_MS = NOW_MS + 1000
ALL = 1_000_000


ReopenedStore = Callable[[], Awaitable[Store]]


def recorded(event_id: str, *, offset: int = 1, topic: str = "t") -> Recorded:
    """Return an event at a place."""
    event = Envelope(event_id, "/contract", "Made.v1", "k", NOW_MS, b'{"x":1}', "t", correlation_id=event_id)
    return Recorded(Position(topic, 0, offset), event)


def change(
    run: str,
    *,
    status: Status = "succeeded",
    attempt: int = 1,
    reason: str = "",
    records: bytes = b"",
) -> RunChange:
    """Return a change of a run."""
    return RunChange(run, "a", "t", "k", status, attempt, NOW_MS, reason=reason, records=records)


def record(step: str) -> StepRecord:
    """Return a record whose value is the step's own name."""
    return StepRecord(step, Raw(encode(step)), NOW_MS)


def chunk(run: str, number: int, *names: str) -> JournalChunk:
    """Return a chunk with a record for each name."""
    return JournalChunk(run, number, encode_chunk([record(name) for name in names]))


def told(run: str, first: int, *texts: str, name: str = "", tenant: str = "t") -> StreamChunk:
    """Return a chunk of a stream with a token for each text."""
    body = encode_pieces([Piece("token", text=text) for text in texts])
    return StreamChunk(run, 0, tenant, name, first, len(texts), body)


async def heard(store: Store, run: str, *, name: str = "", tenant: str = "t", from_offset: int = 0) -> str:
    """Return the texts of a stream, as one."""
    chunks = await store.pieces(tenant, run, name, from_offset=from_offset, limit=ALL)
    return " ".join(piece.text for each in chunks for piece in decode_pieces(each) if piece.offset >= from_offset)


def value(name: str, body: bytes | None) -> ValueWrite:
    """Return a value of agent "a" for key "k"."""
    return ValueWrite("t", "a", "k", name, body)


def delta(number: int, count: int, *, expires_ms: int = LATER_MS, text: str = "") -> SessionDelta:
    """Return messages of session "s", whose contents are their numbers unless a text is given."""
    messages = [SessionMessage("user", text or str(each), NOW_MS) for each in range(number, number + count)]
    return SessionDelta("t", "s", number, count, encode_messages(messages), expires_ms)


def done(low: int, above: list[tuple[int, int]]) -> ProgressWrite:
    """Return the progress of agent "a" in topic "t"."""
    return ProgressWrite("a", "t", 0, low, above)


def one_of_each(*, offset: int = 1) -> Writes:
    """Return a commit with all that a commit can hold."""
    event = recorded("each", offset=offset)
    return Writes(
        events=[event],
        journal=[chunk("each:a", 0, "s#0")],
        runs=[change("each:a", status="failed", reason="no", records=encode_chunk([record("s#1")]))],
        sessions=[delta(0, 2)],
        values=[value("x", b"1")],
        progress=[done(1, [(3, 4)])],
        dead=[DeadLetter("each:a", "a", event, "no", 5, NOW_MS)],
    )


def clashing(clash: str) -> Writes:
    """Return a commit with all that a commit can hold, of which one part is in the store already."""
    writes = one_of_each(offset=2)
    match clash:
        case "offset":
            writes.events = [*writes.events, recorded("another", offset=1)]
        case "event id":
            writes.events = [*writes.events, recorded("old", offset=3)]
        case "event id within":
            writes.events = [*writes.events, recorded("each", offset=3)]
        case "chunk":
            writes.journal = [*writes.journal, chunk("old:a", 0, "another")]
        case _:
            writes.journal = [*writes.journal, chunk("each:a", 0, "another")]
    return writes


async def expect_one_of_each(store: Store, *, offset: int = 1) -> None:
    """Check that the store holds what `one_of_each` writes, once."""
    writes = one_of_each(offset=offset)
    events = [each for each in await store.read("t", 0, after=0, limit=ALL) if each.event.id == "each"]
    assert events == writes.events
    assert await store.event("each") == writes.events[0]
    stored = await found(store, "each:a")
    assert (stored.change, stored.records, stored.chunks) == (writes.runs[0], [record("s#0"), record("s#1")], 1)
    history = await store.history("t", "s", now_ms=NOW_MS)
    assert ([message.content for message in history.messages], history.number) == (["0", "1"], 2)
    assert dict(await store.values("t", "a", "k")) == {"x": b"1"}
    marks: dict[tuple[str, str, int], Progress] = dict(await store.progress())
    assert {which: (mark.low, mark.above) for which, mark in marks.items()} == {("a", "t", 0): (1, [(3, 4)])}
    assert list(await store.dead_letters()) == writes.dead


async def expect_nothing_of_each(store: Store) -> None:
    """Check that the store holds nothing of what `one_of_each` writes."""
    assert await store.event("each") is None
    assert "each" not in await ids_in_log(store)
    assert await store.run("each:a") is None
    assert (await store.history("t", "s", now_ms=NOW_MS)).number == 0
    assert dict(await store.values("t", "a", "k")) == {}
    assert dict(await store.progress()) == {}
    assert list(await store.dead_letters()) == []


async def found(store: Store, run: str) -> StoredRun:
    """Return a run that must be there."""
    stored = await store.run(run)
    assert stored is not None, f"run {run} is not in the store"
    return stored


async def steps(store: Store, run: str) -> list[str]:
    """Return the names of the steps that a run has recorded."""
    return [each.step for each in (await found(store, run)).records]


async def ids_in_log(store: Store) -> list[str]:
    """Return the ids of the events in topic "t"."""
    return [each.event.id for each in await store.read("t", 0, after=0, limit=ALL)]
