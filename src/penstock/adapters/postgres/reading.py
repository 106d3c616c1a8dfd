"""What is asked of the tables, as queries. Each is one statement, so it sees one state: no commit in part (S1)."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec

from penstock.adapters.postgres.blobs import blobs
from penstock.adapters.postgres.database import Connection
from penstock.adapters.postgres.schema import OFFSET_MAX, PARTITIONS_MAX
from penstock.adapters.postgres.texts import digest, stored, told
from penstock.core.agents.journal import decode_chunk
from penstock.core.agents.progress import Progress
from penstock.core.agents.unit import DeadLetter, RunChange
from penstock.core.events.blobs import found_in, reference_in
from penstock.core.events.codec import decode
from penstock.core.events.envelope import UNPLACED, Position, Recorded, event_of
from penstock.core.sessions.history import MESSAGES_MAX, History, decode_messages
from penstock.ports.state import DeadFilter, RunFilter, StoredRun

_RUN_COLUMNS = "run.id, agent, tenant, key, status, attempt, at_ms, due_ms, reason, result, duration_ms, records"
# Not a join: the planner would lose sight of the order in which an index gives the events, and sort all that follow.
_PLACED = 'SELECT (SELECT name FROM topic WHERE topic.id = event.topic), partition, "offset", body FROM event'
_FOUND = f"""
{_PLACED} WHERE id = $1 UNION ALL SELECT topic, partition, {UNPLACED}, body FROM inbox WHERE id = $1
ORDER BY 3 DESC LIMIT 1
"""  # noqa: S608 - our own names
# What is in the log comes last, and counts.
_PLACES = """
SELECT id, NULL, NULL, NULL FROM inbox WHERE id = ANY($1::text[]) UNION ALL
SELECT id, (SELECT name FROM topic WHERE topic.id = event.topic), partition, "offset" FROM event WHERE id = ANY($1::text[])
ORDER BY 4 NULLS FIRST
"""
_EVENTS_MAX = 10_000
_RUN = f"""
SELECT {_RUN_COLUMNS},
    ARRAY(SELECT body FROM journal WHERE run_id = $1 ORDER BY number),
    coalesce((SELECT max(number) + 1 FROM journal WHERE run_id = $1), 0),
    coalesce((SELECT body FROM event WHERE id = $2), (SELECT body FROM inbox WHERE id = $2)),
    EXISTS (SELECT FROM stream WHERE run_id = $1)
FROM (VALUES (1)) AS one LEFT JOIN run ON run.id = $1
"""  # noqa: S608 - our own names
_ENDS = """
SELECT name, part.partition, last."offset" FROM topic CROSS JOIN part CROSS JOIN LATERAL (
    SELECT "offset" FROM event WHERE event.topic = topic.id AND event.partition = part.partition
    ORDER BY "offset" DESC LIMIT 1
) last
"""
_DEAD = """
SELECT run_id, agent, name, dead.partition, dead."offset", body, reason, attempts, at_ms
FROM dead JOIN event USING (topic, partition, "offset") JOIN topic ON topic.id = dead.topic
WHERE ($1::text IS NULL OR tenant = $1) AND ($2::text IS NULL OR agent = $2) AND ($3::text IS NULL OR run_id = $3)
    AND ($4::bigint IS NULL OR at_ms >= $4)
    AND ($5::text IS NULL OR position(lower($5 COLLATE "C") IN lower(reason COLLATE "C")) > 0)
