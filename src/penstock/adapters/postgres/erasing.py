"""Taking what is about one subject out of the tables."""

from collections.abc import Sequence

from penstock.adapters.postgres.database import Connection, Database
from penstock.adapters.postgres.texts import digest, stored
from penstock.core.agents.exposing import OF_RUNS
from penstock.core.events.codec import decode, encode
from penstock.core.events.subjects import SECRET, SHARED, gone, is_gone
from penstock.ports.erasure import Erased
from penstock.ports.retention import ENDED

TABLES = (
    "ALTER TABLE session ADD COLUMN IF NOT EXISTS subject text COLLATE \"C\" NOT NULL DEFAULT ''",
    "ALTER TABLE value ADD COLUMN IF NOT EXISTS subject text COLLATE \"C\" NOT NULL DEFAULT ''",
)
_COMPACTED = (
    "event",
    "inbox",
    "run",
    "journal",
    "stream",
    "dead",
    "session",
    "value",
    "timer",
    "blob",
    "blob_use",
    "passage",
)
_OF = """(({0} > of.event || ':' COLLATE "C" AND {0} < of.event || ';' COLLATE "C")
    OR ({0} > of.event || '+' COLLATE "C" AND {0} < of.event || ',' COLLATE "C"))"""
_STRIP = f"""
UPDATE run SET key = '', reason = 'its subject was forgotten', result = ''::bytea, records = ''::bytea,
    status = CASE WHEN status = ANY($2::text[]) THEN status ELSE 'cancelled' END
FROM unnest($1::text[]) AS of (event) WHERE {_OF.format("run.id")} AND NOT (
    key = '' AND reason = 'its subject was forgotten' AND length(result) + length(records) = 0 AND status = ANY($2::text[])
)
"""  # noqa: S608 - our own names
_VALUES = f"""
DELETE FROM value USING run, unnest($1::text[]) AS of (event)
WHERE {_OF.format("run.id")} AND value.key = run.id AND value.tenant = run.tenant AND value.agent = ANY($2::text[])
"""  # noqa: S608 - our own names


class Erases:
    """The part of a store in Postgres that keeps `Erasable`."""

    def __init__(self, database: Database) -> None:
        self._erased = database

    async def secret(self, offered: bytes) -> bytes:
        place = (digest(*SECRET[:3]), digest(SECRET[3]))

        async def kept(connection: Connection) -> bytes:
            if offered:
                insert = """INSERT INTO value (place, named, tenant, agent, key, name, body)
                    VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (place, named) DO NOTHING"""
                await connection.execute(insert, *place, *SECRET, offered)
            return await connection.fetchval("SELECT body FROM value WHERE place = $1 AND named = $2", *place) or b""

        return await self._erased.transact("secret", kept)

    async def erase_events(self, event_ids: Sequence[str]) -> Erased:
        ids = [stored(each) for each in event_ids]
        return await self._erased.transact("erasing", lambda connection: _erased_events(connection, ids))

    async def erase_state(self, tenant: str, subject: str) -> Erased:
        async def erased(connection: Connection) -> Erased:
            counts: dict[str, int] = {}
            for kind, table in (("messages", "session"), ("values", "value")):
                query = f"DELETE FROM {table} WHERE tenant = $1 AND subject = $2"  # noqa: S608 - our own names
                counts[kind] = _rows(await connection.execute(query, stored(tenant), stored(subject)))
            query = "SELECT count(*) FROM value WHERE tenant = $1 AND subject = $2"
            counts["shared"] = await connection.fetchval(query, stored(tenant), SHARED)
            return _counted(counts)

        return await self._erased.transact("erasing", erased)

    async def compact(self) -> Sequence[str]:
        async def compacted(connection: Connection) -> None:
            for table in _COMPACTED:
                if await connection.fetchval("SELECT to_regclass($1) IS NOT NULL", table):
                    await connection.execute(f"VACUUM {table}")

        await self._erased.ask("compacting", compacted)
        return []


async def _erased_events(connection: Connection, ids: list[str]) -> Erased:
    query = 'SELECT topic, partition, "offset", body FROM event WHERE id = ANY($1::text[]) FOR UPDATE'
    counts = {"events": 0}
    for *place, body in await connection.fetch(query, ids):
        event = decode(body)
        if not is_gone(event.data):
            update = 'UPDATE event SET body = $4 WHERE topic = $1 AND partition = $2 AND "offset" = $3'
            await connection.execute(update, *place, encode(gone(event)))
            counts["events"] += 1
    inbox = await connection.execute("DELETE FROM inbox WHERE id = ANY($1::text[])", ids)
    counts["waiting events"] = _rows(inbox)
    counts["runs"] = _rows(await connection.execute(_STRIP, ids, [*ENDED]))
    counts["values"] = _rows(await connection.execute(_VALUES, ids, [*OF_RUNS]))
    for kind, table in (("journals", "journal"), ("streams", "stream"), ("dead letters", "dead")):
        of = _OF.format(f"{table}.run_id")
        delete = f"DELETE FROM {table} USING unnest($1::text[]) AS of (event) WHERE {of}"  # noqa: S608 - our own names
        counts[kind] = _rows(await connection.execute(delete, ids))
    return _counted(counts)


def _counted(counts: dict[str, int]) -> Erased:
    return Erased({kind: rows for kind, rows in counts.items() if rows})


def _rows(status: str) -> int:
    """Return how many rows a statement says that it touched."""
    return int(status.rpartition(" ")[2])
