"""Any service with the rerank endpoint of Cohere, Jina, vLLM or LiteLLM: `POST {base_url}/rerank` (extra `penstock[models]`).

    {"model": ..., "query": ..., "documents": [...], "top_n": n}  ->  {"results": [{"index": 0, "relevance_score": 0.9}, ...]}

Asked once: who waits is a search, which goes on in the order before when nothing comes.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from penstock.errors import Missing, Refused, Unavailable
from penstock.ports.reranker import Candidate

if TYPE_CHECKING:
    import httpx2

TEXT_CHARS_MAX = 8_000
ANSWER_BYTES_MAX = 4_000_000
TIMEOUT_S = 10.0
_TRANSIENT = frozenset({408, 409, 425, 429})
_OPERATION = "POST /rerank"


class _Result(Struct):
    index: int
    relevance_score: float


class _Answer(Struct):
    results: list[_Result]


@dataclass(frozen=True, slots=True)
class ServiceReranker:
    """A `Reranker` (guarantees J1 to J4, as far as the service is deterministic)."""

    client: "httpx2.AsyncClient"
    base_url: str
    model: str

    @property
    def name(self) -> str:
        return f"rerank:{self.model}"

    async def rerank(self, query: str, candidates: Sequence[Candidate]) -> list[float]:
        if not candidates:
            return []
        # A service refuses what is blank; half characters cannot be sent.
        texts = [_sendable(each.text) for each in candidates]
        asked: dict[str, Any] = {
            "model": self.model,
            "query": _sendable(query),
            "documents": texts,
            "top_n": len(texts),
        }
        answer = await self._answer(asked)
        scores = {each.index: each.relevance_score for each in answer.results}
        if sorted(scores) != list(range(len(texts))) or not all(map(isfinite, scores.values())):
            raise Refused(f"{self.base_url} scored {len(scores)} of {len(texts)} passages", "check the model")
        return [scores[at] for at in range(len(texts))]

    async def _answer(self, asked: dict[str, Any]) -> _Answer:
        import httpx2

        url = f"{self.base_url.rstrip('/')}/rerank"
        try:
            async with self.client.stream("POST", url, json=asked) as response:
                body = bytearray()
                async for piece in response.aiter_bytes():
                    body += piece
                    if len(body) > ANSWER_BYTES_MAX:
                        raise Refused(f"{url} answered with more than {ANSWER_BYTES_MAX} bytes", "check the address")
        except (httpx2.UnsupportedProtocol, httpx2.LocalProtocolError, httpx2.InvalidURL) as error:
            raise Refused(f"{url} cannot be asked: {error}", "check the address") from error
        except httpx2.HTTPError as error:
            raise Unavailable(url, _OPERATION, repr(error)) from error
        status = response.status_code
        if status >= 500 or status in _TRANSIENT:  # noqa: PLR2004 - the server's own failure
            raise Unavailable(url, _OPERATION, f"status {status}")
        if status != 200:  # noqa: PLR2004 - the only status with an answer
            raise Refused(
                f"{url} refused, status {status}: {body[:200].decode(errors='replace')}", "check key and model"
            )
        try:
            return msgspec.json.decode(bytes(body), type=_Answer)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise Refused(f"{url} answered with something else than scores ({error})", "check the address") from error


@asynccontextmanager
async def open_service_reranker(
    base_url: str, model: str, *, api_key: str | None = None
) -> AsyncGenerator[ServiceReranker]:
    """Open a connection to a service; `Missing` without the extra."""
    try:
        import httpx2
    except ImportError as error:
        raise Missing("httpx2", "pip install penstock[models]") from error
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    async with httpx2.AsyncClient(headers=headers, timeout=TIMEOUT_S) as client:
        yield ServiceReranker(client, base_url, model)


def _sendable(text: str) -> str:
    return text[:TEXT_CHARS_MAX].encode(errors="replace").decode() or " "
