"""The rows of the tables, as they are: pages of a table, what belongs to events, what has the keys of other rows.

Each answer is one statement per kind, whatever the number of rows.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from penstock.adapters.postgres.database import Connection
from penstock.adapters.postgres.texts import digest, stored, told
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
from penstock.core.timing.timers import Timer, TimerWrite
from penstock.ports.rows import KINDS, Kind, Page


@dataclass(frozen=True, slots=True)
class _Table:
    """How rows of one kind are read: `order` is what a page goes on after, `key` what tells one row from the others."""

    columns: str
    source: str
    order: tuple[tuple[str, str], ...]  # (column, its type)
    key: tuple[tuple[str, str], ...]
    row: Callable[[Sequence[Any]], Any]
    key_of: Callable[[Any], tuple[Any, ...]]


async def partitions(connection: Connection) -> int:
    return await connection.fetchval("SELECT count(*) FROM part")


async def rows(connection: Connection, kind: Kind, after: bytes, limit: int) -> Page:
    table = _TABLES[kind]
    place: Sequence[Any] = msgspec.msgpack.decode(after) if after else ()
    order = ", ".join(column for column, _ in table.order)
    marks = ", ".join(f"${number}::{kind}" for number, (_, kind) in enumerate(table.order, 2))
    since = f"WHERE ({order}) > ({marks})" if place else ""
    query = f"SELECT {order}, {table.columns} FROM {table.source} {since} ORDER BY {order} LIMIT $1"  # noqa: S608 - our own names
    found = await connection.fetch(query, limit, *place)
    width = len(table.order)
    page = [table.row([*row][width:]) for row in found]
    token = msgspec.msgpack.encode([*found[-1]][:width]) if len(found) == limit else b""
    return Page(Writes(**{kind: page}), token)


async def rows_of(connection: Connection, event_ids: Sequence[str]) -> Writes:
    ids = [stored(each) for each in event_ids]
    found = Writes(events=await _events(connection, "event.id = ANY($1::text[])", ids))
    for kind, column in _BY_RUN.items():
        table = _TABLES[kind]
        # The run of an event, and of a batch that begins with it.
        query = f"""
            SELECT {table.columns} FROM {table.source} JOIN unnest($1::text[]) AS of (event) ON
                ({column} > of.event || ':' COLLATE "C" AND {column} < of.event || ';' COLLATE "C")
                OR ({column} > of.event || '+' COLLATE "C" AND {column} < of.event || ',' COLLATE "C")
            ORDER BY {", ".join(column for column, _ in table.order)}
        """  # noqa: S608 - our own names
        getattr(found, kind).extend(table.row([*row]) for row in await connection.fetch(query, ids))
    return found


async def known(connection: Connection, rows: Writes) -> Writes:
    found = Writes()
    if rows.events:
        ids = [stored(each.event.id) for each in rows.events]
        places = [(stored(p.topic), p.partition, p.offset) for p in (each.position for each in rows.events)]
        where = """event.id = ANY($1::text[]) OR (event.topic, event.partition, event."offset") IN (
            SELECT topic.id, u.partition, u.place FROM unnest($2::text[], $3::int[], $4::bigint[])
                AS u (name, partition, place) JOIN topic USING (name))"""
        found.events.extend(await _events(connection, where, ids, *(list(each) for each in zip(*places, strict=True))))
    for kind in KINDS:
        table, wanted = _TABLES[kind], getattr(rows, kind)
        if kind == "events" or not wanted:
            continue
        columns = ", ".join(column for column, _ in table.key)
        arrays = ", ".join(f"${number}::{kind}[]" for number, (_, kind) in enumerate(table.key, 1))
        query = f"SELECT {table.columns} FROM {table.source} WHERE ({columns}) IN (SELECT * FROM unnest({arrays}))"  # noqa: S608 - our own names
        keys = [list(each) for each in zip(*map(table.key_of, wanted), strict=True)]
        getattr(found, kind).extend(table.row([*row]) for row in await connection.fetch(query, *keys))
    return found


async def _events(connection: Connection, where: str, *arguments: Any) -> list[Recorded]:
    table = _TABLES["events"]
    query = f'SELECT {table.columns} FROM {table.source} WHERE {where} ORDER BY topic, partition, "offset"'  # noqa: S608 - our own names
    return [table.row([*row]) for row in await connection.fetch(query, *arguments)]


def _recorded(row: Sequence[Any]) -> Recorded:
    name, partition, offset, body = row
    return Recorded(Position(told(name), partition, offset), decode(body))


def _stream(row: Sequence[Any]) -> StreamChunk:
    run_id, partition, tenant, name, first, count, body = row
    return StreamChunk(told(run_id), partition, told(tenant), told(name), first, count, body)


def _run(row: Sequence[Any]) -> RunChange:
    run_id, agent, tenant, key, status, attempt, at_ms, due_ms, reason, *rest = row
    names = (told(run_id), told(agent), told(tenant), told(key))
    return RunChange(*names, status, attempt, at_ms, due_ms, told(reason), *rest)


def _progress(row: Sequence[Any]) -> ProgressWrite:
    agent, topic, partition, low, above = row
    ranges = msgspec.msgpack.decode(above, type=list[tuple[int, int]])
    return ProgressWrite(told(agent), told(topic), partition, low, ranges)


def _timer(row: Sequence[Any]) -> TimerWrite:
    timer_id, partition, clock, due_ms, set_ms, topic, body, agent, name = row
    timer = Timer(
        told(timer_id), partition, clock, due_ms, set_ms, told(topic), decode(body), told(agent), told(name)
    )  # fmt: skip
    return TimerWrite(timer.id, timer)


def _letter(row: Sequence[Any]) -> DeadLetter:
    run_id, agent, *place, reason, attempts, at_ms = row
    return DeadLetter(told(run_id), told(agent), _recorded(place), told(reason), attempts, at_ms)


_BY_RUN: Mapping[Kind, str] = {"runs": "run.id", "journal": "run_id", "streams": "run_id", "dead": "run_id"}
# Not a join: the planner would lose sight of the order in which an index gives the events.
_NAMED = "(SELECT name FROM topic WHERE topic.id = {}.topic)"
_PLACE = (("topic", "int"), ("partition", "int"), ('"offset"', "bigint"))
_TABLES: Mapping[Kind, _Table] = {
    "events": _Table(
        f'{_NAMED.format("event")}, partition, "offset", body',
        "event",
        _PLACE,
        (("id", "text"),),
        _recorded,
        lambda each: (stored(each.event.id),),
    ),
    "journal": _Table(
        "run_id, number, body",
        "journal",
        (("run_id", "text"), ("number", "int")),
        (("run_id", "text"), ("number", "int")),
        lambda row: JournalChunk(told(row[0]), *row[1:]),
        lambda each: (stored(each.run_id), each.number),
    ),
    "streams": _Table(
        "run_id, partition, tenant, name, first, count, body",
        "stream",
        (("run_id", "text"), ("name", "text"), ("first", "bigint")),
        (("run_id", "text"), ("name", "text"), ("first", "bigint")),
        _stream,
        lambda each: (stored(each.run_id), stored(each.name), each.first),
    ),
    "runs": _Table(
        "run.id, agent, tenant, key, status, attempt, at_ms, due_ms, reason, result, duration_ms, records",
        "run",
        (("arrival", "bigint"),),
        (("run.id", "text"),),
        _run,
        lambda each: (stored(each.run_id),),
    ),
    "sessions": _Table(
        "tenant, session, number, count, body, expires_ms, subject",
        "session",
        (("place", "bytea"), ("number", "bigint")),
        (("place", "bytea"), ("number", "bigint")),
        lambda row: SessionDelta(told(row[0]), told(row[1]), row[2], row[3], row[4], row[5], told(row[6])),
        lambda each: (digest(each.tenant, each.session), each.number),
    ),
    "values": _Table(
        "tenant, agent, key, name, body, at_ms, subject",
        "value",
        (("place", "bytea"), ("named", "bytea")),
        (("place", "bytea"), ("named", "bytea")),
        lambda row: ValueWrite(told(row[0]), told(row[1]), told(row[2]), told(row[3]), row[4], row[5], told(row[6])),
        lambda each: (digest(each.tenant, each.agent, each.key), digest(each.name)),
    ),
    "progress": _Table(
        "agent, topic, partition, low, above",
        "progress",
        (("place", "bytea"),),
        (("place", "bytea"),),
        _progress,
        lambda each: (digest(each.agent, each.topic, str(each.partition)),),
    ),
    "timers": _Table(
        "id, partition, clock, due_ms, set_ms, topic, body, agent, name",
        "timer",
        (("place", "bytea"),),
        (("place", "bytea"),),
        _timer,
        lambda each: (digest(each.id),),
    ),
    "dead": _Table(
        f'run_id, agent, {_NAMED.format("dead")}, partition, "offset", body, reason, attempts, at_ms',
        'dead JOIN event USING (topic, partition, "offset")',
        (("arrival", "bigint"),),
        (("run_id", "text"),),
        _letter,
        lambda each: (stored(each.run_id),),
    ),
    "sent": _Table(
        "topic, partition, body",
        "inbox",
        (("number", "bigint"),),
        (("id", "text"),),
        lambda row: Sent(told(row[0]), row[1], decode(row[2])),
        lambda each: (stored(each.event.id),),
    ),
}
