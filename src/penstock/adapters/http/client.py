"""Calls over HTTP, for machines and rules (extra `penstock[http]`): one client, opened with the first call.

- Bounded: the time of a call, the bytes of an answer, the connections that are open.
- Redirects are not followed: they would carry what authorises a call to another host.
- `Unavailable` when nobody answered; whatever was answered, of any status, is an answer.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from penstock.core.asl.services.http_calls import ANSWER_BYTES_MAX, HttpRequest, HttpResponse
from penstock.errors import Missing, Unavailable

if TYPE_CHECKING:
    import httpx2

CONNECTIONS_MAX = 100


@asynccontextmanager
async def open_http() -> AsyncGenerator["Http"]:
    """Yield what calls are made with."""
    http = Http()
    try:
        yield http
    finally:
        await http.close()


class Http:
    """Makes calls. An answer of more than `ANSWER_BYTES_MAX` bytes is cut off one byte behind that."""

    def __init__(self) -> None:
        self._client: httpx2.AsyncClient | None = None

    async def __call__(self, request: HttpRequest, timeout_s: float) -> HttpResponse:
        """Make a call, and return what was answered."""
        client = self._opened()
        import httpx2

        where = f"{request.method} {request.url.partition('?')[0]}"
        try:
            async with client.stream(
                request.method,
                request.url,
                headers=list(request.headers),
                content=request.body,
                timeout=timeout_s,
            ) as answer:
                body = bytearray()
                async for piece in answer.aiter_bytes():
                    body += piece[: ANSWER_BYTES_MAX + 1 - len(body)]
                    if len(body) > ANSWER_BYTES_MAX:
                        break
                return HttpResponse(
                    answer.status_code, answer.reason_phrase, tuple(answer.headers.multi_items()), bytes(body)
                )
        except httpx2.HTTPError as error:
            raise Unavailable("the API", where, f"{type(error).__name__}: {error}".rstrip(": ")) from error

    async def close(self) -> None:
        """Let go of the connections that are open."""
        if self._client is not None:
            await self._client.aclose()

    def _opened(self) -> "httpx2.AsyncClient":
        if self._client is None:
            try:
                import httpx2
            except ImportError as error:
                raise Missing("httpx2", "pip install 'penstock[http]'") from error
            limits = httpx2.Limits(max_connections=CONNECTIONS_MAX, max_keepalive_connections=20)
            self._client = httpx2.AsyncClient(limits=limits, follow_redirects=False)
        return self._client
