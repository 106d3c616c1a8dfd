"""Waking the other workers of a file: a datagram of one byte on the loopback interface (L6, I5).

A datagram may be lost, and anybody on this machine may send one: it says "look into the file", and nothing else. Who is
not woken looks now and then anyway.
"""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from socket import AF_INET, SOCK_DGRAM, socket
from typing import Any

LOOPBACK = "127.0.0.1"
_NOTE = b"!"  # asyncio sends no empty datagrams


class Wakes:
    """One socket: who sends to its port wakes us."""

    def __init__(self, woken: Callable[[], None]) -> None:
        self._woken = woken
        self._transport: asyncio.DatagramTransport | None = None
        self._opening = asyncio.Lock()
        self.others: list[int] = []  # the ports of the other workers

    async def open(self) -> int:
        """Return the port at which we are woken from now on."""
        async with self._opening:
            if self._transport is None:
                loop = asyncio.get_running_loop()
                self._transport, _ = await loop.create_datagram_endpoint(lambda: _Ear(self._woken), (LOOPBACK, 0))
        return self._transport.get_extra_info("sockname")[1]

    def wake(self) -> None:
        """Wake the others."""
        if self._transport is None:  # a command beside a worker: it is not woken itself
            wake(self.others)
            return
        for port in self.others:
            self._transport.sendto(_NOTE, (LOOPBACK, port))

    async def close(self) -> None:
        if self._transport is not None:
            self._transport.close()
            self._transport = None
            await asyncio.sleep(0)  # the socket is closed in the next tick


def wake(ports: Iterable[int]) -> None:
    """Wake the workers at these ports, from outside of any loop."""
    with socket(AF_INET, SOCK_DGRAM) as sender, suppress(OSError):
        for port in ports:
            sender.sendto(_NOTE, (LOOPBACK, port))


class _Ear(asyncio.DatagramProtocol):
    def __init__(self, woken: Callable[[], None]) -> None:
        self._woken = woken

    def datagram_received(self, data: bytes, addr: Any) -> None:  # noqa: ARG002 - the library's signature
        self._woken()

    def error_received(self, exc: Exception) -> None:
        """A worker that has gone no longer listens: its port refuses."""
