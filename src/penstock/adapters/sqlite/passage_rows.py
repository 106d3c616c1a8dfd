"""The tables of the passages: SQL only, no transaction of its own, nothing in memory.

- Vectors are stored as float32 at length 1, exactly as a segment holds them: a reopened file gives the same
  scores to the last bit, and opening it copies bytes. Half the space (float16) would cost both.
- Terms are stored as keys and counts, with the number of the analysis that made them; rows of another
  analysis are analysed again when they are read.
- A space has vectors of one length, that of its first: the row in `passage_space` holds it.
"""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from penstock.adapters.sqlite import part_rows
from penstock.adapters.sqlite.many import ROWS, at_once
from penstock.core.knowledge.documents import prefix_of
from penstock.core.knowledge.passages import IndexWrite, Passage, Row, Space, Upsert
from penstock.core.knowledge.rows import (
    VECTOR_TYPE,
    Changes,
    analysed,
    last_writes,
    other_length,
    packed_terms,
    require_rows,
)
from penstock.core.knowledge.words import ANALYSIS

_TABLES = (
    """CREATE TABLE IF NOT EXISTS passage_space (
    number INTEGER PRIMARY KEY, tenant TEXT NOT NULL, collection TEXT NOT NULL, generation INTEGER NOT NULL,
    dims INTEGER, UNIQUE (tenant, collection, generation)
)""",
    """CREATE TABLE IF NOT EXISTS passage (
    space INTEGER NOT NULL, id TEXT NOT NULL, digest TEXT NOT NULL, text TEXT NOT NULL, metadata BLOB NOT NULL,
    vector BLOB, keys BLOB NOT NULL, counts BLOB NOT NULL, analysis INTEGER NOT NULL
)""",
    "CREATE UNIQUE INDEX IF NOT EXISTS passage_id ON passage (space, id)",
)
_SPACE = "SELECT number, dims FROM passage_space WHERE tenant = ? AND collection = ? AND generation = ?"
_UPSERT = f"""
INSERT INTO passage VALUES {ROWS}
ON CONFLICT (space, id) DO UPDATE SET digest = excluded.digest, text = excluded.text, metadata = excluded.metadata,
    vector = excluded.vector, keys = excluded.keys, counts = excluded.counts, analysis = excluded.analysis
"""  # noqa: S608 - question marks
_COLUMNS = "SELECT id, keys, counts, vector, metadata, CASE WHEN analysis = ? THEN NULL ELSE text END FROM passage"
_FIRST_PAGE, _NEXT_PAGE = (f"{_COLUMNS} WHERE space = ? AND id {each} ? ORDER BY id LIMIT ?" for each in (">=", ">"))
_PARTS = """
SELECT id, digest FROM passage WHERE space = ? AND id = ?
UNION SELECT id, digest FROM passage WHERE space = ? AND id >= ? AND id < ?
"""
_IDS_AT_ONCE = 500

_metadata = msgspec.json.Decoder(dict[str, str])


@dataclass(frozen=True, slots=True)
class PreparedWrites:
    """What a transaction wrote, ready for the layers of each space; and its number there."""

    changes: Mapping[Space, Changes]
    numbers: Mapping[Space, int]


def create_tables(connection: sqlite3.Connection) -> None:
    """Make the tables where they are missing, within the caller's transaction or each by itself."""
    for statement in (*_TABLES, *part_rows.TABLES):
        connection.execute(statement)


def write(connection: sqlite3.Connection, writes: Sequence[IndexWrite]) -> PreparedWrites:
    """Write within the caller's transaction, and analyse the texts.

    Raises `Invalid` for a vector or text that is none, `Refused` for a vector of another length than the
    space's: the caller must then roll back.
    """
    changes: dict[Space, Changes] = {}
    numbers: dict[Space, int] = {}
    for space, last in last_writes(writes).items():
        changes[space] = _write(connection, space, last)
        known = space_number(connection, space)
        numbers[space] = 0 if known is None else part_rows.note(connection, known, last)
    return PreparedWrites(changes, numbers)


def require(connection: sqlite3.Connection, writes: Sequence[IndexWrite]) -> None:
    """Raise what `write` would raise for what the writes say."""
    for space, last in last_writes(writes).items():
        known = _known(connection, space)
        require_rows(last, None if known is None else known[1])


def page(connection: sqlite3.Connection, space: Space, *, after: str | None, limit: int) -> list[Row]:
    """The next rows of a space, by id."""
    known = _known(connection, space)
    if known is None:
        return []
    query = _FIRST_PAGE if after is None else _NEXT_PAGE
    return _rows(connection.execute(query, (ANALYSIS, known[0], after or "", limit)))


def page_of(connection: sqlite3.Connection, number: int, ids: Sequence[str]) -> dict[str, Row | None]:
    """The rows of some ids in the space of that number, none for those that are not there."""
    changes: dict[str, Row | None] = dict.fromkeys(ids)
    for start in range(0, len(ids), _IDS_AT_ONCE):
        some = ids[start : start + _IDS_AT_ONCE]
        query = f"{_COLUMNS} WHERE space = ? AND id IN ({','.join('?' * len(some))})"
        changes.update((row.id, row) for row in _rows(connection.execute(query, (ANALYSIS, number, *some))))
    return changes


def space_number(connection: sqlite3.Connection, space: Space) -> int | None:
    """The number of a space, once anything was put into it."""
    known = _known(connection, space)
    return None if known is None else known[0]


