"""W1 to W3 on Restate: its server and its Python endpoint on 127.0.0.1, loaded over its HTTP ingress."""

import asyncio
from pathlib import Path

import server
import uvloop
import workload
from workload import w1

PRELOADS_AT_ONCE = 32


class Peer:
    def __init__(self, call: server.Call, folder: Path) -> None:
        self._call = call
        self._folder = folder

    async def preload(self) -> None:
        limit = asyncio.Semaphore(PRELOADS_AT_ONCE)

        async def one(session: str) -> None:
            async with limit:
                await self._call(f"agent/{session}/preload", session)

        await asyncio.gather(*(one(w1.session_of(number)) for number in range(w1.SESSIONS)))

    async def turn(self, number: int) -> str:
        return await self._call(f"agent/{w1.session_of(number)}/turn", w1.text_of(number))

    async def fan_out(self, items: int) -> int:
        return await self._call("runs/fan_out", items)

    async def steps(self, count: int) -> int:
        return await self._call("runs/steps", count)

    def disk_bytes(self) -> int:
        return workload.disk_bytes(self._folder / "data")


async def main() -> None:
    given = workload.arguments("peers/restate/run.py")
    async with server.started(given.folder, "service:app", ("runs/steps", 1)) as (pids, call):
        packages = ("restate-sdk", "granian", "aiohttp", "numpy", "uvloop")
        settings = {"server": server.version(), "partitions": server.PARTITIONS}
        await workload.measure(given, Peer(call, given.folder), packages, pids=pids, **settings)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
