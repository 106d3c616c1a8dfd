"""Removing what is not needed any more from the file, a few rows at a time, within the caller's transaction.

Pages that become free are used again; when they are a good part of the file, some are given back to the disk (`shrink`).
"""

import sqlite3
from typing import Any

import msgspec

from penstock.adapters.sqlite.reading import last_offset
from penstock.adapters.sqlite.schema import parts_of, place_of
from penstock.core.agents.exposing import OF_RUNS
from penstock.core.agents.retention import RunRules
from penstock.core.events.codec import decode
from penstock.ports.blobs import Swept
from penstock.ports.retention import ENDED, OldEvents, Pruned

FREE_PARTS_MIN = 4  # a quarter of the file is free
PAGES_GIVEN_BACK = 256
# What follows an event has an id that begins with its own and a dot; its runs', with its own and a colon.
_NEEDED = """
SELECT EXISTS (SELECT 1 FROM dead WHERE run_id > :id || ':' AND run_id < :id || ';')
    OR EXISTS (SELECT 1 FROM event WHERE id > :id || '.' AND id < :id || '/')
"""
_RUNS = "SELECT id, agent, status, at_ms, tenant FROM run WHERE id > :id || ':' AND id < :id || ';'"


def prune_events(connection: sqlite3.Connection, old: OldEvents, after: int, limit: int) -> Pruned:
    row = connection.execute("SELECT id FROM topic WHERE name = ?", (old.topic,)).fetchone()
    if row is None:
        return Pruned()
    last = min(_done_by_all(connection, old), last_offset(connection, row[0], old.partition) - 1)
    query = "SELECT place, id, body FROM event WHERE place > ? AND place <= ? ORDER BY place LIMIT ?"
    bounds = (place_of(row[0], old.partition, after), place_of(row[0], old.partition, max(last, 0)), limit)
    rows = connection.execute(query, bounds).fetchall()
    removed, freed = 0, 0
    for place, event_id, body in rows:
        if decode(body).time_ms >= old.before_ms and parts_of(place)[2] > old.through:
            return Pruned(removed, freed)
        if _remove_event(connection, place, event_id, old.rules):
            removed, freed = removed + 1, freed + len(body)
    return Pruned(removed, freed, parts_of(rows[-1][0])[2] if len(rows) == limit else 0)


def prune_runs(connection: sqlite3.Connection, rules: RunRules, after: int, limit: int) -> Pruned:
    query = """
        SELECT rowid, id, agent, status, at_ms, length(records), tenant FROM run WHERE rowid > ? ORDER BY rowid LIMIT ?
    """
    rows = connection.execute(query, (after, limit)).fetchall()
    removed = 0
    for rowid, run_id, agent, status, at_ms, size, tenant in rows:
        if status not in ENDED or not rules.journal_may_go(agent, at_ms) or _is_dead(connection, run_id):
            continue
        removed += _remove_journal(connection, run_id)
        if rules.run_may_go(agent, at_ms) and not _has_event(connection, run_id):
            _remove_values(connection, run_id, tenant)
            connection.execute("DELETE FROM run WHERE rowid = ?", (rowid,))
            removed += 1
        elif size:
            connection.execute("UPDATE run SET records = x'' WHERE rowid = ?", (rowid,))
            removed += 1
    has_old = any(row[4] < rules.newest_ms for row in rows)
    return Pruned(removed, 0, rows[-1][0] if has_old and len(rows) == limit else 0)


def prune_sessions(connection: sqlite3.Connection, now_ms: int, after: bytes, limit: int) -> Swept:
    start = msgspec.msgpack.decode(after, type=tuple[str, str, int]) if after else ("", "", -1)
    query = """
        SELECT tenant, session, number, expires_ms, length(body) FROM session
        WHERE (tenant, session, number) > (?, ?, ?) ORDER BY tenant, session, number LIMIT ?
    """
    rows = connection.execute(query, (*start, limit)).fetchall()
    old = [row for row in rows if row[3] <= now_ms]
    delete = "DELETE FROM session WHERE tenant = ? AND session = ? AND number = ?"
    connection.executemany(delete, [row[:3] for row in old])
    token = msgspec.msgpack.encode(rows[-1][:3]) if len(rows) == limit else b""
    return Swept(len(old), sum(row[4] for row in old), token)


def shrink(connection: sqlite3.Connection) -> None:
    """Give some pages back when many are free. A file that was made before this was possible keeps its size."""
    free = connection.execute("PRAGMA freelist_count").fetchone()[0]
    if free * FREE_PARTS_MIN > connection.execute("PRAGMA page_count").fetchone()[0]:
        connection.execute(f"PRAGMA incremental_vacuum({PAGES_GIVEN_BACK})").fetchall()


def _done_by_all(connection: sqlite3.Connection, old: OldEvents) -> int:
    query = "SELECT low FROM progress WHERE agent = ? AND topic = ? AND partition = ?"
    lows: list[Any] = [
        connection.execute(query, (agent, old.topic, old.partition)).fetchone() or (0,) for agent in old.agents
    ]
    return min((row[0] for row in lows), default=1 << 62)


def _remove_event(connection: sqlite3.Connection, place: int, event_id: str, rules: RunRules) -> bool:
    if connection.execute(_NEEDED, {"id": event_id}).fetchone()[0]:
        return False
    runs = connection.execute(_RUNS, {"id": event_id}).fetchall()
    if not all(status in ENDED and rules.run_may_go(agent, at_ms) for _, agent, status, at_ms, _ in runs):
        return False
    for run_id, *_, tenant in runs:
        _remove_journal(connection, run_id)
        _remove_values(connection, run_id, tenant)
        connection.execute("DELETE FROM run WHERE id = ?", (run_id,))
    connection.execute("DELETE FROM event WHERE place = ?", (place,))
    return True


def _remove_journal(connection: sqlite3.Connection, run_id: str) -> int:
    removed = connection.execute("DELETE FROM journal WHERE run_id = ?", (run_id,)).rowcount
    return removed + connection.execute("DELETE FROM stream WHERE run_id = ?", (run_id,)).rowcount


def _remove_values(connection: sqlite3.Connection, run_id: str, tenant: str) -> None:
    query = "DELETE FROM value WHERE tenant = ? AND agent = ? AND key = ?"
    connection.executemany(query, [(tenant, owner, run_id) for owner in OF_RUNS])


def _is_dead(connection: sqlite3.Connection, run_id: str) -> bool:
    return connection.execute("SELECT 1 FROM dead WHERE run_id = ?", (run_id,)).fetchone() is not None


def _has_event(connection: sqlite3.Connection, run_id: str) -> bool:
    query = "SELECT 1 FROM event WHERE id = ?"
    return connection.execute(query, (run_id.rpartition(":")[0],)).fetchone() is not None
