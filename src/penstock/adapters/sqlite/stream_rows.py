"""The streams of runs in the file: a row holds many pieces."""

import sqlite3

from penstock.core.agents.pieces import StreamChunk, StreamEnd

TABLES = (
    """CREATE TABLE IF NOT EXISTS stream (
        run_id TEXT NOT NULL, name TEXT NOT NULL, first INTEGER NOT NULL, count INTEGER NOT NULL, tenant TEXT NOT NULL,
        partition INTEGER NOT NULL, body BLOB NOT NULL
    )""",
    "CREATE UNIQUE INDEX IF NOT EXISTS stream_run ON stream (run_id, name, first)",
)


def pieces(
    connection: sqlite3.Connection, which: tuple[str, str, str], from_offset: int, limit: int
) -> list[StreamChunk]:
    """Return chunks of a stream, named by tenant, run and name."""
    query = """
        SELECT run_id, partition, tenant, name, first, count, body FROM stream
        WHERE tenant = :tenant AND run_id = :run AND name = :name AND first + count > :start AND first >= ifnull(
            (SELECT max(first) FROM stream WHERE run_id = :run AND name = :name AND first <= :start), 0)
        ORDER BY first LIMIT :limit
    """
    tenant, run, name = which
    given = {"tenant": tenant, "run": run, "name": name, "start": from_offset, "limit": limit}
    return [StreamChunk(*row) for row in connection.execute(query, given)]


def streams(connection: sqlite3.Connection, tenant: str, run_id: str) -> list[StreamEnd]:
    query = """
        SELECT name, max(first + count), sum(length(body)), count(*) FROM stream
        WHERE run_id = ? AND tenant = ? GROUP BY name ORDER BY name
    """
    return [StreamEnd(*row) for row in connection.execute(query, (run_id, tenant))]
