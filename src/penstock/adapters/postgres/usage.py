"""What takes space in the schema."""

from penstock.adapters.postgres.database import Connection
from penstock.adapters.postgres.texts import told
from penstock.core.agents.usage import Usage, Used

_EVENTS = """
SELECT name, count(*), sum(length(event.id) + length(body))::bigint FROM event JOIN topic ON topic.id = event.topic GROUP BY name
"""
_RUNS = """
SELECT agent, count(*), sum(length(id) + length(reason) + length(result) + length(records))::bigint, min(at_ms), max(at_ms)
FROM run GROUP BY agent
"""
_OTHERS = {
    "journals": "SELECT count(*), coalesce(sum(length(body)), 0)::bigint FROM journal",
    "streams": "SELECT count(*), coalesce(sum(length(body)), 0)::bigint FROM stream",
    "sessions": "SELECT count(*), coalesce(sum(length(body)), 0)::bigint FROM session",
    "values": "SELECT count(*), coalesce(sum(length(body)), 0)::bigint FROM value",
    "blobs": "SELECT count(*), coalesce(sum(size), 0)::bigint FROM blob",
    "timers": "SELECT count(*), coalesce(sum(length(body)), 0)::bigint FROM timer",
    "dead letters": "SELECT count(*), coalesce(sum(length(reason)), 0)::bigint FROM dead",
}
_TOTAL = """
SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = current_schema() AND c.relkind = 'r'
"""


async def usage(connection: Connection) -> Usage:
    """Return the bytes of what is stored; the total is with indexes, and with what is yet to be vacuumed."""
    parts = [Used("events", told(name), rows, size) for name, rows, size in await connection.fetch(_EVENTS)]
    parts += [Used("runs", told(agent), *rest) for agent, *rest in await connection.fetch(_RUNS)]
    for kind, query in _OTHERS.items():
        counted = await connection.fetchrow(query)
        assert counted is not None, "a count has one row"
        parts.append(Used(kind, "", counted[0], counted[1]))
    used = sorted((each for each in parts if each.rows), key=lambda each: -each.bytes_used)
    return Usage(used, await connection.fetchval(_TOTAL))
