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
from penstock.ports.retention import ENDED, EndedRun, Found, How, OldEvents, Pruned

# What follows an event has an id that begins with its own and a dot; its runs', with its own and a colon.
_FREE = """
SELECT old.id, (
    SELECT count(*) FROM event e WHERE e.id > old.id || '.' COLLATE "C" AND e.id < old.id || '/' COLLATE "C"
) FROM unnest($1::text[]) AS old (id)
WHERE NOT EXISTS (SELECT FROM dead WHERE run_id > old.id || ':' COLLATE "C" AND run_id < old.id || ';' COLLATE "C")
"""
_JOURNALS = """
SELECT id, coalesce(j.rows, 0) + coalesce(s.rows, 0), coalesce(j.size, 0) + coalesce(s.size, 0)
FROM unnest($1::text[]) AS old (id)
LEFT JOIN (
    SELECT run_id, count(*) AS rows, sum(length(body)) AS size FROM journal WHERE run_id = ANY($1) GROUP BY run_id
) j ON j.run_id = id
LEFT JOIN (
    SELECT run_id, count(*) AS rows, sum(length(body)) AS size FROM stream WHERE run_id = ANY($1) GROUP BY run_id
) s ON s.run_id = id
"""
_RUNS = """
SELECT old.id, run.id, agent, status, at_ms, tenant FROM unnest($1::text[]) AS old (id)
JOIN run ON run.id > old.id || ':' COLLATE "C" AND run.id < old.id || ';' COLLATE "C"
"""


async def prune_events(connection: Connection, old: OldEvents, after: int, limit: int, how: How) -> Pruned:
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
        if how.among is None or told(event_id) in how.among:
            aged[event_id] = len(body)
    free = await _free_events(connection, [*aged], old.rules)
    gone = [each for each in aged if each in free and (how.dry or not free[each])]
    if not how.dry:
        await _remove_events(connection, gone)
        if gone and old.mark is not None:
            went = set(gone)
            await _mark(connection, old.mark, max(offset for offset, event_id, _ in rows if event_id in went))
    found = tuple(Found(told(each), aged[each], free[each]) for each in gone)
    return Pruned(0 if how.dry else len(gone), sum(aged[each] for each in gone), following, found)


async def _mark(connection: Connection, mark: tuple[str, str, str, str], offset: int) -> None:
    *which, name = mark
    place, named = digest(*which), digest(name)
    query = "SELECT body FROM value WHERE place = $1 AND named = $2 FOR UPDATE"
    body = await connection.fetchval(query, place, named)
    last = offset if body is None else max(offset, msgspec.msgpack.decode(body, type=int))
    insert = """INSERT INTO value (place, named, tenant, agent, key, name, body) VALUES ($1, $2, $3, $4, $5, $6, $7)
        ON CONFLICT (place, named) DO UPDATE SET body = excluded.body"""
    await connection.execute(insert, place, named, *map(stored, mark), msgspec.msgpack.encode(last))


async def prune_runs(connection: Connection, rules: RunRules, after: int, limit: int, how: How) -> Pruned:
    query = """
        SELECT arrival, id, agent, status, at_ms, length(records),
            EXISTS (SELECT FROM dead WHERE dead.run_id = run.id), tenant
        FROM run WHERE arrival > $1 ORDER BY arrival LIMIT $2
    """
    rows = await connection.fetch(query, after, limit)
    old = [row for row in rows if row[3] in ENDED and rules.journal_may_go(told(row[2]), row[4]) and not row[6]]
    old = [row for row in old if how.among is None or told(row[1]) in how.among]
    events = {row[1]: row[1].rpartition(":")[0] for row in old if rules.run_may_go(told(row[2]), row[4])}
    there = await connection.fetch("SELECT id FROM event WHERE id = ANY($1::text[])", [*events.values()])
    kept = {event_id for (event_id,) in there}
    gone = {run for run, event_id in events.items() if event_id not in kept}
    journals = await connection.fetch(_JOURNALS, [row[1] for row in old])
    held = {run_id: (count, int(size)) for run_id, count, size in journals}
    trimmed = {row[1]: row[5] for row in old if row[5] and row[1] not in gone}
    found = [
        Found(told(row[1]), held[row[1]][1] + row[5])
        for row in old
        if held[row[1]][0] or row[1] in gone or row[1] in trimmed
    ]
    removed = 0
    if not how.dry:
        await _remove_journals(connection, [row[1] for row in old])
        await _remove_values(connection, {row[1]: row[7] for row in old if row[1] in gone})
        await connection.execute("DELETE FROM run WHERE id = ANY($1::text[])", [*gone])
        await connection.execute("UPDATE run SET records = ''::bytea WHERE id = ANY($1::text[])", [*trimmed])
        removed = sum(count for count, _ in held.values()) + len(gone) + len(trimmed)
    has_old = any(row[4] < rules.newest_ms for row in rows)
    following = rows[-1][0] if has_old and len(rows) == limit else 0
    return Pruned(removed, sum(each.held_bytes for each in found), following, tuple(found))


