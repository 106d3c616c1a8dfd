"""What is asked of the file, as queries."""

import sqlite3
from collections.abc import Collection, Generator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec

from penstock.adapters.sqlite.blobs import blobs
from penstock.adapters.sqlite.many import ROWS, at_once
from penstock.adapters.sqlite.schema import OFFSET_MAX, PARTITIONS_MAX, parts_of, place_of
from penstock.core.agents.journal import decode_chunk
from penstock.core.agents.unit import DeadLetter, RunChange
from penstock.core.events.blobs import found_in, reference_in
from penstock.core.events.codec import decode
from penstock.core.events.envelope import UNPLACED, Position, Recorded, event_of
from penstock.core.sessions.history import MESSAGES_MAX, History, decode_messages
from penstock.ports.state import DeadFilter, RunFilter, StoredRun

_RUN_COLUMNS = "id, agent, tenant, key, status, attempt, at_ms, due_ms, reason, result, duration_ms, records"
_EVENTS_MAX = 10_000
# One statement sees one state: an event that gets its place meanwhile is found once.
_FOUND = """
SELECT place, body, NULL, NULL FROM event WHERE id = ?
UNION ALL SELECT NULL, body, topic, partition FROM inbox WHERE id = ? LIMIT 1
"""


def events(connection: sqlite3.Connection, topic: str, partition: int, after: int, limit: int) -> list[Recorded]:
    number = _topic_number(connection, topic)
    if number is None or not 0 <= partition < PARTITIONS_MAX or after >= OFFSET_MAX:
        return []  # a place that is out of range would lie in another partition (L5)
    after = max(after, 0)
    first, last = place_of(number, partition, after + 1), place_of(number, partition + 1, 0)
    query = "SELECT place, body FROM event WHERE place >= ? AND place < ? ORDER BY place LIMIT ?"
    rows = connection.execute(query, (first, last, limit))
    return [Recorded(Position(topic, partition, parts_of(place)[2]), decode(body)) for place, body in rows]


def ends(connection: sqlite3.Connection) -> dict[tuple[str, int], int]:
    """Return the last offset of each partition."""
    with _one_state(connection):
        topics = connection.execute("SELECT id, name FROM topic").fetchall()
        partitions = [partition for (partition,) in connection.execute("SELECT partition FROM part").fetchall()]
        found = {(name, each): last_offset(connection, number, each) for number, name in topics for each in partitions}
    return {which: last for which, last in found.items() if last}


def last_offset(connection: sqlite3.Connection, topic: int, partition: int) -> int:
    query = "SELECT place FROM event WHERE place > ? AND place < ? ORDER BY place DESC LIMIT 1"
    row = connection.execute(query, (place_of(topic, partition, 0), place_of(topic, partition + 1, 0))).fetchone()
    return 0 if row is None else parts_of(row[0])[2]


def event_by_id(connection: sqlite3.Connection, event_id: str) -> Recorded | None:
    row = connection.execute("SELECT place, body FROM event WHERE id = ?", (event_id,)).fetchone()
    return None if row is None else _recorded(connection, *row)


def event_or_waiting(connection: sqlite3.Connection, event_id: str) -> Recorded | None:
    """Return an event by its id, with its place, or as one that waits for it."""
    row = connection.execute(_FOUND, (event_id, event_id)).fetchone()
    if row is None:
        return None
    place, body, topic, partition = row
    if place is not None:
        return _recorded(connection, place, body)
    return Recorded(Position(topic, partition, UNPLACED), decode(body))


def places(connection: sqlite3.Connection, ids: Collection[str]) -> dict[str, Position | None]:
    """Return where those of some events are that are in the log, and None for those that wait."""
    asked = [(each,) for each in ids]
    with _one_state(connection):
        waiting = at_once(connection, f"SELECT id FROM inbox WHERE id IN (VALUES {ROWS})", asked)  # noqa: S608
        placed = at_once(connection, f"SELECT id, place FROM event WHERE id IN (VALUES {ROWS})", asked)  # noqa: S608
        names = dict(connection.execute("SELECT id, name FROM topic").fetchall()) if placed else {}
    found: dict[str, Position | None] = {each: None for (each,) in waiting}
    for event_id, place in placed:
        number, partition, offset = parts_of(place)
        found[event_id] = Position(names[number], partition, offset)
    return found


def origin(connection: sqlite3.Connection, correlation_id: str) -> list[Recorded]:
    """Return the event and all that it led to: their ids begin with its own (see `emitted_id`)."""
    query = "SELECT place, body FROM event WHERE id = ? OR (id > ? AND id < ?) ORDER BY id LIMIT ?"
    # '/' follows '.' in the order of characters, so the range holds exactly what begins with "<id>."
    bounds = (correlation_id, f"{correlation_id}.", f"{correlation_id}/", _EVENTS_MAX)
    found = [_recorded(connection, *row) for row in connection.execute(query, bounds).fetchall()]
    return [each for each in found if each.event.correlation_id == correlation_id]


