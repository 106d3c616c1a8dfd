"""Messages of a stream as they come: asked for in pages of a reader that the server keeps, without acknowledgements."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import msgspec
from nats.errors import Error

from penstock.adapters.nats.forms import message_of, status_of
from penstock.core.events.messages import Carried

BATCH = 512
LATE_S = 2.0  # within which the server says that there is nothing more
_PLACE_V1, _PLACE_V2 = (
    5,
    7,
)  # where the number in the stream stands in what a message comes with; that of the reader follows
_V1_PARTS = 9


class Reading:
    """What a reader of a stream is sent. `take` is given each message, in order.

    The server takes what it has sent for delivered. So what was lost with a connection shows by the reader's own numbers, and
    then nothing more is taken: who reads begins anew where he is.
    """

    def __init__(self, connection: Any, topic: str, reader: str, take: Callable[[Carried], None]) -> None:
        self._connection = connection
        self._topic = topic
        self._asked = f"$JS.API.CONSUMER.MSG.NEXT.{reader}"
        self._take = take
        self._inbox: str = connection.new_inbox()
        self._left = 0  # messages that were asked for
        self._last = 0  # by the reader's own numbers
        self._is_broken = False
        self._turned = asyncio.Event()

    @asynccontextmanager
    async def subscribed(self) -> AsyncGenerator[None]:
        """Listen until the block ends."""
        subscription = await self._connection.hear(self._inbox, self._heard)
        try:
            yield
        finally:
            with suppress(Error, OSError, TimeoutError):  # the server forgets a reader by itself
                async with asyncio.timeout(LATE_S):
                    await self._connection.unhear(subscription)

    async def more(self, wait_s: float) -> bool:
        """Ask for a page, and return when it has come, or nothing more within some time; False when the reader is of no use."""
        self._left = BATCH
        self._turned.clear()
        asked = {"batch": BATCH, "expires": int(wait_s * 1e9)}
        await self._connection.publish(self._asked, msgspec.json.encode(asked), self._inbox)
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_s + LATE_S):
                await self._turned.wait()
        return self._left <= 0 and not self._is_broken

    def _heard(self, subject: bytes, reply: bytes, data: bytes, headers: bytes) -> None:
        parts = reply.split(b".")
        if len(parts) < _V1_PARTS:
            self._told(headers)
            return
        at = _PLACE_V1 if len(parts) == _V1_PARTS else _PLACE_V2
        number = int(parts[at + 1])
        if number != self._last + 1:
            self._is_broken = True
        if self._is_broken:
            self._turned.set()
            return
        self._last = number
        self._left -= 1
        partition = int(subject[subject.rindex(b".") + 1 :])
        self._take(Carried(self._topic, partition, int(parts[at]), message_of(data, headers)))
        if self._left <= 0:
            self._turned.set()

    def _told(self, headers: bytes) -> None:
        """The server says something itself: that nothing more comes of what was asked for, or that the reader is gone."""
        match status_of(headers):
            case "100":  # it is there
                return
            case "404" | "408":
                self._left = 0
            case _:
                self._is_broken = True
        self._turned.set()