def passages(connection: sqlite3.Connection, space: Space, ids: Sequence[str]) -> dict[str, Passage]:
    """The passages that exist among `ids`."""
    known = _known(connection, space)
    found: dict[str, Passage] = {}
    if known is None:
        return found
    for start in range(0, len(ids), _IDS_AT_ONCE):
        some = ids[start : start + _IDS_AT_ONCE]
        query = f"SELECT id, text, metadata FROM passage WHERE space = ? AND id IN ({','.join('?' * len(some))})"  # noqa: S608 - question marks only
        for key, text, metadata in connection.execute(query, (known[0], *some)):
            found[key] = Passage(key, text, _metadata.decode(metadata))
    return found


def digests(connection: sqlite3.Connection, space: Space) -> dict[str, str]:
    """Id -> digest of every passage in the space."""
    known = _known(connection, space)
    if known is None:
        return {}
    return dict(connection.execute("SELECT id, digest FROM passage WHERE space = ?", known[:1]).fetchall())


def spaces(connection: sqlite3.Connection, collection: str) -> list[Space]:
    """The spaces of a collection that have passages."""
    query = (
        "SELECT tenant, generation FROM passage_space WHERE collection = ? "
        "AND EXISTS (SELECT 1 FROM passage WHERE space = number) ORDER BY number"
    )
    return [Space(collection, tenant, generation) for tenant, generation in connection.execute(query, (collection,))]


@dataclass(frozen=True, slots=True)
class Cleared:
    """Which passages were removed; if none are left, which parts are of no use any more."""

    ids: Sequence[str] = ()
    number: int = 0
    is_empty: bool = True
    parts: Sequence[str] = ()


def clear(connection: sqlite3.Connection, space: Space, limit: int) -> Cleared:
    """Remove some passages of a space within the caller's transaction."""
    known = _known(connection, space)
    if known is None:
        return Cleared()
    some = "SELECT rowid FROM passage WHERE space = ? LIMIT ?"
    query = f"DELETE FROM passage WHERE rowid IN ({some}) RETURNING id"  # noqa: S608 - nothing of a caller's
    gone = [row[0] for row in connection.execute(query, (known[0], limit)).fetchall()]
    if len(gone) < limit:  # its vectors may be of another length when it is used again
        connection.execute("DELETE FROM passage_space WHERE number = ?", known[:1])
        return Cleared(gone, parts=part_rows.drop(connection, known[0]))
    return Cleared(gone, part_rows.note(connection, known[0], gone), is_empty=False)


def parts(connection: sqlite3.Connection, space: Space, documents: Sequence[str]) -> dict[str, dict[str, str]]:
    """Document -> id of passage -> digest."""
    known = _known(connection, space)
    found: dict[str, dict[str, str]] = {}
    if known is None:
        return found
    for document in documents:
        prefix = prefix_of(document)
        # "$" follows "#" in the order of the ids, which is that of their bytes.
        rows = connection.execute(_PARTS, (known[0], prefix[:-1], known[0], prefix, prefix[:-1] + "$")).fetchall()
        if rows:
            found[document] = dict(rows)
    return found


def _write(connection: sqlite3.Connection, space: Space, last: Mapping[str, IndexWrite]) -> dict[str, Row | None]:
    upserts = [write for write in last.values() if isinstance(write, Upsert)]
    rows = [write.row or analysed(write.passage, write.vector) for write in upserts]
    changes: dict[str, Row | None] = dict.fromkeys(last)
    changes.update((row.id, row) for row in rows)
    if not rows and _known(connection, space) is None:
        return changes
    number = _space(connection, space, rows)
    deleted = [(number, gone) for gone, row in changes.items() if row is None]
    connection.executemany("DELETE FROM passage WHERE space = ? AND id = ?", deleted)
    values = [_values(number, write.passage, row) for write, row in zip(upserts, rows, strict=True)]
    at_once(connection, _UPSERT, values)
    return changes


def _rows(found: Iterable[tuple[str, bytes, bytes, bytes | None, bytes, str | None]]) -> list[Row]:
    rows: list[Row] = []
    for key, keys, counts, vector, stored, text in found:
        metadata = _metadata.decode(stored)
        packed = (keys, counts) if text is None else packed_terms(text, metadata)
        rows.append(Row(key, *packed, vector, metadata))
    return rows


def _values(space: int, passage: Passage, row: Row) -> tuple[object, ...]:
    metadata = msgspec.json.encode(passage.metadata)
    return space, row.id, passage.digest, passage.text, metadata, row.vector, row.keys, row.counts, ANALYSIS


def _known(connection: sqlite3.Connection, space: Space) -> tuple[int, int | None] | None:
    return connection.execute(_SPACE, (space.tenant, space.collection, space.generation)).fetchone()


def _space(connection: sqlite3.Connection, space: Space, rows: Sequence[Row]) -> int:
    known = _known(connection, space)
    if known is None:
        insert = "INSERT INTO passage_space (tenant, collection, generation) VALUES (?, ?, ?) RETURNING number"
        key = (space.tenant, space.collection, space.generation)
        known = (int(connection.execute(insert, key).fetchone()[0]), None)
    number, expected = known
    for dims in (len(row.vector) // VECTOR_TYPE.itemsize for row in rows if row.vector is not None):
        if expected is None:
            connection.execute("UPDATE passage_space SET dims = ? WHERE number = ?", (dims, number))
            expected = dims
        elif dims != expected:
            raise other_length(dims, expected)
    return number
