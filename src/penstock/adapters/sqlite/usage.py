"""What takes space in the file."""

import sqlite3
from contextlib import closing
from pathlib import Path

from penstock.adapters.sqlite.schema import place_of, translated
from penstock.core.agents.usage import Usage, Used
from penstock.core.events.codec import decode

_RUNS = """
SELECT agent, count(*), sum(length(id) + length(key) + length(reason) + length(result) + length(records)),
    min(at_ms), max(at_ms) FROM run GROUP BY agent ORDER BY agent
"""
_OTHERS = {
    "journals": "SELECT count(*), sum(length(body)) FROM journal",
    "streams": "SELECT count(*), sum(length(body)) FROM stream",
    "sessions": "SELECT count(*), sum(length(body)) FROM session",
    "values": "SELECT count(*), sum(length(body)) FROM value",
    "blobs": "SELECT count(*), sum(length(body)) FROM blob",
    "timers": "SELECT count(*), sum(length(body)) FROM timer",
    "dead letters": "SELECT count(*), sum(length(reason)) FROM dead",
}


def usage_beside(path: Path) -> Usage:
    """Return what takes space in a file, by a connection of one's own."""
    try:
        with closing(sqlite3.connect(path, timeout=5.0)) as connection:
            return usage(connection, path)
    except sqlite3.Error as error:
        raise translated(error, "usage") from error


def usage(connection: sqlite3.Connection, path: Path) -> Usage:
    """Return the bytes of what is stored, without those of indexes; each table is read once."""
    parts = [_topic(connection, number, name) for number, name in connection.execute("SELECT id, name FROM topic")]
    parts += [Used("runs", *row) for row in connection.execute(_RUNS)]
    for kind, query in _OTHERS.items():
        rows, size = connection.execute(query).fetchone()
        parts.append(Used(kind, "", rows, size or 0))
    pages, free, size = (
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
    )
    log = path.with_name(f"{path.name}-wal")
    used = sorted((each for each in parts if each.rows), key=lambda each: -each.bytes_used)
    return Usage(used, pages * size, free * size, log.stat().st_size if log.exists() else 0)


def _topic(connection: sqlite3.Connection, number: int, name: str) -> Used:
    bounds = (place_of(number, 0, 0), place_of(number + 1, 0, 0))
    within = "FROM event WHERE place > ? AND place < ?"
    rows, size = connection.execute(f"SELECT count(*), sum(length(id) + length(body)) {within}", bounds).fetchone()
    ends = [
        decode(body).time_ms
        for order in ("ASC", "DESC")
        for (body,) in connection.execute(f"SELECT body {within} ORDER BY place {order} LIMIT 1", bounds)
    ]
    return Used("events", name, rows, size or 0, *ends)
