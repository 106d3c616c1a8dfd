"""Removing what is not needed any more from the tables, a few rows at a time, within the caller's transaction."""

from collections.abc import Mapping, Sequence

import msgspec

from penstock.adapters.postgres.database import Connection
from penstock.adapters.postgres.reading import last_offset
from penstock.adapters.postgres.texts import digest, stored, told
from penstock.core.agents.exposing import OF_RUNS
from penstock.core.agents.retention import RunRules
from penstock.core.events.codec import decode
from penstock.ports.blobs import Swept
from penstock.ports.retention import ENDED, OldEvents, Pruned

# What follows an event has an id that begins with its own and a dot; its runs', with its own and a colon.
_FREE = """
SELECT old.id FROM unnest($1::text[]) AS old (id)
WHERE NOT EXISTS (SELECT FROM dead WHERE run_id > old.id || ':' COLLATE "C" AND run_id < old.id || ';' COLLATE "C")
    AND NOT EXISTS (SELECT FROM event e WHERE e.id > old.id || '.' COLLATE "C" AND e.id < old.id || '/' COLLATE "C")
"""
_RUNS = """
SELECT old.id, run.id, agent, status, at_ms, tenant FROM unnest($1::text[]) AS old (id)
JOIN run ON run.id > old.id || ':' COLLATE "C" AND run.id < old.id || ';' COLLATE "C"
"""


async def prune_events(connection: Connection, old: OldEvents, after: int, limit: int) -> Pruned:
    topic = await connection.fetchval("SELECT id FROM topic WHERE name = $1", stored(old.topic))
    if topic is None:
        return Pruned()
    last = min(await _done_by_all(connection, old), await last_offset(connection, topic, old.partition) - 1)
    query = """
        SELECT "offset", id, body FROM event WHERE topic = $1 AND partition = $2 AND "offset" > $3 AND "offset" <= $4
        ORDER BY "offset" LIMIT $5
    """
    rows = await connection.fetch(query, topic, old.partition, after, last, limit)
    following = rows[-1][0] if len(rows) == limit else 0
    aged: dict[str, int] = {}
    for offset, event_id, body in rows:
        if decode(body).time_ms >= old.before_ms and offset > old.through:
            following = 0
            break
        aged[event_id] = len(body)
    gone = await _remove_events(connection, [*aged], old.rules)
    return Pruned(len(gone), sum(aged[each] for each in gone), following)


async def prune_runs(connection: Connection, rules: RunRules, after: int, limit: int) -> Pruned:
    query = """
        SELECT arrival, id, agent, status, at_ms, length(records),
            EXISTS (SELECT FROM dead WHERE dead.run_id = run.id), tenant
        FROM run WHERE arrival > $1 ORDER BY arrival LIMIT $2
    """
    rows = await connection.fetch(query, after, limit)
    old = [row for row in rows if row[3] in ENDED and rules.journal_may_go(told(row[2]), row[4]) and not row[6]]
    removed = await _remove_journals(connection, [row[1] for row in old])
    events = {row[1]: row[1].rpartition(":")[0] for row in old if rules.run_may_go(told(row[2]), row[4])}
    there = await connection.fetch("SELECT id FROM event WHERE id = ANY($1::text[])", [*events.values()])
    kept = {event_id for (event_id,) in there}
    gone = [run for run, event_id in events.items() if event_id not in kept]
    await _remove_values(connection, {row[1]: row[7] for row in old if row[1] in gone})
    await connection.execute("DELETE FROM run WHERE id = ANY($1::text[])", gone)
    trimmed = [row[1] for row in old if row[5] and row[1] not in gone]
    await connection.execute("UPDATE run SET records = ''::bytea WHERE id = ANY($1::text[])", trimmed)
    has_old = any(row[4] < rules.newest_ms for row in rows)
    following = rows[-1][0] if has_old and len(rows) == limit else 0
    return Pruned(removed + len(gone) + len(trimmed), 0, following)


async def prune_sessions(connection: Connection, now_ms: int, after: bytes, limit: int) -> Swept:
    place, number = msgspec.msgpack.decode(after, type=tuple[bytes, int]) if after else (b"", -1)
    query = """
        SELECT place, number, expires_ms, length(body) FROM session WHERE (place, number) > ($1, $2)
        ORDER BY place, number LIMIT $3
    """
    rows = await connection.fetch(query, place, number, limit)
    old = [row for row in rows if row[2] <= now_ms]
    delete = """DELETE FROM session USING unnest($1::bytea[], $2::bigint[]) AS old (place, number)
        WHERE session.place = old.place AND session.number = old.number"""
    await connection.execute(delete, [row[0] for row in old], [row[1] for row in old])
    token = msgspec.msgpack.encode((rows[-1][0], rows[-1][1])) if len(rows) == limit else b""
    return Swept(len(old), sum(row[3] for row in old), token)


async def _done_by_all(connection: Connection, old: OldEvents) -> int:
    places = [digest(agent, old.topic, str(old.partition)) for agent in old.agents]
    rows = await connection.fetch("SELECT low FROM progress WHERE place = ANY($1::bytea[])", places)
    return 0 if len(rows) < len(places) else min((row[0] for row in rows), default=1 << 62)


async def _remove_events(connection: Connection, ids: Sequence[str], rules: RunRules) -> list[str]:
    free = {event_id for (event_id,) in await connection.fetch(_FREE, list(ids))}
    runs = await connection.fetch(_RUNS, list(ids))
    for event_id, _, agent, status, at_ms, _ in runs:
        if status not in ENDED or not rules.run_may_go(told(agent), at_ms):
            free.discard(event_id)
    of_free = [run_id for event_id, run_id, *_ in runs if event_id in free]
    await _remove_journals(connection, of_free)
    await _remove_values(connection, {run_id: row[-1] for event_id, run_id, *row in runs if event_id in free})
    await connection.execute("DELETE FROM run WHERE id = ANY($1::text[])", of_free)
    gone = [each for each in ids if each in free]
    await connection.execute("DELETE FROM event WHERE id = ANY($1::text[])", gone)
    return gone


async def _remove_values(connection: Connection, tenants: Mapping[str, str]) -> None:
    """Remove the values of some runs, given with their tenants."""
    places = [digest(told(tenant), owner, told(run_id)) for run_id, tenant in tenants.items() for owner in OF_RUNS]
    await connection.execute("DELETE FROM value WHERE place = ANY($1::bytea[])", places)


async def _remove_journals(connection: Connection, run_ids: Sequence[str]) -> int:
    removed = 0
    for table in ("journal", "stream"):
        query = (
            f"WITH gone AS (DELETE FROM {table} WHERE run_id = ANY($1::text[]) RETURNING 1) SELECT count(*) FROM gone"  # noqa: S608 - our own names
        )
        removed += await connection.fetchval(query, list(run_ids))
    return removed
