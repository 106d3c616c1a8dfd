"""A way to a server through which a test can take the server away: what passes is held up, or cut off, and later passes again."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

PIECE = 65_536
Connect = Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]


class Proxy:
    """`cut` ends all connections, and accepts none; `hold` keeps them, and lets nothing through; `restore` ends both."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._passing = asyncio.Event()
        self._passing.set()
        self._is_cut = False
        self._writers: set[asyncio.StreamWriter] = set()
        self._serving: set[asyncio.Task[None]] = set()
        self.port = 0
        self.delay_s = 0.0  # by which each piece is late, both ways

    def lead_to(self, host: str, port: int) -> None:
        """Have new connections lead there."""
        self._connect = lambda: asyncio.open_connection(host, port)

    def cut(self) -> None:
        self._is_cut = True
        for each in self._writers:
            each.transport.abort()

    def hold(self) -> None:
        self._passing.clear()

    def restore(self) -> None:
        self._is_cut = False
        self._passing.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        self._writers.add(writer)
        try:
            if not self._is_cut:
                await self._joined(reader, writer)
        except (OSError, asyncio.CancelledError):
            pass  # either end has gone, or the proxy is closed, which waits for this
        finally:
            self._serving.discard(task)
            self._writers.discard(writer)
            writer.transport.abort()

    async def close(self) -> None:
        for _ in range(3):  # one that was accepted just now begins a tick later
            for task in list(self._serving):
                task.cancel()
            await asyncio.gather(*self._serving, return_exceptions=True)
            await asyncio.sleep(0)

    async def _joined(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._passing.wait()
        there, onward = await self._connect()
        self._writers.add(onward)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pass(reader, onward))
                group.create_task(self._pass(there, writer))
        except* OSError:
            pass
        finally:
            self._writers.discard(onward)
            onward.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(PIECE):
            await self._passing.wait()
            if self.delay_s:
                await asyncio.sleep(self.delay_s)
            writer.write(piece)
            await writer.drain()
        with suppress(OSError):
            writer.write_eof()


@asynccontextmanager
async def proxy_to(host: str, port: int | None) -> AsyncGenerator[Proxy]:
    """Yield a proxy on 127.0.0.1, whose `port` leads to a server; without a port, once `lead_to` has named one."""
    proxy = Proxy(lambda: asyncio.open_connection(host, port))
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        await proxy.close()
