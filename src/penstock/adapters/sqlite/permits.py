"""Permits as rows: how many each worker has of each name, and how many it wants."""

import sqlite3
from collections.abc import Sequence

from penstock.ports.permits import Holding, Wish

TABLES = (
    """CREATE TABLE IF NOT EXISTS permit (
        name TEXT NOT NULL, epoch INTEGER NOT NULL, held INTEGER NOT NULL, wanted INTEGER NOT NULL, PRIMARY KEY (name, epoch)
    ) WITHOUT ROWID""",
)
_OTHERS = """
SELECT coalesce(sum(held), 0), coalesce(sum(wanted > 0), 0), coalesce(sum(wanted > held), 0),
    coalesce(sum(wanted > 0 AND held = 0), 0)
FROM permit WHERE name = ? AND epoch <> ?
"""


def hold(connection: sqlite3.Connection, epoch: int, wishes: Sequence[Wish]) -> list[Holding]:
    """Set what a worker has of each name, as far as the others leave it. What ended claims held is free."""
    connection.execute("DELETE FROM permit WHERE epoch NOT IN (SELECT epoch FROM worker)")
    return [_held(connection, epoch, wish) for wish in wishes]


def _held(connection: sqlite3.Connection, epoch: int, wish: Wish) -> Holding:
    others_held, *others = connection.execute(_OTHERS, (wish.name, epoch)).fetchone()
    mine = max(0, min(wish.held, wish.limit - others_held))
    if mine or wish.wanted:
        connection.execute("INSERT OR REPLACE INTO permit VALUES (?, ?, ?, ?)", (wish.name, epoch, mine, wish.wanted))
    else:
        connection.execute("DELETE FROM permit WHERE name = ? AND epoch = ?", (wish.name, epoch))
    return Holding(wish.name, mine, *others)
