"""The truth of the HNSW store: passages, vectors and facts in one SQLite file, which one process has at a time.

- A row gets a new key each time it is written, so a graph that was saved earlier is caught up by comparing keys.
- Filters are conditions on two tables of facts, so what they let through is exact.
- Ids and tenants are bytes: SQLite would cut a text at a zero byte.
"""

import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from penstock.core.knowledge.passages import Passage
from penstock.core.knowledge.places import Place
from penstock.core.knowledge.plain_filters import Compares, Every, Plain, Says, Some, facts_of
from penstock.core.knowledge.sealed_form import rounded, widened
from penstock.errors import Refused, Unavailable

Keys = NDArray[np.int64]
Vector = NDArray[np.float32] | None
LOCK_S = 2.0
AT_ONCE = 900  # arguments of one statement
_TABLES = """
CREATE TABLE IF NOT EXISTS place (number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS passage (
    key INTEGER PRIMARY KEY AUTOINCREMENT, place INTEGER NOT NULL, tenant BLOB NOT NULL, id BLOB NOT NULL, body BLOB NOT NULL,
    digest TEXT NOT NULL, vector BLOB, UNIQUE (place, tenant, id)
);
CREATE TABLE IF NOT EXISTS token (token TEXT NOT NULL, key INTEGER NOT NULL, PRIMARY KEY (token, key)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS number (
    name TEXT NOT NULL, value REAL NOT NULL, key INTEGER NOT NULL, PRIMARY KEY (name, value, key)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS token_of ON token (key);
CREATE INDEX IF NOT EXISTS number_of ON number (key);
"""
_MINE = "place = (SELECT number FROM place WHERE name = ?) AND tenant = ?"
_OPERATORS = {"gte": ">=", "gt": ">", "lte": "<=", "lt": "<"}
_body = msgspec.msgpack.Decoder(tuple[str, dict[str, str]])


