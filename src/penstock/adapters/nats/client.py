"""nats-py's client, but for what comes by the thousands: messages of a stream, and the server's word that it has stored some.

The library parses the headers of each message as those of an e-mail, makes an object of it and puts it into a queue for a task:
that takes longer than all that penstock does with an event. What a subscription of `hear` is sent is handed over as it was read,
at once, and in its order; connections, requests and everything else stay the library's.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec
from nats.aio.client import Client
from nats.errors import AuthorizationError, ConnectionClosedError, ConnectionReconnectingError, Error

Taker = Callable[[bytes, bytes, bytes, bytes], None]  # subject, reply, data and headers of a message

_client: Any = Client  # parts of it are not typed
_CONNECT = b"CONNECT "
AGAIN_S = 2.0


class RawClient(_client):
    """A client of NATS. `who`: what CONNECT says of us, given what the server says of itself."""

    def __init__(self, who: Callable[[Mapping[str, Any]], Mapping[str, str]]) -> None:
        _client.__init__(self)
        self._who = who
        self._takers: dict[int, Taker] = {}
        self._again: asyncio.TimerHandle | None = None
        self._connecting: asyncio.Task[None] | None = None

    async def _connect_to_server(self, s: Any) -> None:
        self._hang_up()
        await _client._connect_to_server(self, s)  # noqa: SLF001 - of this very class

    async def close(self) -> None:
        """Close the connection, and go on with nothing."""
        try:
            await _client.close(self)
        finally:
            self._hang_up()

    def _hang_up(self) -> None:
        """End the connection that there is: the library forgets each second one that came to nothing, and leaves it open."""
        if self._transport is not None:
            self._transport.close()

    def _connect_command(self) -> bytes:
        # The library's own way reads files of credentials until their end comes, which never does in one that was cut.
        said = _client._connect_command(self).removeprefix(_CONNECT)  # noqa: SLF001 - of this very class
        return _CONNECT + msgspec.json.encode(msgspec.json.decode(said) | self._who(self._server_info)) + b"\r\n"

    async def _process_err(self, err_msg: str) -> None:
        """Go on after an error that the server sends: the library would close for good by most of them."""
        said = err_msg.lower().strip("' ")
        if not self.is_connected or "stale connection" in said:
            await _client._process_err(self, err_msg)  # noqa: SLF001 - of this very class
            return
        error = AuthorizationError() if "authorization" in said else Error(f"nats: {said}")
        await self._error_cb(error)
        if "permissions violation" not in said:
            await self._process_op_err(error)  # it connects again, with what says who we are now
        elif "subscription" in said and self._again is None:
            # What we may not hear the server forgets, and does not take up again once we may.
            self._again = asyncio.get_running_loop().call_later(AGAIN_S, self._connect_again)

    def _connect_again(self) -> None:
        self._again = None
        self._connecting = asyncio.get_running_loop().create_task(self._process_op_err(ConnectionReconnectingError()))

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
