"""The yardstick: W1 to W3 by hand, as fast as a plain asyncio program can be that is still durable.

- One append-only file. Each group is one record: length, CRC-32, MessagePack; a torn last one is cut off on reading.
- Every tick's records are written and synced together by one thread; meanwhile the loop goes on.
- Only the reply waits for the disk; with `--each-step` each step waits for the record of the one before.
- No retries, timers, versions, keys or queries: what it leaves out is what an engine is for.
"""

import asyncio
import os
import struct
import zlib
from collections import deque
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import workload
from workload import w1, w23

EVENT, EMBED, RETRIEVE, HISTORY, REASON, END = range(6)
_HEAD = struct.Struct("<II")
_packed = msgspec.msgpack.Encoder().encode


class Log:
    """An append-only file, written in groups."""

    def __init__(self, path: Path, thread: ThreadPoolExecutor) -> None:
        self.path = path
        self._file = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        self._thread = thread
        self._loop = asyncio.get_running_loop()
        self._open: list[tuple[int, int, Any]] = []
        self._durable: asyncio.Future[None] = self._loop.create_future()
        self._waiting = asyncio.Event()

    def append(self, run: int, step: int, value: Any) -> "asyncio.Future[None]":
        """Return what is done once the record is durable: one future for all records of its group."""
        self._open.append((run, step, value))
        self._waiting.set()
        return self._durable

    async def write(self) -> None:
        """Write groups until cancelled."""
        while True:
            await self._waiting.wait()
            await asyncio.sleep(0)  # what else this tick appends belongs to the same group
            self._waiting.clear()
            group, durable = self._open, self._durable
            self._open, self._durable = [], self._loop.create_future()
            await self._loop.run_in_executor(self._thread, self._sync, group)
            durable.set_result(None)

    def _sync(self, group: list[tuple[int, int, Any]]) -> None:
        body = _packed(group)
        os.write(self._file, _HEAD.pack(len(body), zlib.crc32(body)) + body)
        os.fdatasync(self._file)

    def close(self) -> None:
        os.close(self._file)


class Yardstick:
    """The runs under way and the sessions, in memory; the log has all of it."""

    def __init__(self, log: Log, *, each_step: bool) -> None:
        self._log = log
        self._each_step = each_step
        self._runs = count()
        self._retrieval: workload.Retrieval
        self._sessions: dict[str, deque[tuple[str, str]]] = {}

    async def preload(self) -> None:
        self._retrieval = workload.Retrieval()
        self._sessions = {
            session: deque(w1.preloaded(session), maxlen=w1.MESSAGES)
            for session in map(w1.session_of, range(w1.SESSIONS))
        }

    async def turn(self, run: int) -> str:
        session, text = w1.session_of(run), w1.text_of(run)
        await self._record(run, EVENT, (session, text))
        vector = w1.embedding(text)
        await self._record(run, EMBED, vector)
        passages = await self._retrieval.nearest(vector)
        await self._record(run, RETRIEVE, passages)
        messages = self._sessions[session]
        prompt = w1.prompt(messages, passages, text)
        await self._record(run, HISTORY, prompt)
        reply = w1.reason(prompt)
        await self._record(run, REASON, reply)
        await self._log.append(run, END, reply)
        messages.extend((("user", text), ("assistant", reply)))
        return reply

    async def fan_out(self, items: int) -> int:
        places = asyncio.Semaphore(w23.FAN_OUT_AT_ONCE)

        async def child(number: int) -> int:
            async with places:
                run = next(self._runs)
                doubled = w23.doubled(number)
                await self._record(run, 1, doubled)
                increased = w23.increased(doubled)
                await self._record(run, 2, increased)
                await self._log.append(run, END, increased)
                return increased

        found = sum(await asyncio.gather(*(child(number) for number in range(items))))
        await self._log.append(next(self._runs), END, found)
        return found

    async def steps(self, count: int) -> int:
        run = next(self._runs)
        for number in range(1, count + 1):
            await self._record(run, number, w23.nothing())
        await self._log.append(run, END, count)
        return count

    def disk_bytes(self) -> int:
        return self._log.path.stat().st_size

    async def _record(self, run: int, step: int, value: Any) -> None:
        durable = self._log.append(run, step, value)
        if self._each_step:
            await durable


def replay(path: Path) -> tuple[dict[str, list[str]], int]:
    """Return the texts of all finished turns by session, in their order, and the number of runs that were cut off."""
    body, place = path.read_bytes(), 0
    begun: dict[int, tuple[str, str]] = {}
    finished: dict[str, list[str]] = {}
    while place + _HEAD.size <= len(body):
        size, checksum = _HEAD.unpack_from(body, place)
        group = body[place + _HEAD.size : place + _HEAD.size + size]
        if len(group) < size or zlib.crc32(group) != checksum:
            break
        for run, step, value in msgspec.msgpack.decode(group):
            if step == EVENT:
                begun[run] = tuple(value)
            elif step == END:
                session, text = begun.pop(run)
                finished.setdefault(session, []).append(text)
        place += _HEAD.size + size
    return finished, len(begun)


@asynccontextmanager
async def opened(path: Path) -> AsyncGenerator[Log]:
    with ThreadPoolExecutor(1) as thread:
        log = Log(path, thread)
        try:
            async with asyncio.TaskGroup() as tasks:
                writing = tasks.create_task(log.write())
                yield log
                writing.cancel()
        finally:
            log.close()


async def main() -> None:
    given = workload.arguments("reference/loop.py")
    async with opened(given.folder / "runs.log") as log:
        await workload.measure(given, Yardstick(log, each_step=given.each_step), ("numpy", "msgspec", "uvloop"))


if __name__ == "__main__":
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
