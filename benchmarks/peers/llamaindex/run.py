"""W1 to W3 on LlamaIndex workflows, made durable by its DBOS runtime with SQLite, in one process.

- Settings: write-ahead log, synchronous=FULL, a poll each 10 ms (1 s as shipped).
- The sessions are in a database of the application. The items of a fan-out are events of the run, each taken by two steps.
"""

import asyncio
import os
import sqlite3
import sys
from pathlib import Path
from typing import Any

import workload
from dbos import DBOS
from llama_agents.dbos import DBOSRuntime
from sessions import Sessions, checkpointed_bytes
from workflows import Context, Workflow, step
from workflows.events import Event, StartEvent, StopEvent
from workload import w1, w23

WITHIN_S = 120.0
POLL_S = 0.01
sessions: Sessions
retrieval: workload.Retrieval


class Turned(StartEvent):
    session: str
    text: str
    turn: str


class Embedded(Event):
    vector: str


class Retrieved(Event):
    passages: list[str]


class Prompted(Event):
    prompt: str


class Reasoned(Event):
    reply: str


class Turn(Workflow):
    """Each step's event carries what it found; the session and the text are in the run's state."""

    @step
    async def embed(self, ctx: Context, asked: Turned) -> Embedded:
        await ctx.store.set("asked", [asked.session, asked.text, asked.turn])
        return Embedded(vector=w1.embedding(asked.text).hex())

    @step
    async def retrieve(self, found: Embedded) -> Retrieved:
        return Retrieved(passages=await retrieval.nearest(bytes.fromhex(found.vector)))

    @step
    async def history(self, ctx: Context, found: Retrieved) -> Prompted:
        session, text, _ = await ctx.store.get("asked")
        return Prompted(prompt=w1.prompt(sessions.history(session), found.passages, text))

    @step
    async def reason(self, found: Prompted) -> Reasoned:
        return Reasoned(reply=w1.reason(found.prompt))

    @step
    async def persist(self, ctx: Context, found: Reasoned) -> StopEvent:
        session, text, turn = await ctx.store.get("asked")
        sessions.add(session, turn, text, found.reply)
        return StopEvent(result=found.reply)


class Items(StartEvent):
    count: int


class Item(Event):
    number: int


class Doubled(Event):
    number: int


class Increased(Event):
    number: int


class FanOut(Workflow):
    @step
    async def send(self, ctx: Context, items: Items) -> Item | None:
        await ctx.store.set("count", items.count)
        for number in range(items.count):
            ctx.send_event(Item(number=number))
        return None

    @step(num_workers=w23.FAN_OUT_AT_ONCE)
    async def doubled(self, item: Item) -> Doubled:
        return Doubled(number=w23.doubled(item.number))

    @step(num_workers=w23.FAN_OUT_AT_ONCE)
    async def increased(self, item: Doubled) -> Increased:
        return Increased(number=w23.increased(item.number))

    @step
    async def collect(self, ctx: Context, item: Increased) -> StopEvent | None:
        found = ctx.collect_events(item, [Increased] * await ctx.store.get("count"))
        return None if found is None else StopEvent(result=sum(each.number for each in found))


class Begin(StartEvent):
    count: int


class Again(Event):
    count: int
    left: int


class Steps(Workflow):
    @step
    async def one(self, begun: Begin | Again) -> Again | StopEvent:
        left = (begun.left if isinstance(begun, Again) else begun.count) - w23.nothing()
        return Again(count=begun.count, left=left) if left else StopEvent(result=begun.count)


class Peer:
    def __init__(self, folder: Path, runtime: DBOSRuntime) -> None:
        self._folder = folder
        made = (kind(timeout=WITHIN_S, runtime=runtime) for kind in (Turn, FanOut, Steps))
        self._turn, self._fan_out, self._steps = made

    async def preload(self) -> None:
        global sessions, retrieval
        sessions, retrieval = Sessions(self._folder / "sessions.db"), workload.Retrieval()
        sessions.preload()

    async def turn(self, number: int) -> str:
        asked = Turned(session=w1.session_of(number), text=w1.text_of(number), turn=str(number))
        return await self._turn.run(start_event=asked)

    async def fan_out(self, items: int) -> int:
        return await self._fan_out.run(start_event=Items(count=items))

    async def steps(self, count: int) -> int:
        return await self._steps.run(start_event=Begin(count=count))

    def disk_bytes(self) -> int:
        return checkpointed_bytes(self._folder)


async def main() -> None:
    given = workload.arguments("peers/llamaindex/run.py")
    system = given.folder / "system.db"
    with sqlite3.connect(system) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
    connection.close()
    DBOS(config=_config(system))
    runtime = DBOSRuntime(polling_interval_sec=POLL_S)
    peer = Peer(given.folder, runtime)
    await runtime.launch()
    packages = ("llama-index-workflows", "llama-agents-dbos", "dbos", "numpy")
    await workload.measure(given, peer, packages, database="sqlite, WAL, FULL")


def _config(system: Path) -> Any:
    return {
        "name": "penstock-bench",
        "system_database_url": f"sqlite:///{system.resolve()}",
        "log_level": "ERROR",
        "application_version": "1",
    }


if __name__ == "__main__":
    asyncio.run(main())
    sys.stdout.flush()
    os._exit(0)  # its threads would otherwise be waited for without a bound