def run(connection: sqlite3.Connection, run_id: str) -> StoredRun | None:
    event_id, agent = event_of(run_id)
    with _one_state(connection):
        row = connection.execute(f"SELECT {_RUN_COLUMNS} FROM run WHERE id = ?", (run_id,)).fetchone()  # noqa: S608 - our own names
        query = "SELECT number, body FROM journal WHERE run_id = ? ORDER BY number"
        rows = connection.execute(query, (run_id,)).fetchall()
        streamed = connection.execute("SELECT EXISTS (SELECT 1 FROM stream WHERE run_id = ?)", (run_id,)).fetchone()[0]
        recorded = None if row is not None else event_or_waiting(connection, event_id)
    if row is not None:
        change = RunChange(*row)
    elif recorded is None:
        return None
    else:
        event = recorded.event
        change = RunChange(run_id, agent, event.tenant, event.key, "queued", 0, event.time_ms)
    chunks = [body for _, body in rows]
    bodies = [*chunks, change.records] if change.records else chunks
    records = [record for body in bodies for record in decode_chunk(body)]
    return StoredRun(change, records, rows[-1][0] + 1 if rows else 0, bool(streamed))


def history(connection: sqlite3.Connection, tenant: str, session: str, now_ms: int) -> History:
    query = "SELECT number, count, expires_ms, body FROM session WHERE tenant = ? AND session = ? ORDER BY number DESC LIMIT ?"
    rows = connection.execute(query, (tenant, session, MESSAGES_MAX)).fetchall()
    found = History()
    for _, _, expires_ms, body in reversed(rows):
        if expires_ms > now_ms:
            if (reference := reference_in(body)) is not None:
                body = found_in(blobs(connection, [reference.digest]), reference, f"the session {session!r}")  # noqa: PLW2901
            found.add(decode_messages(body))
    found.number = rows[0][0] + rows[0][1] if rows else 0
    return found


def values(connection: sqlite3.Connection, tenant: str, agent: str, key: str) -> dict[str, bytes]:
    query = "SELECT name, body FROM value WHERE tenant = ? AND agent = ? AND key = ?"
    return dict(connection.execute(query, (tenant, agent, key)).fetchall())


def runs(connection: sqlite3.Connection, which: RunFilter) -> list[RunChange]:
    wanted = {"tenant": which.tenant, "agent": which.agent, "status": which.status}
    given = {name: value for name, value in wanted.items() if value is not None}
    where = " AND ".join(f"{name} = :{name}" for name in given) or "1"
    query = f"SELECT {_RUN_COLUMNS} FROM run WHERE {where} ORDER BY rowid DESC LIMIT :limit"  # noqa: S608 - our own names
    return [RunChange(*row) for row in connection.execute(query, {**given, "limit": which.limit})]


def dead_letters(connection: sqlite3.Connection, which: DeadFilter) -> Sequence[DeadLetter]:
    query = """
        SELECT run_id, agent, dead.place, reason, attempts, at_ms, body FROM dead JOIN event USING (place)
        WHERE (:tenant IS NULL OR tenant = :tenant) AND (:agent IS NULL OR agent = :agent)
            AND (:run_id IS NULL OR run_id = :run_id) AND (:since_ms IS NULL OR at_ms >= :since_ms)
            AND (:reason IS NULL OR instr(lower(reason), lower(:reason)))
        ORDER BY dead.rowid DESC LIMIT :limit
    """
    rows: list[Any] = connection.execute(query, msgspec.structs.asdict(which)).fetchall()
    return [
        DeadLetter(run_id, agent, _recorded(connection, place, body), reason, attempts, at_ms)
        for run_id, agent, place, reason, attempts, at_ms, body in rows
    ]


@contextmanager
def _one_state(connection: sqlite3.Connection) -> Generator[None]:
    """Let several queries see the same state of the file: a commit between two of them would be seen in part (S1)."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _recorded(connection: sqlite3.Connection, place: int, body: bytes) -> Recorded:
    number, partition, offset = parts_of(place)
    name: str = connection.execute("SELECT name FROM topic WHERE id = ?", (number,)).fetchone()[0]
    return Recorded(Position(name, partition, offset), decode(body))


def _topic_number(connection: sqlite3.Connection, topic: str) -> int | None:
    row = connection.execute("SELECT id FROM topic WHERE name = ?", (topic,)).fetchone()
    return None if row is None else row[0]
