"""Many rows by few statements.

Whoever runs a statement gives the interpreter up for each of its steps, and then waits for it among busy threads: row by row
that takes longer than the rows. A statement of many rows is one step.
"""

import sqlite3
from collections.abc import Sequence
from itertools import chain
from typing import Any, Final

ROWS: Final = "{rows}"  # what stands in a statement for its rows
_SIZES: Final = (128, 16, 4, 1)  # rows of a statement: few sizes, so that each is prepared once


def at_once(connection: sqlite3.Connection, statement: str, rows: Sequence[Sequence[Any]]) -> list[Any]:
    """Run a statement on rows, which all have as many columns, in their order; return what it finds."""
    found: list[Any] = []
    start = 0
    for size in _SIZES:
        while len(rows) - start >= size:
            some = rows[start : start + size]
            marks = f"({','.join('?' * len(some[0]))})"
            query = statement.replace(ROWS, ",".join([marks] * size))
            found += connection.execute(query, list(chain.from_iterable(some)))
            start += size
    return found
