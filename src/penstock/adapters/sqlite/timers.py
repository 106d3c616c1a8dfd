"""The timers in the file: one row each, found by id and in the order in which they are due."""

import sqlite3
from collections.abc import Sequence
from typing import Any

from penstock.core.events.codec import decode, encode
from penstock.core.timing.timers import Place, Timer, TimerClock, TimerWrite

_COLUMNS = "id, partition, clock, due_ms, set_ms, topic, body, agent, name"
TABLES = (
    """
    CREATE TABLE IF NOT EXISTS timer (
        id TEXT NOT NULL PRIMARY KEY, partition INTEGER NOT NULL, clock TEXT NOT NULL, due_ms INTEGER NOT NULL,
        set_ms INTEGER NOT NULL, topic TEXT NOT NULL, body BLOB NOT NULL, agent TEXT NOT NULL, name TEXT NOT NULL,
        tenant TEXT NOT NULL
    ) WITHOUT ROWID
    """,
    "CREATE INDEX IF NOT EXISTS timer_due ON timer (clock, due_ms, id)",
)


def write(connection: sqlite3.Connection, writes: Sequence[TimerWrite]) -> None:
    """Set and remove timers, in their order: one commit may do both to the same one."""
    for each in writes:
        if each.timer is None:
            connection.execute("DELETE FROM timer WHERE id = ?", (each.id,))
        else:
            connection.execute("INSERT OR REPLACE INTO timer VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", _row(each.timer))


def due(
    connection: sqlite3.Connection, clock: TimerClock, after: Place, limit: int, partitions: Sequence[int] | None
) -> list[Timer]:
    query = f"""
        SELECT {_COLUMNS} FROM timer WHERE clock = ? AND (due_ms, id) > (?, ?) {_among(partitions)}
        ORDER BY due_ms, id LIMIT ?
    """  # noqa: S608 - numbers and our own names
    return [_timer(row) for row in connection.execute(query, (clock, *after, limit))]


def latest_set_ms(connection: sqlite3.Connection, partitions: Sequence[int] | None) -> int:
    query = f"SELECT coalesce(max(set_ms), 0) FROM timer WHERE clock = 'elapsed' {_among(partitions)}"  # noqa: S608 - numbers
    return connection.execute(query).fetchone()[0]


def by_id(connection: sqlite3.Connection, id: str) -> Timer | None:
    row = connection.execute(f"SELECT {_COLUMNS} FROM timer WHERE id = ?", (id,)).fetchone()  # noqa: S608 - our own names
    return None if row is None else _timer(row)


def soonest(connection: sqlite3.Connection, tenant: str | None, limit: int) -> list[Timer]:
    query = f"""
        SELECT {_COLUMNS} FROM timer WHERE :tenant IS NULL OR tenant = :tenant ORDER BY due_ms, id LIMIT :limit
    """  # noqa: S608 - our own names
    return [_timer(row) for row in connection.execute(query, {"tenant": tenant, "limit": limit})]


def _among(partitions: Sequence[int] | None) -> str:
    return "" if partitions is None else f"AND partition IN ({', '.join(str(int(each)) for each in partitions)})"


def _row(timer: Timer) -> tuple[Any, ...]:
    numbers = (timer.id, timer.partition, timer.clock, timer.due_ms, timer.set_ms)
    return (*numbers, timer.topic, encode(timer.event), timer.agent, timer.name, timer.event.tenant)


def _timer(row: Sequence[Any]) -> Timer:
    timer_id, partition, clock, due_ms, set_ms, topic, body, agent, name = row
    return Timer(timer_id, partition, clock, due_ms, set_ms, topic, decode(body), agent, name)
