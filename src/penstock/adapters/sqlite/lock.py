"""One process per store: a lock beside the file that the operating system takes back when its holder dies.

- The lock is a write transaction on a tiny database `FILE-lock`, held as long as the store is open. SQLite locks in each
  operating system's own way, and no lock outlives its process, so a `kill -9` leaves nothing behind to clean up.
- Who holds it stands in that database: a write transaction keeps out other writers, and lets readers read.
- Only the holder removes the file, while he holds it; who finds after locking that it is no longer there tries again.
- A process that opens a store a second time shares its lock. Fencing decides between the two (C5), as it does wherever a
  lock cannot be trusted (network file systems): the lock is there to tell people early, and by name.
"""

import os
import socket
import sqlite3
import threading
from collections.abc import Generator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from penstock.adapters.sqlite.schema import translated
from penstock.errors import Refused

_TABLE = """
CREATE TABLE IF NOT EXISTS holder (
    one INTEGER PRIMARY KEY CHECK (one = 1), pid INTEGER NOT NULL, host TEXT NOT NULL, at TEXT NOT NULL
)
"""
_ATTEMPTS_MAX = 3  # who comes while another one closes, or opens, may fail once without anybody holding the store
_held: dict[tuple[int, Path], tuple[sqlite3.Connection, int]] = {}  # by process too: a fork inherits no lock
_turn = threading.Lock()


@contextmanager
def locked(path: Path) -> Generator[None]:
    """Hold the store in `path` for this process; `Refused`, with the name of the holder, when another one has it."""
    which = (os.getpid(), path.resolve())
    with _turn:
        connection, holders = _held.get(which) or (_taken(path), 0)
        _held[which] = (connection, holders + 1)
    try:
        yield
    finally:
        with _turn:
            connection, holders = _held.pop(which)
            if holders > 1:
                _held[which] = (connection, holders - 1)
            else:
                with suppress(OSError):  # Windows keeps open files; then it stays
                    _beside(path).unlink()
                connection.close()


def _taken(path: Path) -> sqlite3.Connection:
    holder = ""
    for _ in range(_ATTEMPTS_MAX):
        connection = _connected(path)
        try:
            if _claimed(connection, _beside(path)):
                return connection
            holder = _holder(connection)
        except sqlite3.Error as error:
            connection.close()
            raise translated(error, f"locking {path.name}") from error
        connection.close()
    raise Refused(f"{path} is in use by {holder}", "stop that one first, or use another store")


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}-lock")


def _connected(path: Path) -> sqlite3.Connection:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return sqlite3.connect(_beside(path), check_same_thread=False, isolation_level=None, timeout=0.2)
    except (OSError, sqlite3.OperationalError) as error:
        hint = "check that the folder exists and may be written"
        raise Refused(f"{path} cannot be opened ({error})", hint) from error


def _claimed(connection: sqlite3.Connection, lock: Path) -> bool:
    """Write who we are, and then keep others from doing so."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds")  # noqa: TID251 - shown to people, decides nothing
    me = (os.getpid(), socket.gethostname(), now)
    try:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(_TABLE)
        connection.execute("INSERT OR REPLACE INTO holder VALUES (1, ?, ?, ?)", me)
        connection.execute("COMMIT")
        connection.execute("BEGIN IMMEDIATE")
        # Between the two somebody may have come and gone, and taken the file with him: then the name at the path is not ours.
        with closing(sqlite3.connect(lock, isolation_level=None, timeout=0.2)) as other:
            mine = other.execute("SELECT pid, host, at FROM holder").fetchone() == me
    except sqlite3.OperationalError as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_ERROR):
            raise
        return False  # busy, or no such table: the file was replaced
    return mine


def _holder(connection: sqlite3.Connection) -> str:
    try:
        row = connection.execute("SELECT pid, host, at FROM holder").fetchone()
    except sqlite3.OperationalError:  # he is just writing his name
        row = None
    return "another process" if row is None else f"process {row[0]} on {row[1]} (since {row[2]})"
