"""Who works on the file, who owns which partition, and what waits for an owner: as SQL, within the caller's transaction.

A worker is a row as long as its claim lasts; ending a claim is removing the row. The row in `owner` counts the epochs, and
keeps out processes of format 1, which look nowhere else.
"""

import sqlite3
from collections.abc import Collection, Iterable, Sequence
from contextlib import closing

from penstock.adapters.sqlite.many import ROWS, at_once
from penstock.core.agents.unit import Sent
from penstock.core.events.codec import decode, encode
from penstock.errors import Fenced, Refused
from penstock.ports.inbox import Waiting
from penstock.ports.state import Claim
from penstock.ports.workers import Membership

TABLES = (
    """CREATE TABLE IF NOT EXISTS worker (
        epoch INTEGER PRIMARY KEY, owner TEXT NOT NULL, alone INTEGER NOT NULL, number INTEGER NOT NULL,
        seen_ms INTEGER NOT NULL, port INTEGER NOT NULL
    )""",
    "CREATE TABLE IF NOT EXISTS part (partition INTEGER PRIMARY KEY, epoch INTEGER NOT NULL)",
    "INSERT OR IGNORE INTO part VALUES (0, 0)",
    """CREATE TABLE IF NOT EXISTS inbox (
        number INTEGER PRIMARY KEY AUTOINCREMENT, partition INTEGER NOT NULL, topic TEXT NOT NULL,
        id TEXT NOT NULL UNIQUE, body BLOB NOT NULL
    )""",
    "CREATE INDEX IF NOT EXISTS inbox_part ON inbox (partition, number)",
    "CREATE INDEX IF NOT EXISTS inbox_topic ON inbox (topic)",
)
_NOW_MS = "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)"
_NOT_AHEAD = f"UPDATE worker SET seen_ms = {_NOW_MS} WHERE seen_ms > {_NOW_MS} + ?"  # noqa: S608 - our own expression
_SEND = f"""
INSERT INTO inbox (partition, topic, id, body) SELECT column1, column2, column3, column4 FROM (VALUES {ROWS})
WHERE NOT EXISTS (SELECT 1 FROM event WHERE id = column3) ON CONFLICT (id) DO NOTHING
"""  # noqa: S608 - question marks

# Each topic once, without going through the rows of each.
_TOPICS = """
WITH RECURSIVE topics (topic) AS (
    SELECT min(topic) FROM inbox
    UNION ALL SELECT (SELECT min(topic) FROM inbox WHERE topic > topics.topic) FROM topics WHERE topic IS NOT NULL
) SELECT topic FROM topics WHERE topic IS NOT NULL
"""


def claim(connection: sqlite3.Connection, owner: str, port: int = 0) -> int:
    """End all claims, own everything, and return the epoch."""
    connection.execute("DELETE FROM worker")
    epoch = _joined(connection, owner, port, alone=True)
    connection.execute("UPDATE part SET epoch = ?", (epoch,))
    return epoch


def join(connection: sqlite3.Connection, owner: str, port: int = 0) -> int:
    """Work beside others; who was alone no longer works."""
    _end(connection, "alone", ())
    return _joined(connection, owner, port, alone=False)


def renew(connection: sqlite3.Connection, claim: Claim, ttl_ms: int) -> tuple[Membership, list[int]]:
    """Return who is there, and the ports at which the others are woken."""
    query = f"UPDATE worker SET seen_ms = {_NOW_MS} WHERE epoch = ? AND owner = ?"  # noqa: S608 - our own expression
    _require(connection.execute(query, (claim.epoch, claim.owner)).rowcount, claim)
    # Who was seen in the future was seen before the clock was set back: he is given another while from now.
    connection.execute(_NOT_AHEAD, (ttl_ms,))
    # Written as a sum, since a clock that was set back makes nobody silent.
    _end(connection, f"NOT alone AND epoch <> ? AND seen_ms + ? <= {_NOW_MS}", (claim.epoch, ttl_ms))
    workers = connection.execute("SELECT epoch, port FROM worker ORDER BY epoch").fetchall()
    owners = dict(connection.execute("SELECT partition, epoch FROM part").fetchall())
    ports = [port for epoch, port in workers if port and epoch != claim.epoch]
    return Membership(tuple(epoch for epoch, _ in workers), owners), ports


