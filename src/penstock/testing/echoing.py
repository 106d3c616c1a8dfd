"""Who serves in the workers of the contract of hosts: it says what it was told."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from penstock.errors import Finding, Invalid

REFUSED = b"refused"
BEAT_S = 0.5


class Echo:
    """It says `body` first, and then all that it hears, in order."""

    def __init__(self, body: bytes) -> None:
        self._said = deque([body])
        self._some = asyncio.Event()

    async def say(self, body: bytes) -> None:
        self._said.append(body)
        self._some.set()

    async def hear(self) -> bytes:
        if not self._said:
            self._some.clear()
            try:
                async with asyncio.timeout(BEAT_S):
                    await self._some.wait()
            except TimeoutError:
                return b""
        return self._said.popleft()


@asynccontextmanager
async def echoing(body: bytes) -> AsyncGenerator[Echo]:
    """Serve; `Invalid` for a body that is refused."""
    if body == REFUSED:
        raise Invalid("the place", (Finding("body", "is refused", "send another one"), Finding("host", "is here")))
    yield Echo(body)
