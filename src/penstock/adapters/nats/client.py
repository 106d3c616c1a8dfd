"""nats-py's client, but for what comes by the thousands: messages of a stream, and the server's word that it has stored some.

The library parses the headers of each message as those of an e-mail, makes an object of it and puts it into a queue for a task:
that takes longer than all that penstock does with an event. What a subscription of `hear` is sent is handed over as it was read,
at once, and in its order; connections, requests and everything else stay the library's.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from nats.aio.client import Client
from nats.errors import ConnectionClosedError, ConnectionReconnectingError

Taker = Callable[[bytes, bytes, bytes, bytes], None]  # subject, reply, data and headers of a message

_client: Any = Client  # parts of it are not typed


class RawClient(_client):
    """A client of NATS."""

    def __init__(self) -> None:
        _client.__init__(self)
        self._takers: dict[int, Taker] = {}

    async def hear(self, subject: str, take: Taker) -> Any:
        """Subscribe to a subject; what comes is given to `take`. End it by `unhear`."""

        async def slowly(message: Any) -> None:  # should a later version of the library not come by `_process_msg`
            take(message.subject.encode(), message.reply.encode(), message.data, _block(message.headers or {}))

        subscription: Any = await self.subscribe(subject, cb=slowly)
        self._takers[subscription._id] = take  # noqa: SLF001 - the number of a subscription, which its messages come with
        return subscription

    async def publish_together(self, commands: Sequence[bytes]) -> None:
        """Send commands to publish, as they are on the wire, in their order."""
        if not self.is_connected:  # nothing is held for later: whoever publishes does it again
            raise ConnectionClosedError if self.is_closed else ConnectionReconnectingError
        for each in commands:
            await self._send_command(each)
        await self._flush_pending()

    async def unhear(self, subscription: Any) -> None:
        """End what `hear` returned."""
        self._takers.pop(subscription._id, None)  # noqa: SLF001
        await subscription.unsubscribe()

    def _process_msg(
        self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes | None
    ) -> Awaitable[None]:
        take = self._takers.get(sid)
        if take is None:
            return _client._process_msg(self, sid, subject, reply, data, headers)  # noqa: SLF001 - of this very class
        take(subject, reply, data, headers or b"")
        return _done


class _Done:
    """Nothing to wait for."""

    def __await__(self) -> Any:
        return iter(())


_done = _Done()


def _block(headers: Mapping[str, str]) -> bytes:
    """Return headers as they are on the wire."""
    status = headers.get("Status", "")
    lines = [f"NATS/1.0 {status}".rstrip(), *(f"{name}: {text}" for name, text in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode()
