"""Large values in the same file: each once, with the rows that use it."""

import sqlite3
from collections.abc import Mapping, Sequence

from penstock.core.events.blobs import Blob, BlobUse, packed_owner, unpacked_owner
from penstock.ports.blobs import Swept

_ASKED_MAX = 500  # digests in one query
TABLES = (
    "CREATE TABLE IF NOT EXISTS blob (digest BLOB NOT NULL UNIQUE, body BLOB NOT NULL)",
    """CREATE TABLE IF NOT EXISTS blob_use (
        digest BLOB NOT NULL, owner BLOB NOT NULL, at_ms INTEGER NOT NULL, PRIMARY KEY (digest, owner)
    ) WITHOUT ROWID""",
)
# The rows of an owner that may hold a reference: within them, the digest stands as it is.
_HOLDS = {
    "event": ("SELECT 1 FROM event WHERE id = ? AND instr(body, ?)",),
    "timer": ("SELECT 1 FROM timer WHERE id = ? AND instr(body, ?)",),
    "run": (
        "SELECT 1 FROM run WHERE id = ? AND (instr(result, ?2) OR instr(records, ?2))",
        "SELECT 1 FROM journal WHERE run_id = ? AND instr(body, ?) LIMIT 1",
    ),
    "session": ("SELECT 1 FROM session WHERE tenant = ? AND session = ? AND instr(body, ?) LIMIT 1",),
    "value": ("SELECT 1 FROM value WHERE tenant = ? AND agent = ? AND key = ? AND instr(body, ?) LIMIT 1",),
}


def write_blobs(connection: sqlite3.Connection, new: Sequence[Blob]) -> None:
    """Write those blobs of a commit that are not there yet."""
    rows = [(blob.digest, blob.body) for blob in new]
    connection.executemany("INSERT OR IGNORE INTO blob (digest, body) VALUES (?, ?)", rows)


def write_uses(connection: sqlite3.Connection, uses: Sequence[BlobUse]) -> None:
    rows = [(use.digest, packed_owner(use.owner), use.at_ms) for use in uses]
    connection.executemany("INSERT OR REPLACE INTO blob_use VALUES (?, ?, ?)", rows)


def blobs(connection: sqlite3.Connection, digests: Sequence[bytes]) -> Mapping[bytes, bytes]:
    found: dict[bytes, bytes] = {}
    for first in range(0, len(digests), _ASKED_MAX):
        some = digests[first : first + _ASKED_MAX]
        places = ",".join("?" * len(some))
        query = f"SELECT digest, body FROM blob WHERE digest IN ({places})"  # noqa: S608 - question marks
        found.update(connection.execute(query, some).fetchall())
    return found


def sweep_blobs(connection: sqlite3.Connection, before_ms: int, after: bytes, limit: int, *, dry: bool) -> Swept:
    """Remove what nobody holds, within the caller's transaction: no commit can come between."""
    query = "SELECT digest, length(body) FROM blob WHERE digest > ? ORDER BY digest LIMIT ?"
    rows = connection.execute(query, (after, limit)).fetchall()
    removed, size = 0, 0
    for digest, length in rows:
        if not _is_held(connection, digest, before_ms):
            if not dry:
                connection.execute("DELETE FROM blob_use WHERE digest = ?", (digest,))
                connection.execute("DELETE FROM blob WHERE digest = ?", (digest,))
            removed, size = removed + 1, size + length
    return Swept(removed, size, rows[-1][0] if len(rows) == limit else b"")


def _is_held(connection: sqlite3.Connection, digest: bytes, before_ms: int) -> bool:
    query = "SELECT owner FROM blob_use WHERE digest = ? AND at_ms >= ? LIMIT 1"
    if connection.execute(query, (digest, before_ms)).fetchone():
        return True
    gone: list[tuple[bytes, bytes]] = []
    held = False
    for (packed,) in connection.execute("SELECT owner FROM blob_use WHERE digest = ?", (digest,)):
        kind, *names = unpacked_owner(packed)
        held = any(connection.execute(each, (*names, digest)).fetchone() for each in _HOLDS[kind])
        if held:
            break
        gone.append((digest, packed))
    connection.executemany("DELETE FROM blob_use WHERE digest = ? AND owner = ?", gone)
    return held
