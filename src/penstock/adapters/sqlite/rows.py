"""The rows of the file, as they are: pages of a table, what belongs to events, what has the keys of other rows."""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from penstock.adapters.sqlite.schema import parts_of, place_of
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
from penstock.core.events.codec import decode
from penstock.core.events.envelope import Position, Recorded
from penstock.core.exports.keys import KEYS
from penstock.core.timing.timers import Timer, TimerWrite
from penstock.ports.rows import KINDS, Kind, Page

_Names = Callable[[int], str]  # the name of a topic, by its number


@dataclass(frozen=True, slots=True)
class _Table:
    """How rows of one kind are read: `order` is what a page goes on after, `key` what tells one row from the others."""

    columns: str
    source: str
    order: tuple[str, ...]
    key: tuple[str, ...]
    row: Callable[[_Names, Sequence[Any]], Any]


def partitions(connection: sqlite3.Connection) -> int:
    return connection.execute("SELECT count(*) FROM part").fetchone()[0]


def rows(connection: sqlite3.Connection, kind: Kind, after: bytes, limit: int) -> Page:
    table = _TABLES[kind]
    place: Sequence[Any] = msgspec.msgpack.decode(after) if after else ()
    order = ", ".join(table.order)
    marks = ", ".join("?" * len(table.order))
    since = f"WHERE ({order}) > ({marks})" if place else ""
    query = f"SELECT {order}, {table.columns} FROM {table.source} {since} ORDER BY {order} LIMIT ?"  # noqa: S608 - our own names
    found = connection.execute(query, (*place, limit)).fetchall()
    width = len(table.order)
    name = _names(connection)
    page = [table.row(name, row[width:]) for row in found]
    return Page(Writes(**{kind: page}), msgspec.msgpack.encode(found[-1][:width]) if len(found) == limit else b"")


def rows_of(connection: sqlite3.Connection, event_ids: Sequence[str]) -> Writes:
    found = Writes()
    name = _names(connection)
    events = _TABLES["events"]
    for event_id in event_ids:
        _extend(found.events, connection, events, name, "id = ?", (event_id,))
        for mark, following in (":;", "+,"):  # the run of an event, and of a batch that begins with it
            bounds = (f"{event_id}{mark}", f"{event_id}{following}")
            for kind, column in _BY_RUN.items():
                into = getattr(found, kind)
                _extend(into, connection, _TABLES[kind], name, f"{column} > ? AND {column} < ?", bounds)
    return found


def known(connection: sqlite3.Connection, rows: Writes) -> Writes:
    found = Writes()
    name = _names(connection)
    numbers: dict[str, int] = dict(connection.execute("SELECT name, id FROM topic").fetchall())
    for recorded in rows.events:
        place = recorded.position
        number = numbers.get(place.topic)
        row = None if number is None else place_of(number, place.partition, place.offset)
        which = (recorded.event.id, row)
        _extend(found.events, connection, _TABLES["events"], name, "id = ? OR place = ?", which)
    for kind in KINDS:
        table = _TABLES[kind]
        if kind != "events":
            where = " AND ".join(f"{column} = ?" for column in table.key)
            for each in getattr(rows, kind):
                _extend(getattr(found, kind), connection, table, name, where, KEYS[kind](each))
    return found


def _extend(
    into: list[Any],
    connection: sqlite3.Connection,
    table: _Table,
    name: _Names,
    where: str,
    arguments: Sequence[Any],
) -> None:
    query = f"SELECT {table.columns} FROM {table.source} WHERE {where}"  # noqa: S608 - our own names
    into.extend(table.row(name, row) for row in connection.execute(query, arguments))


def _names(connection: sqlite3.Connection) -> _Names:
    known: dict[int, str] = {}

    def name(number: int) -> str:
        if number not in known:
            known.update(connection.execute("SELECT id, name FROM topic").fetchall())
        return known[number]

    return name


def _recorded(name: _Names, place: int, body: bytes) -> Recorded:
    topic, partition, offset = parts_of(place)
    return Recorded(Position(name(topic), partition, offset), decode(body))


def _letter(name: _Names, row: Sequence[Any]) -> DeadLetter:
    run_id, agent, place, reason, attempts, at_ms, body = row
    return DeadLetter(run_id, agent, _recorded(name, place, body), reason, attempts, at_ms)


def _progress(_: _Names, row: Sequence[Any]) -> ProgressWrite:
    agent, topic, partition, low, above = row
    ranges = msgspec.msgpack.decode(above, type=list[tuple[int, int]])
    return ProgressWrite(agent, topic, partition, low, ranges)


def _timer(_: _Names, row: Sequence[Any]) -> TimerWrite:
    timer_id, partition, clock, due_ms, set_ms, topic, body, agent, name = row
    return TimerWrite(timer_id, Timer(timer_id, partition, clock, due_ms, set_ms, topic, decode(body), agent, name))


_BY_RUN: Mapping[Kind, str] = {"runs": "id", "journal": "run_id", "streams": "run_id", "dead": "run_id"}
_TABLES: Mapping[Kind, _Table] = {
    "events": _Table(
        "place, body",
        "event",
        ("place",),
        ("id",),
        lambda name, row: _recorded(name, row[0], row[1]),
    ),
    "journal": _Table(
        "run_id, number, body",
        "journal",
        ("run_id", "number"),
        ("run_id", "number"),
        lambda _, row: JournalChunk(*row),
    ),
    "streams": _Table(
        "run_id, partition, tenant, name, first, count, body",
        "stream",
        ("run_id", "name", "first"),
        ("run_id", "name", "first"),
        lambda _, row: StreamChunk(*row),
    ),
    "runs": _Table(
        "id, agent, tenant, key, status, attempt, at_ms, due_ms, reason, result, duration_ms, records",
        "run",
        ("run.rowid",),
        ("id",),
        lambda _, row: RunChange(*row),
    ),
    "sessions": _Table(
        "tenant, session, number, count, body, expires_ms, subject",
        "session",
        ("tenant", "session", "number"),
        ("tenant", "session", "number"),
        lambda _, row: SessionDelta(*row),
    ),
    "values": _Table(
        "tenant, agent, key, name, body, at_ms, subject",
        "value",
        ("tenant", "agent", "key", "name"),
        ("tenant", "agent", "key", "name"),
        lambda _, row: ValueWrite(*row),
    ),
    "progress": _Table(
        "agent, topic, partition, low, above",
        "progress",
        ("agent", "topic", "partition"),
        ("agent", "topic", "partition"),
        _progress,
    ),
    "timers": _Table(
        "id, partition, clock, due_ms, set_ms, topic, body, agent, name",
        "timer",
        ("id",),
        ("id",),
        _timer,
    ),
    "dead": _Table(
        "run_id, agent, dead.place, reason, attempts, at_ms, body",
        "dead JOIN event USING (place)",
        ("dead.rowid",),
        ("run_id",),
        _letter,
    ),
    "sent": _Table(
        "topic, partition, body",
        "inbox",
        ("number",),
        ("id",),
        lambda _, row: Sent(row[0], row[1], decode(row[2])),
    ),
}
