"""One commit as SQL, within the caller's transaction."""

import sqlite3
from collections.abc import Callable
from typing import Any

import msgspec

from penstock.adapters.sqlite import blobs, timers, workers
from penstock.adapters.sqlite.many import ROWS, at_once
from penstock.adapters.sqlite.schema import TOPICS_MAX, place_of
from penstock.core.agents.pieces import StreamChunk
from penstock.core.agents.unit import (
    DeadLetter,
    JournalChunk,
    JournalCut,
    ProgressWrite,
    RunChange,
    SessionDelta,
    ValueWrite,
    Writes,
)
from penstock.core.events.codec import encode
from penstock.core.events.envelope import Recorded
from penstock.core.events.subjects import SHARED
from penstock.core.sessions.history import MESSAGES_MAX
from penstock.errors import LimitReached

_packed = msgspec.msgpack.Encoder().encode

_RUN = f"""
INSERT INTO run VALUES {ROWS}
ON CONFLICT (id) DO UPDATE SET status = excluded.status, attempt = excluded.attempt, at_ms = excluded.at_ms,
    due_ms = excluded.due_ms, reason = excluded.reason, result = excluded.result,
    duration_ms = excluded.duration_ms, records = excluded.records
"""  # noqa: S608 - question marks


# Our own names, and question marks.
_EVENT = f"INSERT INTO event VALUES {ROWS}"  # noqa: S608
_CHUNK = f"INSERT INTO journal VALUES {ROWS}"  # noqa: S608
_RECEIVED = f"DELETE FROM inbox WHERE number IN (VALUES {ROWS})"  # noqa: S608
_TAKEN = f"DELETE FROM inbox WHERE id IN (VALUES {ROWS})"  # noqa: S608
_VALUE = f"""
INSERT INTO value VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (tenant, agent, key, name) DO UPDATE SET body = excluded.body, at_ms = excluded.at_ms,
    subject = CASE WHEN subject = excluded.subject THEN subject ELSE '{SHARED}' END
"""  # noqa: S608 - our own mark


