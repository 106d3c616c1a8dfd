"""Reads and writes of Milvus Lite in turns.

Its search (3.2.2) is none of one moment: it looks here before a write and there after it, and misses what is replaced
meanwhile. Of 157 searches beside a writer who put a row before taking the one before it away, 14 found neither. So whoever
reads does so beside others who read, and whoever writes does so alone. What another process writes is not kept apart.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager


class Turns:
    """Many read at once, or one writes; who wants to write waits for those who read, and those who come later for him."""

    def __init__(self) -> None:
        self._door = asyncio.Lock()
        self._reading = 0
        self._nobody_reads = asyncio.Event()
        self._nobody_reads.set()

    @asynccontextmanager
    async def beside(self) -> AsyncGenerator[None]:
        async with self._door:
            self._reading += 1
            self._nobody_reads.clear()
        try:
            yield
        finally:
            self._reading -= 1
            if not self._reading:
                self._nobody_reads.set()

    @asynccontextmanager
    async def alone(self) -> AsyncGenerator[None]:
        async with self._door:
            await self._nobody_reads.wait()
            yield
