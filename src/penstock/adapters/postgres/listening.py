"""Wake-ups from commits of other processes, by LISTEN and NOTIFY (L6).

- The connection that listens is made when somebody begins to watch, and made again, with backoff, whenever it is lost.
- What was told while nobody listened is not told again, so after each connecting the watchers are called once.
"""

import asyncio
import secrets
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from random import random
from typing import Any

from penstock.adapters.postgres.address import Address
from penstock.adapters.postgres.database import Connection, connected
from penstock.core.agents.policy import Retry
from penstock.core.events.watchers import Watchers
from penstock.errors import PenstockError

HEARTBEAT_S = 30.0  # after so much silence the server is asked whether it is still there
BACKOFF = Retry(delay_s=0.1, delay_max_s=5.0)


@asynccontextmanager
async def open_listener(address: Address) -> AsyncGenerator["Listener"]:
    """Listen while the block lasts, once somebody watches."""
    listener = Listener(address)
    listening = asyncio.ensure_future(listener.listen())
    try:
        yield listener
    finally:
        listening.cancel()
        with suppress(asyncio.CancelledError):
            await listening


class Listener(Watchers):
    """Who is to be called after commits, of this process and of others."""

    def __init__(self, address: Address) -> None:
        super().__init__()
        self._address = address
        self._wanted = asyncio.Event()
        # Who commits calls his own watchers himself: he need not be told by the server.
        self.notice = (f"penstock_{address.schema}", secrets.token_hex(8))

    def watch(self, wake: Callable[[], None]) -> Callable[[], None]:
        self._wanted.set()
        return super().watch(wake)

    async def listen(self) -> None:
        """Listen until cancelled."""
        await self._wanted.wait()
        failures = 0
        while True:
            with suppress(
                PenstockError
            ):  # the server is away: whoever reads or commits is told so, and here it is tried again
                async with connected(self._address) as connection:
                    lost = await self._subscribed(connection)
                    failures = 0
                    self.wake()
                    await _until_lost(connection, lost)
            failures += 1
            await asyncio.sleep(BACKOFF.wait_s(failures, random()))

    async def _subscribed(self, connection: Connection) -> asyncio.Event:
        channel, own = self.notice
        lost = asyncio.Event()

        def heard(_connection: Any, _pid: int, _channel: str, payload: str) -> None:
            if payload != own:
                self.wake()

        connection.add_termination_listener(lambda _: lost.set())
        await connection.add_listener(channel, heard)
        return lost


async def _until_lost(connection: Connection, lost: asyncio.Event) -> None:
    while not lost.is_set():
        try:
            await asyncio.wait_for(lost.wait(), HEARTBEAT_S)
        except TimeoutError:
            await connection.fetchval("SELECT 1")
