"""Workers in this process: what a host does, for tests, with deaths at will."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from penstock.errors import Unavailable
from penstock.ports.host import Place


class Serving(Protocol):
    """Who serves in a worker."""

    async def say(self, body: bytes) -> None: ...
    async def hear(self) -> bytes: ...


Entry = Callable[[bytes], AbstractAsyncContextManager[Serving]]


class MemoryHost:
    """A host whose workers are tasks. `entry` takes the place of what is named: nothing is imported."""

    def __init__(self, entry: Entry, group: asyncio.TaskGroup) -> None:
        self.workers: list[MemoryWorker] = []
        self._entry = entry
        self._group = group

    async def start(self, place: Place) -> "MemoryWorker":
        worker = MemoryWorker(place)
        self.workers.append(worker)
        worker.task = self._group.create_task(worker.live(self._entry))
        await asyncio.shield(worker.ready)
        return worker

    @property
    def alive(self) -> "list[MemoryWorker]":
        return [each for each in self.workers if each.is_alive]


class MemoryWorker:
    """One worker: a task that can be killed."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.task: asyncio.Task[None] | None = None
        self.ready: asyncio.Future[Serving] = asyncio.get_running_loop().create_future()
        self._died = asyncio.Event()

    @property
    def is_alive(self) -> bool:
        return not self._died.is_set()

    async def live(self, entry: Entry) -> None:
        """Serve until it is killed."""
        try:
            async with entry(self.place.body) as serving:
                self.ready.set_result(serving)
                await self._died.wait()
        except Exception as error:
            if self.ready.done():
                raise
            self.ready.set_exception(error)
            self.kill()

    def kill(self) -> None:
        """Die at once, whatever is under way."""
        self._died.set()

    async def say(self, body: bytes) -> None:
        self._require_alive()
        await self.ready.result().say(body)

    async def hear(self) -> bytes:
        self._require_alive()
        hearing, dying = asyncio.ensure_future(self.ready.result().hear()), asyncio.ensure_future(self._died.wait())
        try:
            await asyncio.wait([hearing, dying], return_when=asyncio.FIRST_COMPLETED)
            self._require_alive()
            return hearing.result()
        finally:
            hearing.cancel()
            dying.cancel()

    async def end(self) -> None:
        self.kill()
        if self.task is not None:
            await asyncio.wait([self.task])

    def _require_alive(self) -> None:
        if not self.is_alive:
            raise Unavailable(f"the worker of {self.place.name!r}", "handle", "it died")
