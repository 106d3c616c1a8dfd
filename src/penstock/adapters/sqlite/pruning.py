"""Removing what is not needed any more from the file, a few rows at a time, within the caller's transaction.

Pages that become free are used again; when they are a good part of the file, some are given back to the disk (`shrink`).
"""

import sqlite3
from collections.abc import Mapping
from typing import Any

import msgspec

from penstock.adapters.sqlite.reading import last_offset
from penstock.adapters.sqlite.schema import parts_of, place_of
from penstock.core.agents.exposing import OF_RUNS
from penstock.core.agents.retention import RunRules
from penstock.core.events.codec import decode
from penstock.ports.blobs import Swept
from penstock.ports.retention import ENDED, EndedRun, Found, How, OldEvents, Pruned

FREE_PARTS_MIN = 4  # a quarter of the file is free
PAGES_GIVEN_BACK = 256
# What follows an event has an id that begins with its own and a dot; its runs', with its own and a colon.
_NEEDED = "SELECT EXISTS (SELECT 1 FROM dead WHERE run_id > :id || ':' AND run_id < :id || ';')"
_FOLLOWED = "SELECT EXISTS (SELECT 1 FROM event WHERE id > :id || '.' AND id < :id || '/')"
_FOLLOWERS = "SELECT count(*) FROM event WHERE id > :id || '.' AND id < :id || '/'"
_JOURNAL = """
SELECT count(*), coalesce(sum(size), 0) FROM (
    SELECT length(body) AS size FROM journal WHERE run_id = :id
    UNION ALL SELECT length(body) FROM stream WHERE run_id = :id
)
"""
_RUNS = "SELECT id, agent, status, at_ms, tenant FROM run WHERE id > :id || ':' AND id < :id || ';'"


def prune_events(connection: sqlite3.Connection, old: OldEvents, after: int, limit: int, how: How) -> Pruned:
    row = connection.execute("SELECT id FROM topic WHERE name = ?", (old.topic,)).fetchone()
    if row is None:
        return Pruned()
    last = min(_done_by_all(connection, old), last_offset(connection, row[0], old.partition) - 1)
    query = "SELECT place, id, body FROM event WHERE place > ? AND place <= ? ORDER BY place LIMIT ?"
    bounds = (place_of(row[0], old.partition, after), place_of(row[0], old.partition, max(last, 0)), limit)
    rows = connection.execute(query, bounds).fetchall()
    following = parts_of(rows[-1][0])[2] if len(rows) == limit else 0
    found: list[Found] = []
    for place, event_id, body in rows:
        if decode(body).time_ms >= old.before_ms and parts_of(place)[2] > old.through:
            following = 0
            break
        if how.among is not None and event_id not in how.among:
            continue
        followers = connection.execute(_FOLLOWERS if how.dry else _FOLLOWED, {"id": event_id}).fetchone()[0]
        if (how.dry or not followers) and _may_go(connection, event_id, old.rules):
            found.append(Found(event_id, len(body), followers))
            if not how.dry:
                _remove_event(connection, place, event_id)
    removed = 0 if how.dry else len(found)
    if removed and old.mark is not None:
        gone = {each.id for each in found}
        _mark(connection, old.mark, max(parts_of(place)[2] for place, event_id, _ in rows if event_id in gone))
    return Pruned(removed, sum(each.held_bytes for each in found), following, tuple(found))


def _mark(connection: sqlite3.Connection, mark: tuple[str, str, str, str], offset: int) -> None:
    query = "SELECT body FROM value WHERE tenant = ? AND agent = ? AND key = ? AND name = ?"
    row = connection.execute(query, mark).fetchone()
    last = offset if row is None else max(offset, msgspec.msgpack.decode(row[0], type=int))
    connection.execute(
        "INSERT OR REPLACE INTO value VALUES (?, ?, ?, ?, ?, 0, '')", (*mark, msgspec.msgpack.encode(last))
    )


def prune_runs(connection: sqlite3.Connection, rules: RunRules, after: int, limit: int, how: How) -> Pruned:
    query = """
        SELECT rowid, id, agent, status, at_ms, length(records), tenant FROM run WHERE rowid > ? ORDER BY rowid LIMIT ?
    """
    rows = connection.execute(query, (after, limit)).fetchall()
    removed = 0
    found: list[Found] = []
    for rowid, run_id, agent, status, at_ms, size, tenant in rows:
        if status not in ENDED or not rules.journal_may_go(agent, at_ms) or _is_dead(connection, run_id):
            continue
        if how.among is not None and run_id not in how.among:
            continue
        is_over = rules.run_may_go(agent, at_ms) and not _has_event(connection, run_id)
        count, held = connection.execute(_JOURNAL, {"id": run_id}).fetchone()
        if not (count or size or is_over):
            continue
        found.append(Found(run_id, held + size))
        if how.dry:
            continue
        _remove_journal(connection, run_id)
        if is_over:
            _remove_values(connection, run_id, tenant)
            connection.execute("DELETE FROM run WHERE rowid = ?", (rowid,))
        elif size:
            connection.execute("UPDATE run SET records = x'' WHERE rowid = ?", (rowid,))
        removed += count + (1 if is_over or size else 0)
    has_old = any(row[4] < rules.newest_ms for row in rows)
    following = rows[-1][0] if has_old and len(rows) == limit else 0
    return Pruned(removed, sum(each.held_bytes for each in found), following, tuple(found))


