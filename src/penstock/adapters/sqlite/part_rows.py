"""Which parts of a space are sealed, and what was written since: SQL only, no transaction of its own.

- Each transaction that writes to a space has a number there. What it touched is noted in `passage_recent` when the space has
  parts, or is about to.
- `noting` counts how often noting was begun: 1 and more while it goes on, the same below 0 since it ended.
- A part is registered with what is dead in it and the others then. Only after that, and little by little, notes go of what it
  holds. Opening maps the parts, and reads again what is noted: nothing that was committed can be missing, whenever the process
  died.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from penstock.adapters.sqlite.many import ROWS, at_once

TABLES = (
    """CREATE TABLE IF NOT EXISTS passage_sealing (
    space INTEGER PRIMARY KEY, number INTEGER NOT NULL, noting INTEGER NOT NULL
)""",
    """CREATE TABLE IF NOT EXISTS passage_part (
    space INTEGER NOT NULL, place INTEGER NOT NULL, name TEXT NOT NULL, rows INTEGER NOT NULL, dead BLOB NOT NULL,
    PRIMARY KEY (space, place)
) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS passage_recent (
    space INTEGER NOT NULL, id TEXT NOT NULL, number INTEGER NOT NULL, PRIMARY KEY (space, id)
) WITHOUT ROWID""",
)
_NOTE = f"""
INSERT INTO passage_recent VALUES {ROWS} ON CONFLICT (space, id) DO UPDATE SET number = excluded.number
"""  # noqa: S608 - question marks
_COUNT = """
INSERT INTO passage_sealing VALUES (?, 1, 0) ON CONFLICT (space) DO UPDATE SET number = number + 1 RETURNING number, noting
"""
_BEGIN = """
INSERT INTO passage_sealing VALUES (?, 0, 1)
ON CONFLICT (space) DO UPDATE SET noting = CASE WHEN noting > 0 THEN noting ELSE 1 - noting END RETURNING number
"""
_BY_NUMBER = "CREATE INDEX IF NOT EXISTS passage_recent_number ON passage_recent (space, number)"
_IDS_AT_ONCE = 2_000
_UNNOTED_AT_ONCE = 1_000  # by one transaction: others wait for it


class PartRow(NamedTuple):
    """A part of a space, and which of its rows are dead."""

    name: str
    dead: NDArray[np.bool_]


class Count(NamedTuple):
    """The number of the last transaction that wrote to a space, and whether what is touched is noted: since which beginning."""

    number: int
    noting: bool
    since: int = 0


NOTHING_WRITTEN = Count(0, noting=False)


def note(connection: sqlite3.Connection, space: int, ids: Iterable[str]) -> int:
    """Count a transaction, and note what it touches if that is wanted. Return its number."""
    number, noting = connection.execute(_COUNT, (space,)).fetchone()
    if noting > 0:
        at_once(connection, _NOTE, [(space, each, number) for each in ids])
    return int(number)


def begin(connection: sqlite3.Connection, space: int) -> int:
    """From now on note what is touched. Return the number of the last transaction."""
    return int(connection.execute(_BEGIN, (space,)).fetchone()[0])


def count(connection: sqlite3.Connection, space: int) -> Count:
    """How far a space has come."""
    row = connection.execute("SELECT number, noting FROM passage_sealing WHERE space = ?", (space,)).fetchone()
    return NOTHING_WRITTEN if row is None else Count(int(row[0]), row[1] > 0, int(row[1]))


def parts(connection: sqlite3.Connection, space: int) -> list[PartRow]:
    """The registered parts, oldest first."""
    rows = connection.execute("SELECT name, rows, dead FROM passage_part WHERE space = ? ORDER BY place", (space,))
    return [PartRow(name, _unpacked(dead, size)) for name, size, dead in rows]


def names(connection: sqlite3.Connection) -> set[str]:
    """The names of all parts of all spaces."""
    return {name for (name,) in connection.execute("SELECT name FROM passage_part")}


def register(connection: sqlite3.Connection, space: int, registered: Sequence[PartRow]) -> None:
    """Put these parts in the place of those before. What is noted of what they hold can go then: `unnote`."""
    connection.execute("DELETE FROM passage_part WHERE space = ?", (space,))
    rows = [
        (space, place, part.name, len(part.dead), np.packbits(part.dead).tobytes())
        for place, part in enumerate(registered)
    ]
    connection.executemany("INSERT INTO passage_part VALUES (?, ?, ?, ?, ?)", rows)


def unnote(connection: sqlite3.Connection, space: int, *, upto: int, after: str | None) -> str | None:
    """Remove notes of what transactions up to `upto` touched, which parts hold: of some ids that follow `after`.

    Return the last of these ids, None when that was all. What is not removed yet is read once more when the space is opened.
    """
    first = ">=" if after is None else ">"
    stretch = f"SELECT id FROM passage_recent WHERE space = ? AND id {first} ? ORDER BY id LIMIT 1 OFFSET ?"  # noqa: S608
    row = connection.execute(stretch, (space, after or "", _UNNOTED_AT_ONCE - 1)).fetchone()
    last: str | None = None if row is None else row[0]
    gone = f"DELETE FROM passage_recent WHERE space = ? AND number <= ? AND id {first} ?"  # noqa: S608
    if last is None:
        connection.execute(gone, (space, upto, after or ""))
    else:
        connection.execute(f"{gone} AND id <= ?", (space, upto, after or "", last))
    return last


def forget(connection: sqlite3.Connection, space: int) -> None:
    """Have no parts any more: the rows are read instead, and sealed anew."""
    connection.execute("DELETE FROM passage_part WHERE space = ?", (space,))
    connection.execute("DELETE FROM passage_recent WHERE space = ?", (space,))
    connection.execute("UPDATE passage_sealing SET noting = -abs(noting) WHERE space = ?", (space,))


def drop(connection: sqlite3.Connection, space: int) -> list[str]:
    """Remove all that is known of a space, and return the names of its parts."""
    gone = [part.name for part in parts(connection, space)]
    forget(connection, space)
    connection.execute("DELETE FROM passage_sealing WHERE space = ?", (space,))
    return gone


def share(connection: sqlite3.Connection) -> None:
    """Have what was touched since a number be found at once, as processes ask that share a file."""
    connection.execute(_BY_NUMBER)


def registered(connection: sqlite3.Connection, space: int) -> list[str]:
    """The names of a space's parts, oldest first."""
    rows = connection.execute("SELECT name FROM passage_part WHERE space = ? ORDER BY place", (space,))
    return [name for (name,) in rows]


def touched(connection: sqlite3.Connection, space: int, after: int) -> list[str]:
    """The ids that later transactions than that touched."""
    rows = connection.execute("SELECT id FROM passage_recent WHERE space = ? AND number > ?", (space, after))
    return [each for (each,) in rows]


def recent(connection: sqlite3.Connection, space: int) -> Iterator[list[str]]:
    """The ids that were touched since, in pages."""
    after: str | None = None
    while True:
        query = f"SELECT id FROM passage_recent WHERE space = ? AND id {'>=' if after is None else '>'} ? ORDER BY id LIMIT ?"  # noqa: S608
        page = [each for (each,) in connection.execute(query, (space, after or "", _IDS_AT_ONCE))]
        if page:
            yield page
        if len(page) < _IDS_AT_ONCE:
            return
        after = page[-1]


def _unpacked(dead: bytes, size: int) -> NDArray[np.bool_]:
    return np.unpackbits(np.frombuffer(dead, np.uint8), count=size).astype(np.bool_)
