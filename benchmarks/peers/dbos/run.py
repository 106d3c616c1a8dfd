"""W1 to W3 on DBOS with SQLite, in one process: a workflow of five steps, and the sessions in a database of the application.

- Settings are the best that were found: write-ahead log, synchronous=FULL (as shipped it is a rollback journal: slower).
- Steps are async functions; retrieval is batched as in penstock. The items of a fan-out are child workflows.
"""

import asyncio
import os
import sqlite3
import sys
from pathlib import Path
from typing import Any

import workload
from dbos import DBOS
from sessions import Sessions, checkpointed_bytes
from workload import w1, w23

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


@DBOS.step()
async def doubled(number: int) -> int:
    return w23.doubled(number)


@DBOS.step()
async def increased(number: int) -> int:
    return w23.increased(number)


@DBOS.step()
async def nothing() -> int:
    return w23.nothing()


@DBOS.workflow()
async def child(number: int) -> int:
    return await increased(await doubled(number))


@DBOS.workflow()
async def fan_out(items: int) -> int:
    places = asyncio.Semaphore(w23.FAN_OUT_AT_ONCE)

    async def one(number: int) -> int:
        async with places:
            return await (await DBOS.start_workflow_async(child, number)).get_result()

    return sum(await asyncio.gather(*(one(number) for number in range(items))))


@DBOS.workflow()
async def steps(count: int) -> int:
    for _ in range(count):
        await nothing()
    return count


class Peer:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def preload(self) -> None:
        global sessions, retrieval
        sessions, retrieval = Sessions(self._folder / "sessions.db"), workload.Retrieval()
        sessions.preload()

    async def turn(self, number: int) -> str:
        return await turn(w1.session_of(number), w1.text_of(number))

    async def fan_out(self, items: int) -> int:
        return await fan_out(items)

    async def steps(self, count: int) -> int:
        return await steps(count)

    def disk_bytes(self) -> int:
        return checkpointed_bytes(self._folder)


async def main() -> None:
    given = workload.arguments("peers/dbos/run.py")
    system = given.folder / "system.db"
    with sqlite3.connect(system) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
    connection.close()
    DBOS(config=_config(system))
    DBOS.launch()
    await workload.measure(given, Peer(given.folder), ("dbos", "sqlalchemy", "numpy"), database="sqlite, WAL, FULL")


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
