"""Any service with OpenAI's chat completions, `POST {base_url}/chat/completions`, streamed (extra `penstock[models]`).

Format: https://platform.openai.com/docs/api-reference/chat. Ollama, vLLM, Groq, Mistral, OpenRouter and others speak it.
- A call is repeated only before its first token, a limited number of times, and never sooner than the service asks.
- What was heard in part is never repeated here: it ends in `Unavailable`, and the caller decides.
- A connection belongs to one call: closing the iterator closes it, and the service stops writing (M3).
"""

import asyncio
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from penstock.adapters.models.server_events import TRANSIENT, Completion, message
from penstock.errors import Missing, PenstockError, Refused, Unavailable
from penstock.ports.chat_model import ChatEnd, ChatRequest, TextDelta

if TYPE_CHECKING:
    import ssl

    import httpx2

_LOCAL = frozenset({"127.0.0.1", "localhost", "::1"})
_OPERATION = "chat"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatOptions:
    """How a service is asked. `tokens_field` and `temperature` follow what its models take; `extra` is sent as it is."""

    tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    takes_temperature: bool = True
    tells_usage: bool = True
    key_hint: str = "give api_key"
    extra: Mapping[str, Any] = field(default_factory=dict[str, Any])
    connect_timeout_s: float = 10.0
    # Between two pieces of an answer; large models may think this long before the first one.
    read_timeout_s: float = 120.0
    attempts_max: int = 4
    delay_s: float = 0.5
    delay_s_max: float = 20.0
    answer_chars_max: int = 2_000_000
    event_bytes_max: int = 1_000_000
    error_bytes_max: int = 65_536


class OpenAICompatibleModel:
    """A model behind an OpenAI-compatible address. `provider` is the first half of its name.

    Raises `Missing` without the extra.
    """

    def __init__(
        self,
        model: str,
        base_url: str,
        api_key: str | None = None,
        *,
        provider: str = "openai",
        options: ChatOptions | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        try:
            import httpx2
        except ImportError as error:
            raise Missing("httpx2, which asks chat models,", "pip install 'penstock[models]'") from error
        self._http = httpx2
        self._model = model
        self._url = f"{base_url.rstrip('/')}/chat/completions"
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._provider = provider
        self._options = options or ChatOptions()
        self._sleep = sleep
        self._tls: ssl.SSLContext | None = None

    @property
    def name(self) -> str:
        return f"{self._provider}:{self._model}"

    async def stream(self, request: ChatRequest) -> AsyncGenerator[TextDelta | ChatEnd]:
        body = self._body(request)
        for attempt in range(1, self._options.attempts_max + 1):
            completion = Completion(self._provider, self._model)
            chars = 0
            try:
                async with self._answer(body) as events:
                    async for event in events:
                        if text := completion.text(event.data):
                            chars += len(text)
                            yield TextDelta(text)
                        if chars > self._options.answer_chars_max:
                            completion.reason, completion.has_ended = "length", True
                            break
                completion.check_whole()
            except (self._http.TransportError, self._http.DecodingError, self._http.StreamError) as error:
                reason = f"{type(error).__name__}: {error}".rstrip(": ")
                await self._wait(attempt, chars, Unavailable(self._provider, _OPERATION, reason), cause=error)
            except _Later as later:
                await self._wait(attempt, chars, later.error, after_s=later.after_s, cause=later)
            except Unavailable as error:
                await self._wait(attempt, chars, error, cause=error.__cause__)
            else:
                yield ChatEnd(completion.model, completion.reason, completion.usage)
                return

    def _body(self, request: ChatRequest) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self._model,
            "messages": [{"role": message.role, "content": message.content} for message in request.messages],
            "stream": True,
            self._options.tokens_field: request.tokens_max,
        }
        if self._options.takes_temperature:
            body["temperature"] = request.temperature
        if self._options.tells_usage:
            body["stream_options"] = {"include_usage": True}
        return {**body, **self._options.extra}

    @asynccontextmanager
    async def _answer(self, body: Mapping[str, Any]) -> "AsyncGenerator[httpx2.EventSource]":
        options, http = self._options, self._http
        address = urlsplit(self._url)
        is_local = address.hostname in _LOCAL
        if self._tls is None and address.scheme == "https":
            # Reading the certificates takes longer than a small answer: once is enough.
            self._tls = http.create_ssl_context()
        timeout = http.Timeout(options.read_timeout_s, connect=options.connect_timeout_s)
        headers = {**self._headers, "Accept": "text/event-stream"}
        async with (
            # A proxy could not reach what runs on this machine.
            http.AsyncClient(timeout=timeout, verify=self._tls or True, trust_env=not is_local) as client,
            client.stream("POST", self._url, json=body, headers=headers) as response,
        ):
            if not response.is_success:
                raise await self._refusal(response)
            kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
            if kind != "text/event-stream":
                raise Refused(
                    f"{self._url} answered with {kind or 'no content type'} instead of a stream", "check base_url"
                )
            yield http.EventSource(response, max_event_size=options.event_bytes_max)

    async def _refusal(self, response: "httpx2.Response") -> "PenstockError | _Later":
        said = bytearray()
        async for chunk in response.aiter_bytes():
            said += chunk
            if len(said) > self._options.error_bytes_max:
                break
        status = response.status_code
        reason = f"status {status}: {message(said)}"
        if status in TRANSIENT or status >= 500:  # noqa: PLR2004 - HTTP's own
            after_s = _seconds(response.headers.get("retry-after", ""))
            return _Later(Unavailable(self._provider, _OPERATION, reason), after_s)
        if status in (401, 403):
            return Missing(f"a key that {self._provider} accepts ({reason})", self._options.key_hint)
        if status == 404:  # noqa: PLR2004 - HTTP's own
            return Missing(f"the model {self.name} at {self._url} ({reason})", "check the model's name and the address")
        return Refused(f"{self._provider} refused the request ({reason})")

    async def _wait(
        self, attempt: int, chars: int, error: Unavailable, *, after_s: float = 0.0, cause: BaseException | None
    ) -> None:
        """Wait before the next attempt, or raise `error` when there is none to be made."""
        options = self._options
        if chars or attempt >= options.attempts_max or after_s > options.delay_s_max:
            raise error from cause
        growing_s = min(options.delay_s * 2 ** (attempt - 1), options.delay_s_max)
        # Jitter, so that callers who were turned away together do not come back together.
        await self._sleep(max(after_s, growing_s * (0.5 + random.random() / 2)))


class _Later(Exception):
    """The service said no for now: not before `after_s`, if it says."""

    def __init__(self, error: Unavailable, after_s: float) -> None:
        super().__init__(error, after_s)
        self.error = error
        self.after_s = after_s


def _seconds(retry_after: str) -> float:
    """Read a Retry-After header (RFC 9110, 10.2.3) in seconds. Its other form, a date, is left to the growing delay."""
    try:
        return max(0.0, float(retry_after))
    except ValueError:
        return 0.0
