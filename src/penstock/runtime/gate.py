"""A gate before the indexer: while it is closed, nobody is inside, and nothing that was begun inside is left undone.

Who leaves does so in the same tick of the event loop in which what he did reaches the committer. So who has closed the gate
sees exactly what is done, and what he adds to the committer comes after it.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from penstock.errors import TimedOut


class Gate:
    """Lets many in, or nobody."""

    def __init__(self) -> None:
        self._inside = 0
        self._open = asyncio.Event()
        self._open.set()
        self._empty = asyncio.Event()
        self._empty.set()
        self._shut = asyncio.Event()
        self._turn = asyncio.Lock()

    async def shut(self) -> None:
        """Wait until nobody is let in any more."""
        await self._shut.wait()

    @asynccontextmanager
    async def inside(self) -> AsyncGenerator[None]:
        """Wait until the gate is open, and be inside; leaving takes no tick of the loop."""
        while not self._open.is_set():
            await self._open.wait()
        self._inside += 1
        self._empty.clear()
        try:
            yield
        finally:
            self._inside -= 1
            if not self._inside:
                self._empty.set()

    @asynccontextmanager
    async def closed(self, within_s: float) -> AsyncGenerator[None]:
        """Have nobody inside until the block is left; `TimedOut`, with the gate open, when somebody stays for too long."""
        async with self._turn:
            self._open.clear()
            self._shut.set()
            try:
                try:
                    async with asyncio.timeout(within_s):
                        while self._inside:
                            await self._empty.wait()
                except TimeoutError as error:
                    raise TimedOut("what the indexer is at", within_s) from error
                yield
            finally:
                self._shut.clear()
                self._open.set()
