"""W1 on DBOS with SQLite, in one process: a workflow of five steps, and the sessions in a database of the application.

- Settings are the best that were found: write-ahead log, synchronous=FULL (as shipped it is a rollback journal: slower).
- Steps are async functions; retrieval is batched as in penstock.
"""

import asyncio
import os
import sqlite3
import sys
from pathlib import Path
from typing import Any

import workload
from dbos import DBOS
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
            known = one.execute("SELECT 1 FROM message WHERE session = ? AND turn = ? LIMIT 1", (session, turn)).fetchone()
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


sessions: Sessions
retrieval: workload.Retrieval


@DBOS.step()
async def embed(text: str) -> bytes:
    return w1.embedding(text)


@DBOS.step()
async def retrieve(vector: bytes) -> list[str]:
    return await retrieval.nearest(vector)


@DBOS.step()
async def history(session: str, passages: list[str], text: str) -> str:
    return w1.prompt(sessions.history(session), passages, text)


@DBOS.step()
async def reason(prompt: str) -> str:
    return w1.reason(prompt)


@DBOS.step()
async def persist(session: str, text: str, reply: str) -> None:
    sessions.add(session, str(DBOS.workflow_id), text, reply)


@DBOS.workflow()
async def turn(session: str, text: str) -> str:
    vector = await embed(text)
    passages = await retrieve(vector)
    prompt = await history(session, passages, text)
    reply = await reason(prompt)
    await persist(session, text, reply)
    return reply


async def main() -> None:
    global sessions, retrieval
    given = workload.arguments("peers/dbos/run.py")
    given.folder.mkdir(parents=True, exist_ok=True)
    system = given.folder / "system.db"
    with sqlite3.connect(system) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
    connection.close()
    DBOS(config=_config(system))
    DBOS.launch()
    sessions, retrieval = Sessions(given.folder / "sessions.db"), workload.Retrieval()
    sessions.preload()
    before = _bytes(given.folder)
    measured = await workload.closed_loop(
        lambda number: turn(w1.session_of(number), w1.text_of(number)),
        workload.plan_of(given),
        workload.usage,
        expected=w1.REPLY,
    )
    grown = _bytes(given.folder) - before
    workload.report(measured, grown, ("dbos", "sqlalchemy", "numpy"), settings={"database": "sqlite, WAL, FULL"})


def _bytes(folder: Path) -> int:
    """What lies on the disk once the write-ahead logs are moved into the files, as far as other connections allow."""
    for file in folder.glob("*.db"):
        connection = sqlite3.connect(file, timeout=5.0)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()
    return workload.disk_bytes(folder)


def _config(system: Path) -> Any:
    return {
        "name": "penstock-bench",
        "system_database_url": f"sqlite:///{system.resolve()}",
        "log_level": "ERROR",
        "application_version": "1",
        "sys_db_pool_size": 20,
    }


if __name__ == "__main__":
    asyncio.run(main())
    sys.stdout.flush()
    os._exit(0)  # its threads would otherwise be waited for without a bound
