"""Messages on their way to JetStream: many at once, and one subscription for the server's word on each that it has stored it."""

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec
from nats.js.errors import APIError, NoStreamResponseError

from penstock.adapters.nats.forms import status_of

PENDING_MAX = 1000  # messages that the server has not spoken of yet
Outgoing = tuple[str, bytes, bytes]  # subject, value and headers as they are on the wire


class _Batch:
    """Messages that are waited for together."""

    def __init__(self, count: int) -> None:
        self.left = count
        self.error: Exception | None = None
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def stored(self, error: Exception | None) -> None:
        """The server has spoken of one of them."""
        self.left -= 1
        self.error = self.error or error
        if self.left == 0:
            self._end()

    def failed(self, error: Exception) -> None:
        """The server will not speak of some of them."""
        self.error = self.error or error
        self._end()

    def _end(self) -> None:
        if not self.ended.done():
            self.ended.set_result(None)


class Publishing:
    """Publishes over one connection."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._inbox = ""
        self._waiting: dict[bytes, _Batch] = {}
        self._number = 0
        self._beginning = asyncio.Lock()

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        """Return when the server has stored all of them; raise the first error otherwise."""
        async with self._beginning:
            if not self._inbox:
                inbox = self._connection.new_inbox()
                await self._connection.hear(f"{inbox}.*", self._heard)
                self._inbox = inbox
        for start in range(0, len(messages), PENDING_MAX):
            await self._publish(messages[start : start + PENDING_MAX])

    def failed(self, error: Exception) -> None:
        """Wait no longer: the connection is gone, or the server forbids something, and does not say which message it was."""
        for batch in set(self._waiting.values()):
            batch.failed(error)

    async def _publish(self, messages: Sequence[Outgoing]) -> None:
        batch = _Batch(len(messages))
        first = self._number + 1
        self._number += len(messages)
        numbers = [b"%d" % number for number in range(first, self._number + 1)]
        self._waiting.update(dict.fromkeys(numbers, batch))
        inbox = self._inbox.encode()
        try:
            await self._connection.publish_together(
                [
                    _command(subject.encode(), b"%b.%b" % (inbox, number), value, headers)
                    for number, (subject, value, headers) in zip(numbers, messages, strict=True)
                ]
            )
            await batch.ended
        finally:
            for number in numbers:
                self._waiting.pop(number, None)
        if batch.error is not None:
            raise batch.error

    def _heard(self, subject: bytes, _: bytes, data: bytes, headers: bytes) -> None:
        batch = self._waiting.pop(subject.rpartition(b".")[2], None)
        if batch is not None:
            batch.stored(_error_in(data, headers))


def _command(subject: bytes, reply: bytes, value: bytes, headers: bytes) -> bytes:
    if not headers:
        return b"PUB %b %b %d\r\n%b\r\n" % (subject, reply, len(value), value)
    sizes = len(headers), len(headers) + len(value)
    return b"HPUB %b %b %d %d\r\n%b%b\r\n" % (subject, reply, *sizes, headers, value)


def _error_in(data: bytes, headers: bytes) -> Exception | None:
    if headers and status_of(headers) == "503":
        return NoStreamResponseError()
    if b'"error"' not in data:
        return None
    said = msgspec.json.decode(data, type=dict[str, Any]).get("error")
    return None if said is None else APIError.from_error(said)