async def prune_sessions(connection: Connection, now_ms: int, after: bytes, limit: int, *, dry: bool) -> Swept:
    place, number = msgspec.msgpack.decode(after, type=tuple[bytes, int]) if after else (b"", -1)
    query = """
        SELECT place, number, expires_ms, length(body) FROM session WHERE (place, number) > ($1, $2)
        ORDER BY place, number LIMIT $3
    """
    rows = await connection.fetch(query, place, number, limit)
    old = [row for row in rows if row[2] <= now_ms]
    delete = """DELETE FROM session USING unnest($1::bytea[], $2::bigint[]) AS old (place, number)
        WHERE session.place = old.place AND session.number = old.number"""
    if not dry:
        await connection.execute(delete, [row[0] for row in old], [row[1] for row in old])
    token = msgspec.msgpack.encode((rows[-1][0], rows[-1][1])) if len(rows) == limit else b""
    return Swept(len(old), sum(row[3] for row in old), token)


async def prune_values(
    connection: Connection, before_ms: Mapping[str, int], after: bytes, limit: int, *, dry: bool
) -> Swept:
    place, named = msgspec.msgpack.decode(after, type=tuple[bytes, bytes]) if after else (b"", b"")
    query = """
        SELECT place, named, agent, at_ms, length(body) FROM value WHERE (place, named) > ($1, $2)
        ORDER BY place, named LIMIT $3
    """
    rows = await connection.fetch(query, place, named, limit)
    old = [row for row in rows if 0 < row[3] < before_ms.get(told(row[2]), 0)]
    # Only as old as it was found: a commit may have written it anew meanwhile.
    delete = """DELETE FROM value USING unnest($1::bytea[], $2::bytea[], $3::bigint[]) AS old (place, named, at_ms)
        WHERE value.place = old.place AND value.named = old.named AND value.at_ms = old.at_ms"""
    if not dry:
        await connection.execute(delete, [row[0] for row in old], [row[1] for row in old], [row[3] for row in old])
    token = msgspec.msgpack.encode((rows[-1][0], rows[-1][1])) if len(rows) == limit else b""
    return Swept(len(old), sum(row[4] for row in old), token)


async def ended_runs(connection: Connection, before: int, limit: int) -> list[EndedRun]:
    query = """
        SELECT arrival, agent, at_ms FROM run WHERE ($1::bigint = 0 OR arrival < $1) AND status = ANY($2::text[])
        ORDER BY arrival DESC LIMIT $3
    """
    rows = await connection.fetch(query, before, list(ENDED), limit)
    return [EndedRun(number, told(agent), at_ms) for number, agent, at_ms in rows]


async def _done_by_all(connection: Connection, old: OldEvents) -> int:
    places = [digest(agent, old.topic, str(old.partition)) for agent in old.agents]
    rows = await connection.fetch("SELECT low FROM progress WHERE place = ANY($1::bytea[])", places)
    return 0 if len(rows) < len(places) else min((row[0] for row in rows), default=1 << 62)


async def _free_events(connection: Connection, ids: Sequence[str], rules: RunRules) -> dict[str, int]:
    """Return those that nothing but what followed from them needs, and how many events that are."""
    free = {row[0]: row[1] for row in await connection.fetch(_FREE, list(ids))}
    for event_id, _, agent, status, at_ms, _ in await connection.fetch(_RUNS, list(ids)):
        if status not in ENDED or not rules.run_may_go(told(agent), at_ms):
            free.pop(event_id, None)
    return free


async def _remove_events(connection: Connection, ids: Sequence[str]) -> None:
    tenants = {row[1]: row[5] for row in await connection.fetch(_RUNS, list(ids))}
    await _remove_journals(connection, [*tenants])
    await _remove_values(connection, tenants)
    await connection.execute("DELETE FROM run WHERE id = ANY($1::text[])", [*tenants])
    await connection.execute("DELETE FROM event WHERE id = ANY($1::text[])", list(ids))


async def _remove_values(connection: Connection, tenants: Mapping[str, str]) -> None:
    """Remove the values of some runs, given with their tenants."""
    places = [digest(told(tenant), owner, told(run_id)) for run_id, tenant in tenants.items() for owner in OF_RUNS]
    await connection.execute("DELETE FROM value WHERE place = ANY($1::bytea[])", places)


async def _remove_journals(connection: Connection, run_ids: Sequence[str]) -> None:
    await connection.execute("DELETE FROM journal WHERE run_id = ANY($1::text[])", list(run_ids))
    await connection.execute("DELETE FROM stream WHERE run_id = ANY($1::text[])", list(run_ids))
