"""The actor that is a worker: it hands bytes to who serves in it, in an event loop of its own.

The user's code runs in that loop, and may block it: the actor itself still answers, so that it is not taken for dead.
"""

import asyncio
import os
import threading
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from importlib import import_module
from socket import gethostname
from typing import Any, Protocol, TypeVar

import msgspec
from msgspec import Struct

from penstock.core.hosting.faults import Fault, fault_of

T = TypeVar("T")
HEAR_S = 10.0  # user's code that blocks its loop for longer is no reason to be silent


class Ready(Struct, frozen=True):
    """Where a worker is, and why it cannot serve, if so."""

    pid: int
    node: str
    fault: Fault | None = None


class Serving(Protocol):
    """Who serves in a worker."""

    async def say(self, body: bytes) -> None: ...
    async def hear(self) -> bytes: ...


class HandlingActor:
    """One worker. Ray makes it, and ends it."""

    def __init__(self, entry: str, body: bytes) -> None:
        self._entry = entry
        self._body = body
        self._loop: asyncio.AbstractEventLoop | None = None
        self._serving: Serving | None = None
        self._started = threading.Event()
        self._fault: Fault | None = None
        self._hearing: asyncio.Future[bytes] | None = None

    async def ready(self) -> bytes:
        """Begin to serve, and return where that is, or why it cannot be."""
        if self._loop is None:
            threading.Thread(target=self._run, name="penstock", daemon=True).start()
            await asyncio.to_thread(self._started.wait)
        return msgspec.msgpack.encode(Ready(os.getpid(), gethostname(), self._fault))

    async def say(self, body: bytes) -> None:
        await self._within(lambda serving: serving.say(body))

    async def hear(self) -> bytes:
        """Return what there is to say, or nothing after a while."""
        if self._hearing is None:
            self._hearing = self._within(lambda serving: serving.hear())
        done, _ = await asyncio.wait([self._hearing], timeout=HEAR_S)
        if not done:
            return b""
        heard, self._hearing = self._hearing, None
        return heard.result()

    def _within(self, call: Callable[[Serving], Any]) -> "asyncio.Future[Any]":
        assert self._loop is not None, "ready comes first"
        assert self._serving is not None, "ready comes first"
        return asyncio.wrap_future(asyncio.run_coroutine_threadsafe(call(self._serving), self._loop))

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except Exception as error:  # noqa: BLE001 - the engine is told
            self._fault = fault_of(error)
            self._started.set()

    async def _serve(self) -> None:
        module, name = self._entry.split(":")
        entry: Callable[[bytes], AbstractAsyncContextManager[Serving]] = getattr(import_module(module), name)
        async with entry(self._body) as self._serving:
            self._loop = asyncio.get_running_loop()
            self._started.set()
            await asyncio.Event().wait()
