"""Any service with OpenAI's embeddings endpoint, `POST {base_url}/embeddings` (extra `penstock[models]`).

Format: https://platform.openai.com/docs/api-reference/embeddings. Ollama, vLLM, LM Studio and LiteLLM speak it too.
- Bounded: the texts, bytes and time of a request, attempts and the waits between them, the bytes of an answer.
- A text is cut to `text_bytes_max` bytes of UTF-8. A byte-level vocabulary makes at most one token of a byte, so the
  default fits every window of 8,191 tokens, whatever the language.
- A blank text is never sent, because the format forbids the empty one: its vector is zero.
"""

import asyncio
import random
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec

from penstock.adapters.embedders.any_text import to_unit_length
from penstock.errors import Missing, Refused, Unavailable
from penstock.ports.embedder import Purpose

if TYPE_CHECKING:
    import httpx2
    import numpy as np
    from numpy.typing import NDArray

_REASON_CHARS_MAX = 300
# Request time-out, conflict, too early, too many requests: the same request may pass later.
_TRANSIENT = frozenset({408, 409, 425, 429})
_OPERATION = "POST /embeddings"


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenAiOptions:
    """How a service is asked.

    `dims` is the length of the vectors, learned from the first answer when None; with `shorten` it is asked for.
    The prefixes are for models that were trained with them, such as `query: ` and `passage: ` for e5.
    """

    base_url: str
    model: str
    dims: int | None = None
    shorten: bool = False
    query_prefix: str = ""
    passage_prefix: str = ""
    texts_max: int = 256
    text_bytes_max: int = 8_000
    request_bytes_max: int = 250_000
    answer_bytes_max: int = 64_000_000
    timeout_s: float = 30.0
    attempts_max: int = 4
    delay_s: float = 0.5
    delay_s_max: float = 20.0


@asynccontextmanager
async def open_openai_embedder(
    options: OpenAiOptions, *, api_key: str | None = None
) -> "AsyncGenerator[OpenAiEmbedder]":
    """Connect to a service. Without `options.dims` it is asked for one vector, to learn their length.

    Raises `Missing` without the extra, `Refused` when the service says no, `Unavailable` when it does not answer.
    """
    try:
        import httpx2
    except ImportError as error:
        raise Missing("httpx2", "pip install penstock[models]") from error
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    async with httpx2.AsyncClient(headers=headers, timeout=options.timeout_s) as client:
        endpoint = EmbeddingsEndpoint(client, options)
        dims = options.dims or len((await endpoint.vectors(["dims"]))[0])
        yield OpenAiEmbedder(endpoint, options, dims=dims)


class OpenAiEmbedder:
    """An `Embedder` (guarantees E1 to E5, as far as the service is deterministic)."""

    def __init__(self, endpoint: "EmbeddingsEndpoint", options: OpenAiOptions, *, dims: int) -> None:
        self._endpoint = endpoint
        self._options = options
        self._dims = dims

    @property
    def name(self) -> str:
        """The host is part of it: two services may serve different weights under one model's name."""
        asked = self._options
        # By hostname and port, because a user and a password may stand in an address as well.
        address = urlsplit(asked.base_url)
        host = f"{address.hostname}:{address.port}" if address.port else f"{address.hostname}"
        cut = f"{self._dims}/{asked.text_bytes_max}/{asked.query_prefix}|{asked.passage_prefix}"
        return f"openai:{host}/{asked.model}/{cut}"

    @property
    def dims(self) -> int:
        return self._dims

    async def embed(self, texts: Sequence[str], *, purpose: Purpose = "passage") -> "NDArray[np.float32]":
        import numpy as np

        prefix = self._options.query_prefix if purpose == "query" else self._options.passage_prefix
        embedded = np.zeros((len(texts), self._dims), np.float32)
        cut = {position: self._cut(prefix + text) for position, text in enumerate(texts) if text.strip()}
        for positions in self._batches(cut):
            vectors = await self._endpoint.vectors([cut[position] for position in positions])
            if any(len(vector) != self._dims for vector in vectors):
                raise Refused(
                    f"{self._options.model!r} answered with vectors that are not {self._dims} long",
                    "set dims to its own length",
                )
            embedded[positions] = vectors
        return to_unit_length(embedded)

    def _cut(self, text: str) -> str:
        # The inner bound keeps a huge text from being encoded whole; no character is shorter than a byte.
        limit = self._options.text_bytes_max
        return text[:limit].encode(errors="replace")[:limit].decode(errors="ignore")

    def _batches(self, texts: dict[int, str]) -> Iterator[list[int]]:
        batch, size = list[int](), 0
        for position, text in texts.items():
            more = len(text.encode())
            if batch and (len(batch) == self._options.texts_max or size + more > self._options.request_bytes_max):
                yield batch
                batch, size = [], 0
            batch.append(position)
            size += more
        if batch:
            yield batch


