"""One commit as SQL, within the caller's transaction."""

import sqlite3

import msgspec

from penstock.adapters.sqlite import timers
from penstock.adapters.sqlite.schema import TOPICS_MAX, place_of
from penstock.core.agents.unit import Writes
from penstock.core.events.codec import encode
from penstock.core.sessions.history import MESSAGES_MAX
from penstock.errors import LimitReached

_packed = msgspec.msgpack.Encoder().encode

_RUN = """
INSERT INTO run VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET status = excluded.status, attempt = excluded.attempt, at_ms = excluded.at_ms,
    due_ms = excluded.due_ms, reason = excluded.reason, result = excluded.result,
    duration_ms = excluded.duration_ms, records = excluded.records
"""


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
    if writes.events:
        _write_events(connection, topics, writes)
    if writes.journal:
        rows = [(chunk.run_id, chunk.number, chunk.body) for chunk in writes.journal]
        connection.executemany("INSERT INTO journal VALUES (?, ?, ?)", rows)
    if writes.streams:
        rows = [(c.run_id, c.name, c.first, c.count, c.tenant, c.partition, c.body) for c in writes.streams]
        connection.executemany("INSERT INTO stream VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
    if writes.runs:
        connection.executemany(_RUN, [msgspec.structs.astuple(run) for run in writes.runs])
    if writes.sessions:
        _write_sessions(connection, writes)
    if writes.values:
        _write_values(connection, writes)
    if writes.progress:
        rows = [(done.agent, done.topic, done.partition, done.low, _packed(done.above)) for done in writes.progress]
        connection.executemany("INSERT OR REPLACE INTO progress VALUES (?, ?, ?, ?, ?)", rows)
    if writes.timers:
        timers.write(connection, writes.timers)
    for letter in writes.dead:
        place = letter.event.position
        number = place_of(topics.number(connection, place.topic), place.partition, place.offset)
        tenant = letter.event.event.tenant
        row = (letter.run_id, letter.agent, tenant, number, letter.reason, letter.attempts, letter.at_ms)
        connection.execute("INSERT OR REPLACE INTO dead VALUES (?, ?, ?, ?, ?, ?, ?)", row)


def _write_events(connection: sqlite3.Connection, topics: Topics, writes: Writes) -> None:
    rows = [
        (
            place_of(topics.number(connection, each.position.topic), each.position.partition, each.position.offset),
            each.event.id,
            encode(each.event),
        )
        for each in writes.events
    ]
    connection.executemany("INSERT INTO event VALUES (?, ?, ?)", rows)


def _write_sessions(connection: sqlite3.Connection, writes: Writes) -> None:
    rows = [(s.tenant, s.session, s.number, s.count, s.expires_ms, s.body) for s in writes.sessions]
    connection.executemany("INSERT OR REPLACE INTO session VALUES (?, ?, ?, ?, ?, ?)", rows)
    # Once in every MESSAGES_MAX messages what no history shows any more is removed.
    old = [
        (s.tenant, s.session, s.number + s.count - MESSAGES_MAX)
        for s in writes.sessions
        if s.number // MESSAGES_MAX != (s.number + s.count) // MESSAGES_MAX
    ]
    if old:
        connection.executemany("DELETE FROM session WHERE tenant = ? AND session = ? AND number + count <= ?", old)


def _write_values(connection: sqlite3.Connection, writes: Writes) -> None:
    for value in writes.values:  # in order: one commit may write and remove the same name
        where = (value.tenant, value.agent, value.key, value.name)
        if value.body is None:
            connection.execute("DELETE FROM value WHERE tenant = ? AND agent = ? AND key = ? AND name = ?", where)
        else:
            connection.execute("INSERT OR REPLACE INTO value VALUES (?, ?, ?, ?, ?)", (*where, value.body))
