"""Large values in the same schema: each once, with the rows that use it.

A sweep locks the rows of a blob that it removes, and so does a commit that brings it along: the commit waits, and then finds it
gone and writes it anew. A sweep waits for nobody: what somebody else has locked is in use, and stays.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from penstock.adapters.postgres.database import Connection
from penstock.adapters.postgres.texts import digest as digest_of_names
from penstock.adapters.postgres.texts import stored
from penstock.core.events.blobs import unpacked_owner
from penstock.ports.blobs import Swept

TABLES = (
    "CREATE TABLE IF NOT EXISTS blob (digest bytea PRIMARY KEY, size bigint NOT NULL, body bytea NOT NULL)",
    """CREATE TABLE IF NOT EXISTS blob_use (
        digest bytea NOT NULL, place bytea NOT NULL, owner bytea NOT NULL, at_ms bigint NOT NULL,
        PRIMARY KEY (digest, place)
    )""",
)
# The rows of an owner that may hold a reference: within them, the digest stands as it is.
_HOLDS = {
    "event": "SELECT EXISTS (SELECT FROM event WHERE id = $1 AND position($2::bytea IN body) > 0)",
    "timer": "SELECT EXISTS (SELECT FROM timer WHERE place = $1 AND position($2::bytea IN body) > 0)",
    "run": """SELECT EXISTS (
            SELECT FROM run WHERE id = $1 AND (position($2::bytea IN result) > 0 OR position($2::bytea IN records) > 0)
        ) OR EXISTS (SELECT FROM journal WHERE run_id = $1 AND position($2::bytea IN body) > 0)""",
    "session": "SELECT EXISTS (SELECT FROM session WHERE place = $1 AND position($2::bytea IN body) > 0)",
    "value": "SELECT EXISTS (SELECT FROM value WHERE place = $1 AND position($2::bytea IN body) > 0)",
}


async def blobs(connection: Connection, digests: Sequence[bytes]) -> Mapping[bytes, bytes]:
    rows = await connection.fetch("SELECT digest, body FROM blob WHERE digest = ANY($1::bytea[])", list(digests))
    return {digest: body for digest, body in rows}  # noqa: C416 - rows are no pairs to a type checker


async def sweep(connection: Connection, before_ms: int, after: bytes, limit: int, *, dry: bool) -> Swept:
    """Remove what nobody holds, within the caller's transaction."""
    query = "SELECT digest, size FROM blob WHERE digest > $1 ORDER BY digest LIMIT $2"
    rows = await connection.fetch(query, after, limit)
    removed, size = 0, 0
    for digest, length in rows:
        if not await _is_held(connection, digest, before_ms):
            if not dry:
                await connection.execute("DELETE FROM blob_use WHERE digest = $1", digest)
                await connection.execute("DELETE FROM blob WHERE digest = $1", digest)
            removed, size = removed + 1, size + length
    return Swept(removed, size, rows[-1][0] if len(rows) == limit else b"")


async def _is_held(connection: Connection, digest: bytes, before_ms: int) -> bool:
    mine = await connection.fetch("SELECT 1 FROM blob WHERE digest = $1 FOR UPDATE SKIP LOCKED", digest)
    query = "SELECT count(*), count(*) FILTER (WHERE at_ms >= $2) FROM blob_use WHERE digest = $1"
    counted = await connection.fetchrow(query, digest, before_ms)
    assert counted is not None, "a count has one row"
    uses = await connection.fetch("SELECT owner FROM blob_use WHERE digest = $1 FOR UPDATE SKIP LOCKED", digest)
    if not mine or counted[1] or len(uses) < counted[0]:
        return True
    gone: list[bytes] = []
    held = False
    for (packed,) in uses:
        kind, *names = unpacked_owner(packed)
        place: Any = stored(names[0]) if kind in ("event", "run") else digest_of_names(*names)
        held = await connection.fetchval(_HOLDS[kind], place, digest)
        if held:
            break
        gone.append(packed)
    await connection.execute("DELETE FROM blob_use WHERE digest = $1 AND owner = ANY($2::bytea[])", digest, gone)
    return held