class Topics:
    """The numbers of topics, remembered while the transactions that gave them out hold."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def number(self, connection: sqlite3.Connection, topic: str) -> int:
        known = self._numbers.get(topic)
        if known is None:
            connection.execute("INSERT OR IGNORE INTO topic (name) VALUES (?)", (topic,))
            known = connection.execute("SELECT id FROM topic WHERE name = ?", (topic,)).fetchone()[0]
            if known > TOPICS_MAX:
                raise LimitReached("the number of topics", known, TOPICS_MAX)
            self._numbers[topic] = known
        return known

    def forget(self) -> None:
        """A rolled-back transaction takes its numbers with it."""
        self._numbers.clear()


def write(connection: sqlite3.Connection, topics: Topics, writes: Writes) -> None:
    """Write all but the passages."""
    for name, write_part in _PARTS:
        part = getattr(writes, name)
        if part:
            write_part(connection, topics, part)


def _write_received(connection: sqlite3.Connection, _: Topics, numbers: list[int]) -> None:
    at_once(connection, _RECEIVED, [(each,) for each in numbers])


def _write_taken(connection: sqlite3.Connection, _: Topics, ids: list[str]) -> None:
    at_once(connection, _TAKEN, [(each,) for each in ids])


def _cut(connection: sqlite3.Connection, _: Topics, cuts: list[JournalCut]) -> None:
    rows = [(each.run_id, each.before) for each in cuts]
    connection.executemany("DELETE FROM journal WHERE run_id = ? AND number < ?", rows)


def _write_journal(connection: sqlite3.Connection, _: Topics, chunks: list[JournalChunk]) -> None:
    rows = [(chunk.run_id, chunk.number, chunk.body) for chunk in chunks]
    at_once(connection, _CHUNK, rows)


def _write_streams(connection: sqlite3.Connection, _: Topics, chunks: list[StreamChunk]) -> None:
    rows = [(c.run_id, c.name, c.first, c.count, c.tenant, c.partition, c.body) for c in chunks]
    connection.executemany("INSERT INTO stream VALUES (?, ?, ?, ?, ?, ?, ?)", rows)


def _write_runs(connection: sqlite3.Connection, _: Topics, runs: list[RunChange]) -> None:
    at_once(connection, _RUN, [msgspec.structs.astuple(run) for run in runs])


def _write_progress(connection: sqlite3.Connection, _: Topics, marks: list[ProgressWrite]) -> None:
    rows = [(done.agent, done.topic, done.partition, done.low, _packed(done.above)) for done in marks]
    connection.executemany("INSERT OR REPLACE INTO progress VALUES (?, ?, ?, ?, ?)", rows)


def _settle(connection: sqlite3.Connection, _: Topics, runs: list[str]) -> None:
    connection.executemany("DELETE FROM dead WHERE run_id = ?", [(run_id,) for run_id in runs])


def _write_dead(connection: sqlite3.Connection, topics: Topics, letters: list[DeadLetter]) -> None:
    for letter in letters:
        place = letter.event.position
        number = place_of(topics.number(connection, place.topic), place.partition, place.offset)
        tenant = letter.event.event.tenant
        row = (letter.run_id, letter.agent, tenant, number, letter.reason, letter.attempts, letter.at_ms)
        connection.execute("INSERT OR REPLACE INTO dead VALUES (?, ?, ?, ?, ?, ?, ?)", row)


def _write_events(connection: sqlite3.Connection, topics: Topics, events: list[Recorded]) -> None:
    rows = [
        (
            place_of(topics.number(connection, each.position.topic), each.position.partition, each.position.offset),
            each.event.id,
            encode(each.event),
        )
        for each in events
    ]
    at_once(connection, _EVENT, rows)


def _write_sessions(connection: sqlite3.Connection, _: Topics, deltas: list[SessionDelta]) -> None:
    rows = [(s.tenant, s.session, s.number, s.count, s.expires_ms, s.body, s.subject) for s in deltas]
    connection.executemany("INSERT OR REPLACE INTO session VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
    # Once in every MESSAGES_MAX messages what no history shows any more is removed.
    old = [
        (s.tenant, s.session, s.number + s.count - MESSAGES_MAX)
        for s in deltas
        if s.number // MESSAGES_MAX != (s.number + s.count) // MESSAGES_MAX
    ]
    if old:
        connection.executemany("DELETE FROM session WHERE tenant = ? AND session = ? AND number + count <= ?", old)


def _write_values(connection: sqlite3.Connection, _: Topics, values: list[ValueWrite]) -> None:
    for value in values:  # in order: one commit may write and remove the same name
        where = (value.tenant, value.agent, value.key, value.name)
        if value.body is None:
            connection.execute("DELETE FROM value WHERE tenant = ? AND agent = ? AND key = ? AND name = ?", where)
        else:
            connection.execute(_VALUE, (*where, value.body, value.at_ms, value.subject))


# In the order in which they are written; those without a function here are written by the module of their table.
_PARTS: tuple[tuple[str, Callable[[sqlite3.Connection, Topics, Any], None]], ...] = (
    ("received", _write_received),
    ("taken", _write_taken),
    ("events", _write_events),
    ("cuts", _cut),
    ("journal", _write_journal),
    ("streams", _write_streams),
    ("runs", _write_runs),
    ("sessions", _write_sessions),
    ("values", _write_values),
    ("progress", _write_progress),
    ("timers", lambda connection, _, writes: timers.write(connection, writes)),
    ("settled", _settle),
    ("dead", _write_dead),
    ("blobs", lambda connection, _, new: blobs.write_blobs(connection, new)),
    ("blob_uses", lambda connection, _, uses: blobs.write_uses(connection, uses)),
    ("sent", lambda connection, _, events: workers.submit(connection, events)),
)
