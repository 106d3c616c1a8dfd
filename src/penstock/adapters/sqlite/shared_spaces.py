"""What other processes wrote to a space: asked for before each search, where several share a file.

Each transaction that writes to a space has a number there, and what it touches is noted while noting goes on. So what is
lacking is read by its ids. Where noting was begun anew, or the parts are others, the space is opened anew.
"""

import sqlite3
from collections.abc import Sequence
from typing import NamedTuple

from penstock.adapters.sqlite import part_rows
from penstock.adapters.sqlite.passage_rows import space_number
from penstock.adapters.sqlite.sealing import OpenSpace
from penstock.core.knowledge.passages import Space


class Lacking(NamedTuple):
    """What a space in memory lacks: the ids that were touched, up to a transaction."""

    upto: int
    ids: Sequence[str] = ()


def lacking(connection: sqlite3.Connection, space: Space, known: OpenSpace) -> Lacking | None:
    """Return what a space lacks at one moment; None when it must be opened anew."""
    connection.execute("BEGIN")
    try:
        number = space_number(connection, space)
        if number != known.number:
            return None
        if number is None:
            return Lacking(known.upto)
        count = part_rows.count(connection, number)
        if count.number == known.upto:
            return Lacking(known.upto)
        if count.since != known.since or not count.noting:
            return None
        if part_rows.registered(connection, number) != known.registered:
            return None
        return Lacking(count.number, part_rows.touched(connection, number, known.upto))
    finally:
        connection.execute("COMMIT")


def noted(connection: sqlite3.Connection, number: int) -> None:
    """Have what is touched from now on be noted, within the caller's transaction."""
    if not part_rows.count(connection, number).noting:
        part_rows.begin(connection, number)
