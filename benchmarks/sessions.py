"""The sessions of W1 in a SQLite file of the application: for peers that keep no sessions of their own."""

import sqlite3
from pathlib import Path

from workload import w1


class Sessions:
    """The messages of all sessions. A turn is added once, however often its step is executed."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.execute(
            "CREATE TABLE message (session TEXT, number INTEGER, role TEXT, content TEXT, turn TEXT,"
            " PRIMARY KEY (session, number)) WITHOUT ROWID"
        )

    def preload(self) -> None:
        rows = [
            (session, number, role, content, "")
            for session in map(w1.session_of, range(w1.SESSIONS))
            for number, (role, content) in enumerate(w1.preloaded(session))
        ]
        self._connection.execute("BEGIN")
        self._connection.executemany("INSERT INTO message VALUES (?, ?, ?, ?, ?)", rows)
        self._connection.execute("COMMIT")

    def history(self, session: str) -> list[tuple[str, str]]:
        query = "SELECT role, content FROM message WHERE session = ? ORDER BY number DESC LIMIT ?"
        return self._connection.execute(query, (session, w1.MESSAGES)).fetchall()[::-1]

    def add(self, session: str, turn: str, text: str, reply: str) -> None:
        one = self._connection
        one.execute("BEGIN IMMEDIATE")
        try:
            known = one.execute(
                "SELECT 1 FROM message WHERE session = ? AND turn = ? LIMIT 1", (session, turn)
            ).fetchone()
            if known is None:
                (end,) = one.execute(
                    "SELECT coalesce(max(number), -1) + 1 FROM message WHERE session = ?", (session,)
                ).fetchone()
                rows = [(session, end, "user", text, turn), (session, end + 1, "assistant", reply, turn)]
                one.executemany("INSERT INTO message VALUES (?, ?, ?, ?, ?)", rows)
            one.execute("COMMIT")
        except BaseException:
            one.execute("ROLLBACK")
            raise


def checkpointed_bytes(folder: Path) -> int:
    """What lies on the disk once the write-ahead logs are moved into their files, as far as other connections allow."""
    for file in folder.glob("*.db"):
        connection = sqlite3.connect(file, timeout=5.0)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