def take(connection: sqlite3.Connection, claim: Claim, partitions: Collection[int]) -> frozenset[int]:
    require(connection, claim)
    connection.executemany(
        "UPDATE part SET epoch = ? WHERE partition = ? AND epoch = 0", [(claim.epoch, each) for each in partitions]
    )
    owned = connection.execute("SELECT partition FROM part WHERE epoch = ?", (claim.epoch,)).fetchall()
    return frozenset(partition for (partition,) in owned) & frozenset(partitions)


def give(connection: sqlite3.Connection, claim: Claim, partitions: Collection[int]) -> None:
    require(connection, claim)
    connection.executemany(
        "UPDATE part SET epoch = 0 WHERE partition = ? AND epoch = ?", [(each, claim.epoch) for each in partitions]
    )


def leave(connection: sqlite3.Connection, claim: Claim) -> None:
    _end(connection, "epoch = ?", (claim.epoch,))


def divide(connection: sqlite3.Connection, claim: Claim, partitions: int) -> None:
    require(connection, claim)
    if not connection.execute("SELECT alone FROM worker WHERE epoch = ?", (claim.epoch,)).fetchone()[0]:
        raise Refused("several workers share the store", "stop them first: a lone worker changes the partitions")
    (have,) = connection.execute("SELECT count(*) FROM part").fetchone()
    if partitions < have:
        raise Refused(f"the store has {have} partitions already", "ask for as many, or for more")
    connection.executemany("INSERT INTO part VALUES (?, ?)", [(each, claim.epoch) for each in range(have, partitions)])


def require(connection: sqlite3.Connection, claim: Claim) -> None:
    """Raise `Fenced` when the claim has ended."""
    query = "SELECT count(*) FROM worker WHERE epoch = ? AND owner = ?"
    _require(connection.execute(query, (claim.epoch, claim.owner)).fetchone()[0], claim)


def submit(connection: sqlite3.Connection, events: Iterable[Sent]) -> None:
    """Have events wait that are not known yet."""
    at_once(connection, _SEND, [(each.partition, each.topic, each.event.id, encode(each.event)) for each in events])


def submitted(
    connection: sqlite3.Connection, partitions: Collection[int], limit: int, without: Collection[str]
) -> Sequence[Waiting]:
    # Over a broker nearly all that waits is of topics that are left out: so these are not gone through.
    topics = [each for (each,) in connection.execute(_TOPICS) if each not in without] if without else []
    if without and not topics:
        return ()
    marks, wanted = ", ".join("?" * len(partitions)), ", ".join("?" * len(topics))
    query = f"""
        SELECT number, topic, partition, body, EXISTS (SELECT 1 FROM event WHERE event.id = inbox.id)
        FROM inbox WHERE partition IN ({marks}) {f"AND topic IN ({wanted})" if topics else ""} ORDER BY number LIMIT ?
    """  # noqa: S608 - question marks
    rows = connection.execute(query, (*partitions, *topics, limit)).fetchall()
    return [
        Waiting(number, Sent(topic, partition, decode(body)), bool(known))
        for number, topic, partition, body, known in rows
    ]


def ports(connection: sqlite3.Connection) -> list[int]:
    """Return where the workers are woken."""
    with closing(connection.execute("SELECT port FROM worker WHERE port <> 0")) as found:
        return [port for (port,) in found]


def _joined(connection: sqlite3.Connection, owner: str, port: int, *, alone: bool) -> int:
    connection.execute("UPDATE owner SET owner = ?, epoch = epoch + 1, number = 0", (owner,))
    (epoch,) = connection.execute("SELECT epoch FROM owner").fetchone()
    query = f"INSERT INTO worker VALUES (?, ?, ?, 0, {_NOW_MS}, ?)"  # noqa: S608 - our own expression
    connection.execute(query, (epoch, owner, alone, port))
    return epoch


def _end(connection: sqlite3.Connection, which: str, arguments: tuple[int, ...]) -> None:
    gone = f"SELECT epoch FROM worker WHERE {which}"  # noqa: S608 - our own conditions
    connection.execute(f"UPDATE part SET epoch = 0 WHERE epoch IN ({gone})", arguments)  # noqa: S608
    connection.execute(f"DELETE FROM worker WHERE {which}", arguments)  # noqa: S608


def _require(rows: int, claim: Claim) -> None:
    if not rows:
        raise Fenced(claim.owner, claim.epoch)
