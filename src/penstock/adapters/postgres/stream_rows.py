"""The streams of runs in the database: a row holds many pieces."""

from penstock.adapters.postgres.database import Connection
from penstock.adapters.postgres.texts import stored, told
from penstock.core.agents.pieces import StreamChunk, StreamEnd

TABLES = (
    """CREATE TABLE IF NOT EXISTS stream (
        run_id text COLLATE "C" NOT NULL, name text COLLATE "C" NOT NULL, first bigint NOT NULL, count integer NOT NULL,
        tenant text COLLATE "C" NOT NULL, partition integer NOT NULL, body bytea NOT NULL,
        PRIMARY KEY (run_id, name, first)
    )""",
)


async def pieces(
    connection: Connection, which: tuple[str, str, str], from_offset: int, limit: int
) -> list[StreamChunk]:
    """Return chunks of a stream, named by tenant, run and name."""
    query = """
        SELECT run_id, partition, tenant, name, first, count, body FROM stream
        WHERE tenant = $1 AND run_id = $2 AND name = $3 AND first + count > $4 AND first >= coalesce(
            (SELECT max(first) FROM stream WHERE run_id = $2 AND name = $3 AND first <= $4), 0)
        ORDER BY first LIMIT $5
    """
    rows = await connection.fetch(query, *(stored(each) for each in which), from_offset, limit)
    return [
        StreamChunk(told(run_id), partition, told(tenant), told(name), first, count, body)
        for run_id, partition, tenant, name, first, count, body in rows
    ]


async def streams(connection: Connection, tenant: str, run_id: str) -> list[StreamEnd]:
    query = """
        SELECT name, max(first + count), sum(length(body)), count(*) FROM stream
        WHERE run_id = $1 AND tenant = $2 GROUP BY name ORDER BY name
    """
    rows = await connection.fetch(query, stored(run_id), stored(tenant))
    return [StreamEnd(told(name), following, size, count) for name, following, size, count in rows]