def prune_sessions(connection: sqlite3.Connection, now_ms: int, after: bytes, limit: int, *, dry: bool) -> Swept:
    start = msgspec.msgpack.decode(after, type=tuple[str, str, int]) if after else ("", "", -1)
    query = """
        SELECT tenant, session, number, expires_ms, length(body) FROM session
        WHERE (tenant, session, number) > (?, ?, ?) ORDER BY tenant, session, number LIMIT ?
    """
    rows = connection.execute(query, (*start, limit)).fetchall()
    old = [row for row in rows if row[3] <= now_ms]
    delete = "DELETE FROM session WHERE tenant = ? AND session = ? AND number = ?"
    if not dry:
        connection.executemany(delete, [row[:3] for row in old])
    token = msgspec.msgpack.encode(rows[-1][:3]) if len(rows) == limit else b""
    return Swept(len(old), sum(row[4] for row in old), token)


def prune_values(
    connection: sqlite3.Connection, before_ms: Mapping[str, int], after: bytes, limit: int, *, dry: bool
) -> Swept:
    start = msgspec.msgpack.decode(after, type=tuple[str, str, str, str]) if after else ("", "", "", "")
    query = """
        SELECT tenant, agent, key, name, at_ms, length(body) FROM value
        WHERE (tenant, agent, key, name) > (?, ?, ?, ?) ORDER BY tenant, agent, key, name LIMIT ?
    """
    rows = connection.execute(query, (*start, limit)).fetchall()
    old = [row for row in rows if 0 < row[4] < before_ms.get(row[1], 0)]
    delete = "DELETE FROM value WHERE tenant = ? AND agent = ? AND key = ? AND name = ?"
    if not dry:
        connection.executemany(delete, [row[:4] for row in old])
    token = msgspec.msgpack.encode(rows[-1][:4]) if len(rows) == limit else b""
    return Swept(len(old), sum(row[5] for row in old), token)


def ended_runs(connection: sqlite3.Connection, before: int, limit: int) -> list[EndedRun]:
    marks = ", ".join("?" * len(ENDED))
    query = f"""
        SELECT rowid, agent, at_ms FROM run WHERE (? = 0 OR rowid < ?) AND status IN ({marks}) ORDER BY rowid DESC LIMIT ?
    """  # noqa: S608 - question marks
    return [EndedRun(*row) for row in connection.execute(query, (before, before, *ENDED, limit))]


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


def _may_go(connection: sqlite3.Connection, event_id: str, rules: RunRules) -> bool:
    """Whether nothing but what followed from it needs an event."""
    if connection.execute(_NEEDED, {"id": event_id}).fetchone()[0]:
        return False
    runs = connection.execute(_RUNS, {"id": event_id}).fetchall()
    return all(status in ENDED and rules.run_may_go(agent, at_ms) for _, agent, status, at_ms, _ in runs)


def _remove_event(connection: sqlite3.Connection, place: int, event_id: str) -> None:
    for run_id, *_, tenant in connection.execute(_RUNS, {"id": event_id}).fetchall():
        _remove_journal(connection, run_id)
        _remove_values(connection, run_id, tenant)
        connection.execute("DELETE FROM run WHERE id = ?", (run_id,))
    connection.execute("DELETE FROM event WHERE place = ?", (place,))


def _remove_journal(connection: sqlite3.Connection, run_id: str) -> None:
    connection.execute("DELETE FROM journal WHERE run_id = ?", (run_id,))
    connection.execute("DELETE FROM stream WHERE run_id = ?", (run_id,))


def _remove_values(connection: sqlite3.Connection, run_id: str, tenant: str) -> None:
    query = "DELETE FROM value WHERE tenant = ? AND agent = ? AND key = ?"
    connection.executemany(query, [(tenant, owner, run_id) for owner in OF_RUNS])


def _is_dead(connection: sqlite3.Connection, run_id: str) -> bool:
    return connection.execute("SELECT 1 FROM dead WHERE run_id = ?", (run_id,)).fetchone() is not None


def _has_event(connection: sqlite3.Connection, run_id: str) -> bool:
    query = "SELECT 1 FROM event WHERE id = ?"
    return connection.execute(query, (run_id.rpartition(":")[0],)).fetchone() is not None
