"""Taking what is about one subject out of the file, and out of the free space that rows leave behind."""

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from penstock.core.agents.exposing import OF_RUNS
from penstock.core.events.codec import decode, encode
from penstock.core.events.subjects import SECRET, SHARED, gone, is_gone
from penstock.errors import Unavailable
from penstock.ports.erasure import Erased
from penstock.ports.retention import ENDED

COLUMNS = (
    ("session", "subject", "TEXT NOT NULL DEFAULT ''"),
    ("value", "subject", "TEXT NOT NULL DEFAULT ''"),
)
LOOKS_MAX = 100  # for others to let go of the write-ahead log
LOOK_S = 0.1
T = TypeVar("T")
_MARKS = ", ".join(f"'{each}'" for each in ENDED)
_RUNS = """
SELECT id, tenant, key, reason, length(result) + length(records), status FROM run
WHERE (id > :id || ':' AND id < :id || ';') OR (id > :id || '+' AND id < :id || ',')
"""
_STRIP = f"""
UPDATE run SET key = '', reason = 'its subject was forgotten', result = x'', records = x'',
    status = CASE WHEN status IN ({_MARKS}) THEN status ELSE 'cancelled' END
WHERE id = ?
"""  # noqa: S608 - our own words
_STRIPPED = ("", "its subject was forgotten", 0)


class _Store(Protocol):
    async def transact(
        self, work: Callable[[sqlite3.Connection], T], operation: str = ..., *, synced: bool = ...
    ) -> T: ...
    async def apart(self, work: Callable[[sqlite3.Connection], T], operation: str) -> T: ...


class Erases:
    """The part of a store in a file that keeps `Erasable`."""

    async def secret(self: _Store, offered: bytes) -> bytes:
        def kept(connection: sqlite3.Connection) -> bytes:
            if offered:
                connection.execute("INSERT OR IGNORE INTO value VALUES (?, ?, ?, ?, ?, 0, '')", (*SECRET, offered))
            query = "SELECT body FROM value WHERE tenant = ? AND agent = ? AND key = ? AND name = ?"
            row = connection.execute(query, SECRET).fetchone()
            return b"" if row is None else row[0]

        return await self.transact(kept, "secret")

    async def erase_events(self: _Store, event_ids: Sequence[str]) -> Erased:
        return await self.transact(lambda each: _erased_events(each, event_ids), "erasing")

    async def erase_state(self: _Store, tenant: str, subject: str) -> Erased:
        return await self.transact(lambda each: _erased_state(each, tenant, subject), "erasing")

    async def compact(self: _Store) -> Sequence[str]:
        for _ in range(LOOKS_MAX):
            if path := await self.apart(_rewritten, "compacting"):
                return [f"{path}{each}" for each in ("", "-wal", "-shm", "-parts")]
            await asyncio.sleep(LOOK_S)
        raise Unavailable("sqlite", "compacting", "others read the file all the time")


def _rewritten(connection: sqlite3.Connection) -> str:
    """Make the file anew from what is in it, and return its path; empty when others keep what was in the write-ahead log."""
    connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
    connection.execute("VACUUM")
    busy, *_ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    return "" if busy else connection.execute("PRAGMA database_list").fetchone()[2]


def _erased_events(connection: sqlite3.Connection, event_ids: Sequence[str]) -> Erased:
    counts: dict[str, int] = {}

    def count(kind: str, rows: int) -> None:
        if rows:
            counts[kind] = counts.get(kind, 0) + rows

    for event_id in event_ids:
        row = connection.execute("SELECT place, body FROM event WHERE id = ?", (event_id,)).fetchone()
        if row is not None and not is_gone((event := decode(row[1])).data):
            connection.execute("UPDATE event SET body = ? WHERE place = ?", (encode(gone(event)), row[0]))
            count("events", 1)
        count("waiting events", connection.execute("DELETE FROM inbox WHERE id = ?", (event_id,)).rowcount)
        for run_id, tenant, *said, status in connection.execute(_RUNS, {"id": event_id}).fetchall():
            if tuple(said) != _STRIPPED or status not in ENDED:
                connection.execute(_STRIP, (run_id,))
                count("runs", 1)
            for owner in OF_RUNS:
                query = "DELETE FROM value WHERE tenant = ? AND agent = ? AND key = ?"
                count("values", connection.execute(query, (tenant, owner, run_id)).rowcount)
        for kind, table in (("journals", "journal"), ("streams", "stream"), ("dead letters", "dead")):
            for mark, following in (":;", "+,"):
                query = f"DELETE FROM {table} WHERE run_id > ? AND run_id < ?"  # noqa: S608 - our own names
                bounds = (f"{event_id}{mark}", f"{event_id}{following}")
                count(kind, connection.execute(query, bounds).rowcount)
    return Erased(counts)


def _erased_state(connection: sqlite3.Connection, tenant: str, subject: str) -> Erased:
    counts: dict[str, int] = {}
    for kind, table in (("messages", "session"), ("values", "value")):
        query = f"DELETE FROM {table} WHERE tenant = ? AND subject = ?"  # noqa: S608 - our own names
        if rows := connection.execute(query, (tenant, subject)).rowcount:
            counts[kind] = rows
    query = "SELECT count(*) FROM value WHERE tenant = ? AND subject = ?"
    (shared,) = connection.execute(query, (tenant, SHARED)).fetchone()
    return Erased(counts | ({"shared": shared} if shared else {}))
