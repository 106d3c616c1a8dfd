"""What the gateway bounds (C9): bodies, streams, and callers who wait. It can let all who wait go, before it closes.

- A body is read, up to its limit, before anything sees the request: what is too large is refused in one place.
- Whoever waits here waits for something durable: to let them go loses nothing.
"""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, Protocol

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from penstock.errors import LimitReached
from penstock.gateway.problems import TOO_MANY, problem_response
from penstock.runtime.appending import EVENT_BYTES_MAX
from penstock.runtime.releases import Piece

BODY_BYTES_MAX = EVENT_BYTES_MAX + 64 * 1024  # an event and its envelope
STREAMS_MAX = 1024
WAITING_MAX = 4096
KEEP_ALIVE_S = 15.0
ALIVE, CLOSING = "alive", "closing"


class BodyLimit:
    """Refuses a body above the limit with 413, and hands on the others whole."""

    def __init__(self, app: ASGIApp, bytes_max: int = BODY_BYTES_MAX) -> None:
        self._app = app
        self._bytes_max = bytes_max

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD", "OPTIONS"):
            await self._app(scope, receive, send)
            return
        announced = next((value for name, value in scope["headers"] if name == b"content-length"), b"")
        body = bytearray()
        size = int(announced) if announced.isdigit() else 0
        more = size <= self._bytes_max
        while more:
            message = await receive()
            if message["type"] != "http.request":
                return  # the client has gone
            body += message.get("body", b"")
            size = max(size, len(body))
            more = message.get("more_body", False) and size <= self._bytes_max
        if size > self._bytes_max:
            error = LimitReached("the size of the body, in bytes,", size, self._bytes_max)
            await problem_response(error)(scope, receive, send)
            return
        await self._app(scope, _replayed(bytes(body), receive), send)


class Listening(Protocol):
    """One who can be told something beside what he listens to."""

    def tell(self, piece: Piece) -> None: ...


class Visits:
    """The streams that are open and the callers who wait."""

    def __init__(self, *, keep_alive_s: float = KEEP_ALIVE_S) -> None:
        self._keep_alive_s = keep_alive_s
        self._streams: set[Listening] = set()
        self._waiting: set[asyncio.Future[None]] = set()
        self._is_closing = False

    @property
    def is_closing(self) -> bool:
        return self._is_closing

    def let_go(self) -> None:
        """End the streams and the waiting, now and from now on."""
        self._is_closing = True
        for listener in self._streams:
            listener.tell(Piece(CLOSING))
        for future in self._waiting:
            if not future.done():
                future.set_result(None)

    async def wait(self, ended: "asyncio.Future[Any]", wait_s: float) -> None:
        """Wait until a run has ended, or the time is up, or the gateway closes; `LimitReached` when too many wait."""
        if len(self._waiting) >= WAITING_MAX:
            raise LimitReached(TOO_MANY[1], WAITING_MAX + 1, WAITING_MAX)
        if self._is_closing or wait_s <= 0:
            return
        closing: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(closing)
        try:
            await asyncio.wait((ended, closing), timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._waiting.discard(closing)

    def require_place(self) -> None:
        """Raise `LimitReached` when there are too many streams already."""
        if len(self._streams) >= STREAMS_MAX:
            raise LimitReached(TOO_MANY[0], STREAMS_MAX + 1, STREAMS_MAX)

    @contextmanager
    def stream(self, listener: Listening) -> Generator[None]:
        """Tell a listener now and then that the stream is alive, and when it must end."""
        loop = asyncio.get_running_loop()

        def alive() -> None:
            nonlocal timer
            listener.tell(Piece(ALIVE))
            timer = loop.call_later(self._keep_alive_s, alive)

        timer = loop.call_later(self._keep_alive_s, alive)
        self._streams.add(listener)
        if self._is_closing:
            listener.tell(Piece(CLOSING))
        try:
            yield
        finally:
            timer.cancel()
            self._streams.discard(listener)


def _replayed(body: bytes, receive: Receive) -> Receive:
    is_first = True

    async def replay() -> Message:
        nonlocal is_first
        if is_first:
            is_first = False
            return {"type": "http.request", "body": body, "more_body": False}
        return await receive()

    return replay