class _Row(msgspec.Struct):
    index: int
    embedding: list[float]


class _Answer(msgspec.Struct):
    data: list[_Row]


class EmbeddingsEndpoint:
    """One request of the format, repeated while that may help; foreign errors end here."""

    def __init__(self, client: "httpx2.AsyncClient", options: OpenAiOptions) -> None:
        self._client = client
        self._options = options
        self._url = f"{options.base_url.rstrip('/')}/embeddings"

    async def vectors(self, texts: list[str]) -> list[list[float]]:
        """One vector per text, in their order. Raises `Unavailable` after the last attempt, and `Refused` at once."""
        import httpx2

        reason = ""
        for attempt in range(self._options.attempts_max):
            after_s: float | None = None
            try:
                status, after_s, body = await self._post(texts)
            except (httpx2.UnsupportedProtocol, httpx2.LocalProtocolError, httpx2.InvalidURL) as error:
                raise Refused(f"{self._url} cannot be asked: {error}", "check base_url") from error
            except httpx2.HTTPError as error:
                reason = repr(error)
            else:
                if status == 200:  # noqa: PLR2004 - the only status with an answer
                    return self._in_order(body, len(texts))
                reason = f"status {status}: {_reason(body)}"
                if status not in _TRANSIENT and status < 500:  # noqa: PLR2004 - 5xx is the server's own failure
                    raise Refused(
                        f"{self._url} refused model {self._options.model!r}, {reason}",
                        "check the key, the model and base_url",
                    )
            if attempt + 1 < self._options.attempts_max:
                await asyncio.sleep(self._wait_s(attempt, after_s))
        raise Unavailable(self._url, _OPERATION, f"{reason}, {self._options.attempts_max} attempts")

    async def _post(self, texts: list[str]) -> tuple[int, float | None, bytes]:
        question: dict[str, Any] = {"model": self._options.model, "input": texts, "encoding_format": "float"}
        if self._options.shorten:
            question["dimensions"] = self._options.dims
        async with self._client.stream("POST", self._url, json=question) as response:
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > self._options.answer_bytes_max:
                    raise Refused(
                        f"{self._url} answered with more than {len(body)} bytes",
                        "lower texts_max or raise answer_bytes_max",
                    )
            return response.status_code, _seconds(response.headers.get("retry-after")), bytes(body)

    def _in_order(self, body: bytes, count: int) -> list[list[float]]:
        try:
            rows = msgspec.json.decode(body, type=_Answer).data
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Refused(
                f"{self._url} answered with something else than embeddings ({error})", "check base_url"
            ) from error
        found = {row.index: row.embedding for row in rows}
        if sorted(found) != list(range(count)):
            raise Refused(
                f"{self._url} answered {len(rows)} vectors to {count} texts",
                "lower texts_max to what the service takes",
            )
        return [found[index] for index in range(count)]

    def _wait_s(self, attempt: int, after_s: float | None) -> float:
        """Take the wait that the service asks for, else a random share of one that doubles: callers spread out."""
        wait_s = self._options.delay_s * 2**attempt * random.random() if after_s is None else after_s
        return min(wait_s, self._options.delay_s_max)


def _reason(body: bytes) -> str:
    """Read the message of OpenAI's error format, or the beginning of whatever came instead."""
    try:
        found = msgspec.json.decode(body, type=dict[str, dict[str, Any]])["error"]["message"]
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError):
        found = body[:_REASON_CHARS_MAX].decode(errors="replace")
    return str(found)[:_REASON_CHARS_MAX]


def _seconds(retry_after: str | None) -> float | None:
    """Retry-After in seconds (RFC 9110, 10.2.3); its other form, a date, is left to the own backoff."""
    try:
        return max(0.0, float(retry_after)) if retry_after is not None else None
    except ValueError:
        return None
