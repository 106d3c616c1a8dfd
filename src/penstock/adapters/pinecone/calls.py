"""Calls of Pinecone's HTTP API, and the one place where its answers become errors of ours.

- Bounded: connections, the time of a call, attempts, the waits between them, the bytes of an answer.
- Everything that is called may be repeated: an upsert or a delete that was made already changes nothing.
- A key that is refused later on is an outage: what is written waits, and is not given up on.
"""

import asyncio
import random
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from penstock.errors import Missing, NotLetIn, Refused, Unavailable

if TYPE_CHECKING:
    import httpx2

VERSION = "2025-10"  # of the API: each is kept for a year at least after the next one
CONNECTIONS_MAX = 16
CONNECT_S = 5.0
CALL_S = 30.0
ATTEMPTS_MAX = 3
DELAY_S = 0.1
DELAY_S_MAX = 2.0
ANSWER_BYTES_MAX = 64 * 1024 * 1024
REASON_CHARS_MAX = 300
OK, BUSY, FAILING = range(200, 300), 429, 500
KEY = "PINECONE_API_KEY"
UNKNOWN_KEY = (401, 403)
ABSENT = 404


class Answer(Struct, frozen=True):
    """What a call gave. `lsn`: up to which write of its namespace an answer goes, or which one this write was."""

    body: dict[str, Any]
    lsn: int | None = None


class _Said(Struct):
    message: str


@asynccontextmanager
async def open_calls(key: str) -> AsyncGenerator["Calls"]:
    """Yield what calls are made with; `Missing` without the library."""
    try:
        import httpx2
    except ImportError as error:
        raise Missing("httpx2, which calls Pinecone,", "pip install 'penstock[pinecone]'") from error
    headers = {"Api-Key": key, "X-Pinecone-Api-Version": VERSION, "Accept": "application/json"}
    limits = httpx2.Limits(max_connections=CONNECTIONS_MAX, max_keepalive_connections=CONNECTIONS_MAX)
    timeout = httpx2.Timeout(CALL_S, connect=CONNECT_S)
    async with httpx2.AsyncClient(headers=headers, limits=limits, timeout=timeout, follow_redirects=False) as client:
        yield Calls(client)


class Calls:
    """Asks a host of Pinecone's."""

    def __init__(self, client: "httpx2.AsyncClient") -> None:
        self._client = client

    async def get(self, url: str, parameters: Mapping[str, str | int | list[str]] | None = None) -> Answer | None:
        """Return what is there, or None for what is not."""
        return await self._answered("GET", url, parameters=parameters)

    async def post(self, url: str, body: bytes) -> Answer | None:
        """Send JSON; None when the namespace is not there."""
        return await self._answered("POST", url, body=body)

    async def _answered(
        self,
        method: str,
        url: str,
        *,
        parameters: Mapping[str, str | int | list[str]] | None = None,
        body: bytes | None = None,
    ) -> Answer | None:
        import httpx2

        operation = f"{method} {httpx2.URL(url).path}"
        reason = ""
        for attempt in range(1, ATTEMPTS_MAX + 1):
            wait_s = min(DELAY_S_MAX, DELAY_S * 2**attempt * random.random())
            try:
                status, headers, content = await self._called(method, url, parameters, body)
            except (httpx2.UnsupportedProtocol, httpx2.LocalProtocolError, httpx2.InvalidURL) as error:
                raise Refused(f"{url} cannot be called: {error}", "check the setting `vectors`") from error
            except httpx2.HTTPError as error:
                reason = f"{type(error).__name__} {error}".strip()
            else:
                if status in OK:
                    return Answer(_decoded(content, operation), _lsn(headers))
                if status == ABSENT:
                    return None
                reason = f"status {status}: {_reason(content)}"
                if status in UNKNOWN_KEY:
                    raise NotLetIn("pinecone", operation, KEY, reason)
                if status != BUSY and status < FAILING:
                    raise Refused(f"pinecone refused {operation}, {reason}", "mend what is written")
                wait_s = min(DELAY_S_MAX, _seconds(headers.get("retry-after")) or wait_s)
            if attempt < ATTEMPTS_MAX:
                await asyncio.sleep(wait_s)
        raise Unavailable("pinecone", operation, reason)

    async def _called(
        self, method: str, url: str, parameters: Mapping[str, Any] | None, body: bytes | None
    ) -> tuple[int, Mapping[str, str], bytes]:
        headers = {} if body is None else {"Content-Type": "application/json"}
        async with self._client.stream(method, url, params=parameters, content=body, headers=headers) as response:
            content = bytearray()
            async for piece in response.aiter_bytes():
                content += piece
                if len(content) > ANSWER_BYTES_MAX:
                    raise Refused(f"pinecone answered with more than {ANSWER_BYTES_MAX} bytes", "ask for less")
            return response.status_code, response.headers, bytes(content)


def _decoded(content: bytes, operation: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(content or b"{}", type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Refused(f"what answered {operation} is no Pinecone: {error}", "check the setting `vectors`") from error


def _lsn(headers: Mapping[str, str]) -> int | None:
    given = headers.get("x-pinecone-request-lsn") or headers.get("x-pinecone-max-indexed-lsn") or ""
    return int(given) if given.isdecimal() else None


def _reason(content: bytes) -> str:
    """Read the message, which the control plane puts within `error`, and the data plane does not."""
    text = content[:REASON_CHARS_MAX].decode(errors="replace")
    try:
        body = msgspec.json.decode(content, type=dict[str, Any])
        return msgspec.convert(body.get("error", body), _Said).message[:REASON_CHARS_MAX]
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return text


def _seconds(retry_after: str | None) -> float | None:
    try:
        return max(0.0, float(retry_after)) if retry_after else None
    except ValueError:
        return None