ORDER BY arrival DESC LIMIT $6
"""


async def events(connection: Connection, topic: str, partition: int, after: int, limit: int) -> list[Recorded]:
    if not 0 <= partition < PARTITIONS_MAX or after >= OFFSET_MAX:
        return []  # no column holds such a number
    query = f"""
        {_PLACED} WHERE topic = (SELECT id FROM topic WHERE name = $1) AND partition = $2 AND "offset" > $3
        ORDER BY "offset" LIMIT $4
    """  # noqa: S608 - our own names
    return [_recorded(row) for row in await connection.fetch(query, stored(topic), partition, max(after, 0), limit)]


async def ends(connection: Connection) -> dict[tuple[str, int], int]:
    """Return the last offset of each partition."""
    return {(told(name), partition): last for name, partition, last in await connection.fetch(_ENDS)}


async def last_offset(connection: Connection, topic: int, partition: int) -> int:
    query = 'SELECT coalesce(max("offset"), 0) FROM event WHERE topic = $1 AND partition = $2'
    return await connection.fetchval(query, topic, partition)


async def event_by_id(connection: Connection, event_id: str) -> Recorded | None:
    """Return an event with its place, or as one that waits for it."""
    row = await connection.fetchrow(_FOUND, stored(event_id))
    return None if row is None else _recorded(row)


async def events_by_id(connection: Connection, event_ids: Sequence[str]) -> dict[str, Recorded]:
    ids = [stored(each) for each in event_ids]
    found = [_recorded(row) for row in await connection.fetch(f"{_PLACED} WHERE id = ANY($1::text[])", ids)]
    return {each.event.id: each for each in found}


async def places(connection: Connection, ids: Collection[str]) -> dict[str, Position | None]:
    """Return where those of some events are that are in the log, and None for those that wait."""
    rows = await connection.fetch(_PLACES, [stored(each) for each in ids]) if ids else []
    return {
        told(event_id): Position(told(topic), partition, offset) if topic is not None else None
        for event_id, topic, partition, offset in rows
    }


async def origin(connection: Connection, correlation_id: str) -> list[Recorded]:
    """Return the event and all that it led to: their ids begin with its own (see `emitted_id`)."""
    # '/' follows '.' in the order of characters, so the range holds exactly what begins with "<id>."
    query = f"""
        {_PLACED} WHERE id >= $1 AND id < $1 || '/' AND (id = $1 OR id > $1 || '.') ORDER BY id LIMIT $2
    """
    found = [_recorded(row) for row in await connection.fetch(query, stored(correlation_id), _EVENTS_MAX)]
    return [each for each in found if each.event.correlation_id == correlation_id]


async def run(connection: Connection, run_id: str) -> StoredRun | None:
    event_id, agent = event_of(run_id)
    row = await connection.fetchrow(_RUN, stored(run_id), stored(event_id))
    assert row is not None, "the query has one row"
    *columns, chunks, next_number, event_body, streamed = row
    if columns[0] is not None:
        change = _run_change(columns)
    elif event_body is None:
        return None
    else:
        event = decode(event_body)
        change = RunChange(run_id, agent, event.tenant, event.key, "queued", 0, event.time_ms)
    bodies = [*chunks, change.records] if change.records else chunks
    records = [record for body in bodies for record in decode_chunk(body)]
    return StoredRun(change, records, next_number, streamed)


async def progress(connection: Connection) -> dict[tuple[str, str, int], Progress]:
    rows = await connection.fetch("SELECT agent, topic, partition, low, above FROM progress")
    return {
        (told(agent), told(topic), partition): Progress(low, msgspec.msgpack.decode(above, type=list[tuple[int, int]]))
        for agent, topic, partition, low, above in rows
    }


async def history(connection: Connection, tenant: str, session: str, now_ms: int) -> History:
    query = "SELECT number, count, expires_ms, body FROM session WHERE place = $1 ORDER BY number DESC LIMIT $2"
    rows = await connection.fetch(query, digest(tenant, session), MESSAGES_MAX)
    found = History()
    for _, _, expires_ms, body in reversed(rows):
        if expires_ms > now_ms:
            if (reference := reference_in(body)) is not None:
                body = found_in(await blobs(connection, [reference.digest]), reference, f"the session {session!r}")  # noqa: PLW2901
            found.add(decode_messages(body))
    found.number = rows[0][0] + rows[0][1] if rows else 0
    return found


async def values(connection: Connection, tenant: str, agent: str, key: str) -> Mapping[str, bytes]:
    rows = await connection.fetch("SELECT name, body FROM value WHERE place = $1", digest(tenant, agent, key))
    return {told(name): body for name, body in rows}


async def runs(connection: Connection, which: RunFilter) -> list[RunChange]:
    wanted = {"tenant": which.tenant, "agent": which.agent, "status": which.status}
    given = {name: stored(value) for name, value in wanted.items() if value is not None}
    where = " AND ".join(f"{name} = ${number}" for number, name in enumerate(given, 2)) or "true"
    query = f"SELECT {_RUN_COLUMNS} FROM run WHERE {where} ORDER BY arrival DESC LIMIT $1"  # noqa: S608 - our own names
    return [_run_change(row) for row in await connection.fetch(query, which.limit, *given.values())]


async def dead_letters(connection: Connection, which: DeadFilter) -> list[DeadLetter]:
    tenant, agent, run_id, reason = (
        None if each is None else stored(each) for each in (which.tenant, which.agent, which.run_id, which.reason)
    )
    rows = await connection.fetch(_DEAD, tenant, agent, run_id, which.since_ms, reason, which.limit)
    return [
        DeadLetter(told(run_id), told(agent), _recorded(place), told(reason), attempts, at_ms)
        for run_id, agent, *place, reason, attempts, at_ms in rows
    ]


def _recorded(row: Sequence[Any]) -> Recorded:
    name, partition, offset, body = row
    return Recorded(Position(told(name), partition, offset), decode(body))


def _run_change(columns: Sequence[Any]) -> RunChange:
    run_id, agent, tenant, key, status, attempt, at_ms, due_ms, reason, *rest = columns
    names = (told(run_id), told(agent), told(tenant), told(key))
    return RunChange(*names, status, attempt, at_ms, due_ms, told(reason), *rest)