class Rows:
    """One file. Not for several threads at once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection = sqlite3.connect(path, timeout=LOCK_S, check_same_thread=False, isolation_level=None)
        try:
            for pragma in ("locking_mode = EXCLUSIVE", "journal_mode = WAL", "synchronous = FULL"):
                self._connection.execute(f"PRAGMA {pragma}")
            self._connection.executescript(f"BEGIN IMMEDIATE; {_TABLES} COMMIT")
        except sqlite3.Error as error:
            self._connection.close()
            raise translated(error, path, "opening") from error

    def close(self) -> None:
        self._connection.close()

    def names(self) -> list[str]:
        return [name for (name,) in self._ask("SELECT name FROM place")]

    def make(self, at: Place) -> None:
        self._ask("INSERT OR IGNORE INTO place (name) VALUES (?)", at.name)

    def has(self, at: Place) -> bool:
        return bool(self._ask("SELECT 1 FROM place WHERE name = ?", at.name))

    def drop(self, at: Place) -> None:
        with Writing(self._connection, self._path):
            keys = [
                key
                for (key,) in self._ask("SELECT key FROM passage JOIN place ON number = place WHERE name = ?", at.name)
            ]
            self._remove(keys)
            self._ask("DELETE FROM place WHERE name = ?", at.name)

    def put(self, at: Place, tenant: str, rows: Sequence[tuple[Passage, Vector]]) -> tuple[list[int], list[int]]:
        """Write rows in one transaction; return the keys that are gone, and the new ones in the order of the rows."""
        with Writing(self._connection, self._path):
            (number,) = self._ask("SELECT number FROM place WHERE name = ?", at.name)[0]
            gone = self.keys_of(at, tenant, [passage.id for passage, _ in rows])
            self._remove(gone)
            return gone, [self._insert(number, tenant, passage, vector) for passage, vector in rows]

    def remove(self, at: Place, tenant: str, ids: Sequence[str]) -> list[int]:
        with Writing(self._connection, self._path):
            gone = self.keys_of(at, tenant, ids)
            self._remove(gone)
        return gone

    def keys_of(self, at: Place, tenant: str, ids: Sequence[str]) -> list[int]:
        return [key for (key,) in self._of_ids("key", at, tenant, ids)]

    def read(self, at: Place, tenant: str, ids: Sequence[str]) -> list[Passage]:
        found = self._of_ids("id, body", at, tenant, ids)
        return [Passage(bytes(key).decode(), *_body.decode(body)) for key, body in found]

    def vectors_of(self, at: Place, tenant: str, ids: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        found = self._of_ids("id, vector", at, tenant, ids)
        return {bytes(key).decode(): _vector(vector) for key, vector in found if vector is not None}

    def page(self, at: Place, tenant: str, after: str, limit: int) -> list[tuple[str, str]]:
        statement = f"SELECT id, digest FROM passage WHERE {_MINE} AND id > ? ORDER BY id LIMIT ?"  # noqa: S608 - nothing of a caller's
        found = self._ask(statement, at.name, _bytes(tenant), bytes.fromhex(after), limit)
        return [(bytes(key).decode(), digest) for key, digest in found]

    def tenants(self, at: Place) -> list[str]:
        found = self._ask("SELECT DISTINCT tenant FROM passage JOIN place ON number = place WHERE name = ?", at.name)
        return [bytes(tenant).decode() for (tenant,) in found]

    def keys(self, at: Place, tenant: str, plain: Plain | None = None) -> Keys:
        """The keys of a tenant's rows that a filter lets through, in order."""
        arguments: list[Any] = [at.name, _bytes(tenant)]
        condition = "" if plain is None else f" AND {_condition(plain, arguments)}"
        found = self._ask(f"SELECT key FROM passage WHERE {_MINE}{condition} ORDER BY key", *arguments)  # noqa: S608 - arguments
        return np.fromiter((key for (key,) in found), np.int64, len(found))

    def vectors(self, keys: Keys) -> tuple[Keys, NDArray[np.float32]]:
        """The vectors of those keys that are there."""
        found = self._of_keys("key, vector", keys)
        if not found:
            return np.empty(0, np.int64), np.empty((0, 0), np.float32)
        exact = np.frombuffer(b"".join(vector for _, vector in found), np.int16).reshape(len(found), -1)
        return np.fromiter((key for key, _ in found), np.int64, len(found)), widened(exact)

    def named(self, keys: Keys) -> dict[int, tuple[str, dict[str, str]]]:
        """The id and the metadata of each key."""
        found = self._of_keys("key, id, body", keys)
        return {key: (bytes(name).decode(), _body.decode(body)[1]) for key, name, body in found}

    def _insert(self, number: int, tenant: str, passage: Passage, vector: Vector) -> int:
        body = msgspec.msgpack.encode((passage.text, passage.metadata))
        stored = None if vector is None else rounded(vector).tobytes()
        statement = (
            "INSERT INTO passage (place, tenant, id, body, digest, vector) VALUES (?, ?, ?, ?, ?, ?) RETURNING key"
        )
        ((key,),) = self._ask(statement, number, _bytes(tenant), _bytes(passage.id), body, passage.digest, stored)
        facts = facts_of(passage.metadata)
        self._connection.executemany(
            "INSERT OR IGNORE INTO token VALUES (?, ?)", [(each, key) for each in facts.tokens]
        )
        numbers = [(name, value, key) for name, value in facts.numbers.items()]
        self._connection.executemany("INSERT INTO number VALUES (?, ?, ?)", numbers)
        return int(key)

    def _remove(self, keys: Sequence[int]) -> None:
        for table in ("passage", "token", "number"):
            self._connection.executemany(f"DELETE FROM {table} WHERE key = ?", [(key,) for key in keys])  # noqa: S608 - of the line above

    def _of_ids(self, what: str, at: Place, tenant: str, ids: Sequence[str]) -> list[Any]:
        found: list[Any] = []
        for start in range(0, len(ids), AT_ONCE):
            some = [_bytes(each) for each in ids[start : start + AT_ONCE]]
            statement = f"SELECT {what} FROM passage WHERE {_MINE} AND id IN ({_marks(some)})"  # noqa: S608 - marks
            found += self._ask(statement, at.name, _bytes(tenant), *some)
        return found

    def _of_keys(self, what: str, keys: Keys) -> list[Any]:
        found: list[Any] = []
        for start in range(0, len(keys), AT_ONCE):
            some = keys[start : start + AT_ONCE].tolist()
            statement = f"SELECT {what} FROM passage WHERE key IN ({_marks(some)}) AND vector IS NOT NULL"  # noqa: S608 - marks
            found += self._ask(statement, *some)
        return found

    def _ask(self, statement: str, *arguments: Any) -> list[Any]:
        try:
            return self._connection.execute(statement, arguments).fetchall()
        except sqlite3.Error as error:
            raise translated(error, self._path, "asking") from error


class Writing:
    """A transaction: all of it, or nothing."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path

    def __enter__(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            with suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")
            return
        try:
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            with suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")
            raise translated(error, self._path, "writing passages") from error


def translated(error: sqlite3.Error, path: Path, operation: str) -> Unavailable | Refused:
    """Return the error of ours that says what a caller can do."""
    where = f"the vectors in {path} (the setting `vectors`)"
    if "locked" in str(error):
        return Refused(f"{where} are another process's", "one process at a time has them; end the other one")
    if isinstance(error, sqlite3.OperationalError):
        return Unavailable(where, operation, str(error))
    return Refused(f"{where} cannot be used: {error}", "remove the folder and rebuild: penstock knowledge rebuild")


def _condition(plain: Plain, arguments: list[Any]) -> str:
    match plain:
        case Says(tokens, yes):
            arguments += tokens
            return f"key {'' if yes else 'NOT '}IN (SELECT key FROM token WHERE token IN ({_marks(tokens)}))"  # noqa: S608 - marks
        case Compares(name, operator, value):
            arguments += (name, value)
            return f"key IN (SELECT key FROM number WHERE name = ? AND value {_OPERATORS[operator]} ?)"  # noqa: S608 - of a table
        case Every(parts):
            return f"({' AND '.join(_condition(each, arguments) for each in parts)})"
        case Some(parts):
            return f"({' OR '.join(_condition(each, arguments) for each in parts)})"


def _marks(some: Sequence[Any]) -> str:
    return ", ".join("?" * len(some))


def _vector(stored: bytes) -> NDArray[np.float32]:
    return widened(np.frombuffer(stored, np.int16))


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogatepass")
