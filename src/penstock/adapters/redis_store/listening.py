"""Wake-ups from commits of other processes, by publish and subscribe (L6).

- The connection that listens is made when somebody begins to watch, and made again, with backoff, whenever it is lost.
- What was told while nobody listened is not told again, so after each subscribing the watchers are called once.
"""

import asyncio
import secrets
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from random import random
from typing import Any

from redis.exceptions import RedisError

from penstock.adapters.redis_store.server import Server
from penstock.core.agents.policy import Retry
from penstock.core.events.watchers import Watchers

HEARTBEAT_S = 15.0  # after so much silence the server is asked whether it is still there
AGAIN_S = 0.5
BACKOFF = Retry(delay_s=0.1, delay_max_s=5.0)


@asynccontextmanager
async def open_listener(server: Server) -> AsyncGenerator["Listener"]:
    """Listen while the block lasts, once somebody watches."""
    listener = Listener(server)
    listening = asyncio.ensure_future(listener.listen())
    try:
        yield listener
    finally:
        while not listening.done():  # the library can lose a cancellation that comes with a time-out
            listening.cancel()
            await asyncio.wait([listening], timeout=AGAIN_S)


class Listener(Watchers):
    """Who is to be called after commits, of this process and of others."""

    def __init__(self, server: Server) -> None:
        super().__init__()
        self._server = server
        self._wanted = asyncio.Event()
        # Who commits calls his own watchers himself: he need not be told by the server.
        self._own = secrets.token_hex(8).encode()
        self.notice = [b"PUBLISH", server.keys.wake, self._own]

    def watch(self, wake: Callable[[], None]) -> Callable[[], None]:
        self._wanted.set()
        return super().watch(wake)

    async def listen(self) -> None:
        """Listen until cancelled."""
        await self._wanted.wait()
        failures = 0
        while True:
            # The server is away: whoever reads or commits is told so, and here it is tried again.
            with suppress(RedisError, OSError, TimeoutError):
                async with self._server.client.pubsub() as heard:
                    await heard.subscribe(self._server.keys.wake)
                    failures = 0
                    await self._hear(heard)
            failures += 1
            await asyncio.sleep(BACKOFF.wait_s(failures, random()))

    async def _hear(self, heard: Any) -> None:
        while True:
            message: Any = await heard.get_message(timeout=HEARTBEAT_S)
            if message is None:
                await heard.ping()
                message = await heard.get_message(timeout=HEARTBEAT_S)
                if message is None:
                    raise TimeoutError
            if message["type"] == "subscribe" or (message["type"] == "message" and message["data"] != self._own):
                self.wake()
