"""No connection to a NATS is left open: nats-py leaves those of attempts that failed to the garbage collector."""

import asyncio
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from nats_server import secure_nats

from penstock.adapters.nats.connecting import address_of, open_connection
from penstock.errors import Invalid

pytestmark = pytest.mark.timeout(300)  # the first time, a server is built
ENDED_S = 5


class Door:
    """A server that is no NATS. It says so to whoever comes, and knows who is still there."""

    def __init__(self) -> None:
        self.came = 0
        self.left = 0
        self.port = 0
        self._changed = asyncio.Condition()

    @asynccontextmanager
    async def open(self, port=0):
        async with await asyncio.start_server(self._let_in, "127.0.0.1", port) as server:
            self.port = server.sockets[0].getsockname()[1]
            yield self

    async def _let_in(self, reader, writer):
        async with self._changed:
            self.came += 1
            self._changed.notify_all()
        writer.write(b"220 mail\r\n")
        try:
            with suppress(OSError):
                await reader.read()  # until its other end is closed
            async with self._changed:
                self.left += 1
                self._changed.notify_all()
        finally:
            writer.close()

    async def until(self, holds):
        async with asyncio.timeout(ENDED_S), self._changed:
            await self._changed.wait_for(holds)


async def test_what_is_no_nats_is_left_by_each_attempt_to_connect():
    async with Door().open() as door:
        with pytest.raises(Invalid, match="no NATS"):
            async with open_connection(address_of(f"nats://127.0.0.1:{door.port}")):
                pass
        assert door.came == 2  # an attempt, and one more to be sure
        await door.until(lambda: door.left == door.came)


async def test_what_took_the_place_of_a_nats_is_left_by_each_attempt_to_connect_again(tmp_path: Path):
    with secure_nats("") as nats:
        async with open_connection(address_of(nats.address)):
            nats.process.kill()
            async with Door().open(int(nats.hosts.rpartition(":")[2])) as door:
                await door.until(lambda: door.came >= 4)
                assert door.left >= door.came - 1  # but for the one that it is at
