"""The timers in the schema: one row each, found by a digest of the id and in the order in which they are due."""

from collections.abc import Sequence
from typing import Any

from penstock.adapters.postgres.database import Connection
from penstock.adapters.postgres.texts import digest, stored, told
from penstock.core.events.codec import decode, encode
from penstock.core.timing.timers import Place, Timer, TimerClock, TimerWrite

_COLUMNS = "id, partition, clock, due_ms, set_ms, topic, body, agent, name"
# The order by id is that of its characters. An index on it would refuse long ones, so those that are due at one moment, and
# they alone, are sorted.
TABLES = (
    """
    CREATE TABLE IF NOT EXISTS timer (
        place bytea PRIMARY KEY, id text COLLATE "C" NOT NULL, partition integer NOT NULL, clock text COLLATE "C" NOT NULL,
        due_ms bigint NOT NULL, set_ms bigint NOT NULL, topic text COLLATE "C" NOT NULL, body bytea NOT NULL,
        agent text COLLATE "C" NOT NULL, name text COLLATE "C" NOT NULL, tenant text COLLATE "C" NOT NULL
    )
    """,
    "CREATE INDEX IF NOT EXISTS timer_due ON timer (clock, due_ms)",
)
SET = """INSERT INTO timer (place, id, partition, clock, due_ms, set_ms, topic, body, agent, name, tenant)
    SELECT u.* FROM {rows} u
    ON CONFLICT (place) DO UPDATE SET partition = excluded.partition, clock = excluded.clock, due_ms = excluded.due_ms,
        set_ms = excluded.set_ms, topic = excluded.topic, body = excluded.body, agent = excluded.agent,
        name = excluded.name, tenant = excluded.tenant"""
SET_TYPES = ("bytea", "text", "int", "text", "bigint", "bigint", "text", "bytea", "text", "text", "text")
REMOVE = "DELETE FROM timer USING {rows} u (place) WHERE timer.place = u.place"
REMOVE_TYPES = ("bytea",)


def rows_of(writes: Sequence[TimerWrite]) -> tuple[Sequence[tuple[Any, ...]], Sequence[tuple[Any, ...]]]:
    """Return the rows to set and those to remove: the last write of an id counts."""
    last = {each.id: each.timer for each in writes}
    kept = [_row(timer) for timer in last.values() if timer is not None]
    return kept, [(digest(which),) for which, timer in last.items() if timer is None]


async def due(
    connection: Connection, clock: TimerClock, after: Place, limit: int, partitions: Sequence[int] | None
) -> list[Timer]:
    query = f"""
        SELECT {_COLUMNS} FROM timer
        WHERE clock = $1 AND due_ms >= $2 AND (due_ms, id) > ($2, $3) AND ($5::int[] IS NULL OR partition = ANY($5))
        ORDER BY due_ms, id LIMIT $4
    """  # noqa: S608 - our own names
    due_ms, last_id = after
    chosen = None if partitions is None else [*partitions]
    return [_timer(row) for row in await connection.fetch(query, clock, due_ms, stored(last_id), limit, chosen)]


async def latest_set_ms(connection: Connection, partitions: Sequence[int] | None) -> int:
    query = """
        SELECT coalesce(max(set_ms), 0) FROM timer
        WHERE clock = 'elapsed' AND ($1::int[] IS NULL OR partition = ANY($1))
    """
    return await connection.fetchval(query, None if partitions is None else [*partitions])


async def by_id(connection: Connection, id: str) -> Timer | None:
    row = await connection.fetchrow(f"SELECT {_COLUMNS} FROM timer WHERE place = $1", digest(id))  # noqa: S608 - our own names
    return None if row is None else _timer(row)


async def soonest(connection: Connection, tenant: str | None, limit: int) -> list[Timer]:
    query = f"""
        SELECT {_COLUMNS} FROM timer WHERE $1::text IS NULL OR tenant = $1 ORDER BY due_ms, id LIMIT $2
    """  # noqa: S608 - our own names
    return [_timer(row) for row in await connection.fetch(query, None if tenant is None else stored(tenant), limit)]


def _row(timer: Timer) -> tuple[Any, ...]:
    numbers = (digest(timer.id), stored(timer.id), timer.partition, timer.clock, timer.due_ms, timer.set_ms)
    texts = (stored(timer.agent), stored(timer.name), stored(timer.event.tenant))
    return (*numbers, stored(timer.topic), encode(timer.event), *texts)


def _timer(row: Sequence[Any]) -> Timer:
    timer_id, partition, clock, due_ms, set_ms, topic, body, agent, name = row
    return Timer(told(timer_id), partition, clock, due_ms, set_ms, told(topic), decode(body), told(agent), told(name))
