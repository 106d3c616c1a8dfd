"""The tables of the one file in which the log and the state lie, and how the file is opened.

An event's row number holds topic, partition and offset, so that reading a partition in order is reading a range of one
B-tree; a compound key would need a second one.

The format grows and never changes: a file of an older format is brought up to date when a store is opened on it.
"""

import sqlite3
from pathlib import Path

from penstock.adapters.sqlite import blobs, erasing, permits, stream_rows, timers, workers
from penstock.adapters.sqlite.checkpoints import BACKSTOP_FRAMES
from penstock.errors import Finding, Invalid, Refused, Unavailable

FORMAT = 2
APPLICATION = 0x50_4E_53_4B  # "PNSK": tells our files from those of other programs, whose formats have numbers too
TOPICS_MAX = 4095
OFFSET_BITS = 40
OFFSET_MAX = (1 << OFFSET_BITS) - 1
PARTITION_BITS = 11
PARTITIONS_MAX = 1 << PARTITION_BITS
UNSTORABLE = (UnicodeEncodeError, OverflowError)  # half a character, a number of more than 64 bits

_TABLES = """
CREATE TABLE IF NOT EXISTS owner (
    one INTEGER PRIMARY KEY CHECK (one = 1), owner TEXT NOT NULL, epoch INTEGER NOT NULL, number INTEGER NOT NULL
);
INSERT OR IGNORE INTO owner VALUES (1, '', 0, 0);
CREATE TABLE IF NOT EXISTS topic (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS event (place INTEGER PRIMARY KEY, id TEXT NOT NULL, body BLOB NOT NULL);
CREATE UNIQUE INDEX IF NOT EXISTS event_id ON event (id);
CREATE TABLE IF NOT EXISTS run (
    id TEXT NOT NULL UNIQUE, agent TEXT NOT NULL, tenant TEXT NOT NULL, key TEXT NOT NULL, status TEXT NOT NULL,
    attempt INTEGER NOT NULL, at_ms INTEGER NOT NULL, due_ms INTEGER NOT NULL, reason TEXT NOT NULL,
    result BLOB NOT NULL, duration_ms REAL NOT NULL, records BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS run_open ON run (status, agent) WHERE status <> 'succeeded';
CREATE TABLE IF NOT EXISTS journal (run_id TEXT NOT NULL, number INTEGER NOT NULL, body BLOB NOT NULL);
CREATE UNIQUE INDEX IF NOT EXISTS journal_run ON journal (run_id, number);
CREATE TABLE IF NOT EXISTS session (
    tenant TEXT NOT NULL, session TEXT NOT NULL, number INTEGER NOT NULL, count INTEGER NOT NULL,
    expires_ms INTEGER NOT NULL, body BLOB NOT NULL, PRIMARY KEY (tenant, session, number)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS value (
    tenant TEXT NOT NULL, agent TEXT NOT NULL, key TEXT NOT NULL, name TEXT NOT NULL, body BLOB NOT NULL,
    PRIMARY KEY (tenant, agent, key, name)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS progress (
    agent TEXT NOT NULL, topic TEXT NOT NULL, partition INTEGER NOT NULL, low INTEGER NOT NULL, above BLOB NOT NULL,
    PRIMARY KEY (agent, topic, partition)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS dead (
    run_id TEXT NOT NULL UNIQUE, agent TEXT NOT NULL, tenant TEXT NOT NULL, place INTEGER NOT NULL,
    reason TEXT NOT NULL, attempts INTEGER NOT NULL, at_ms INTEGER NOT NULL
);
"""

# What format 2 adds to format 1. Each statement can run again on a file that has some of it.
ADDED_IN_2: tuple[str, ...] = (
    *timers.TABLES,
    *stream_rows.TABLES,
    *workers.TABLES,
    *permits.TABLES,
    *blobs.TABLES,
)
COLUMNS_IN_2: tuple[tuple[str, str, str], ...] = (
    ("value", "at_ms", "INTEGER NOT NULL DEFAULT 0"),
    *erasing.COLUMNS,
)  # (table, column, declaration with a default)


def connect(path: Path) -> sqlite3.Connection:
    """Open the file, and make its tables where they are missing; `Invalid` when it is no file of ours.

    Write-ahead log with a sync at each commit (synchronous=FULL): what was committed survives loss of power (C1).
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=5.0)
    except (OSError, sqlite3.OperationalError) as error:
        raise Refused(
            f"{path} cannot be opened ({error})", "check that the folder exists and may be written"
        ) from error
    try:
        is_new = _version(connection, path) == 0
        if is_new:
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # only possible before the first table
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA wal_autocheckpoint = {BACKSTOP_FRAMES}")
        connection.execute("PRAGMA cache_size = -32768")
        connection.execute("PRAGMA journal_size_limit = 67108864")
        connection.execute("PRAGMA busy_timeout = 5000")
        if is_new:
            connection.executescript(f"BEGIN IMMEDIATE; {_TABLES} PRAGMA application_id = {APPLICATION}; COMMIT;")
        _bring_up_to_date(connection)
    except sqlite3.DatabaseError as error:
        connection.close()
        raise translated(error, f"opening {path.name}") from error
    except Invalid:
        connection.close()
        raise
    return connection


def _version(connection: sqlite3.Connection, path: Path) -> int:
    """Return the file's format, 0 when it is empty; `Invalid` when it holds what is not ours, or of a newer format."""
    # One statement, so that nobody makes the tables between two looks.
    query = "SELECT * FROM pragma_application_id, pragma_user_version, (SELECT count(*) FROM sqlite_schema)"
    application, version, tables = connection.execute(query).fetchone()
    if (application, version, tables) == (0, 0, 0):
        return 0
    if application != APPLICATION:
        finding = Finding("(whole)", "is a file of another program", "choose another file")
        raise Invalid(str(path), (finding,))
    if version > FORMAT:
        hint = "open it with the version of penstock that wrote it, or choose another file"
        raise Invalid(str(path), (Finding("format", f"is {version}, this penstock knows {FORMAT}", hint),))
    return max(version, 1)


def _bring_up_to_date(connection: sqlite3.Connection) -> None:
    """Add what the newest format has, where it is missing, in one transaction."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        for table, column, declaration in COLUMNS_IN_2:
            columns = {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}
            if column not in columns:
                connection.execute(f"ALTER TABLE {table} ADD COLUMN {column} {declaration}")
        for statement in ADDED_IN_2:
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {FORMAT}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def is_taken(error: sqlite3.IntegrityError) -> bool:
    """Whether a row with the same key is there already."""
    return error.sqlite_errorcode in (sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY)


def translated(error: Exception, operation: str) -> Unavailable | Refused | Invalid:
    """Return the error of ours that says what a caller can do about one of SQLite's."""
    if isinstance(error, (*UNSTORABLE, sqlite3.ProgrammingError, sqlite3.InterfaceError)):  # also: the store is closed
        return Refused(f"sqlite cannot do {operation}: {error}", "mend what is written, or open the store again")
    match getattr(error, "sqlite_errorcode", 0) & 0xFF:
        case sqlite3.SQLITE_NOTADB | sqlite3.SQLITE_CORRUPT:
            return Invalid(
                "the store's file", (Finding(operation, str(error), "restore a backup, or choose another file"),)
            )
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_AUTH:
            return Refused(f"sqlite refused {operation}: {error}", "check the rights of the file and its folder")
        case sqlite3.SQLITE_TOOBIG:
            return Refused(f"sqlite refused {operation}: {error}", "send less at once")
        case sqlite3.SQLITE_CONSTRAINT | sqlite3.SQLITE_MISMATCH | sqlite3.SQLITE_RANGE | sqlite3.SQLITE_ERROR:
            return Refused(f"sqlite refused {operation}: {error}")
        case _:  # busy, full, an I/O error: what was being written is rolled back and can be written again
            return Unavailable("sqlite", operation, str(error))


def place_of(topic: int, partition: int, offset: int) -> int:
    """Return the row number of an event: topic, partition and offset, most significant first."""
    return (topic << (OFFSET_BITS + PARTITION_BITS)) | (partition << OFFSET_BITS) | offset


def parts_of(place: int) -> tuple[int, int, int]:
    """Return topic, partition and offset of a row number."""
    partition = (place >> OFFSET_BITS) & ((1 << PARTITION_BITS) - 1)
    return place >> (OFFSET_BITS + PARTITION_BITS), partition, place & ((1 << OFFSET_BITS) - 1)
