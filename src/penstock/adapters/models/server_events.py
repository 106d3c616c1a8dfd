"""What a streaming chat completion says: the events of OpenAI's format, as our pieces of an answer.

Format: https://platform.openai.com/docs/api-reference/chat-streaming. Servers that speak it differ in small things, so
what is not there is not missed: no role, no `[DONE]` after a finish reason, no usage, fields of their own.
"""

from dataclasses import dataclass, field
from typing import Any, Literal, cast

import msgspec
from msgspec import Struct

from penstock.errors import PenstockError, Refused, Unavailable
from penstock.ports.chat_model import Usage

DONE = "[DONE]"
REASON_CHARS_MAX = 300
_REASONS: dict[str, Literal["stop", "length", "refused"]] = {"length": "length", "content_filter": "refused"}


class _Delta(Struct, frozen=True):
    content: str | None = None
    refusal: str | None = None


class _Choice(Struct, frozen=True):
    delta: _Delta = _Delta()
    finish_reason: str | None = None


class _Tokens(Struct, frozen=True):
    prompt_tokens: int = 0
    completion_tokens: int = 0


class _Chunk(Struct, frozen=True):
    model: str | None = None
    choices: list[_Choice] | None = None
    usage: _Tokens | None = None
    error: Any = None


@dataclass(slots=True)
class Completion:
    """What is known of an answer so far. It is whole once it `has_ended`."""

    provider: str
    model: str
    has_ended: bool = False
    reason: Literal["stop", "length", "refused"] = "stop"
    usage: Usage = field(default_factory=Usage)

    def text(self, data: str) -> str:
        """Take in the data of an event, and return the text that it adds (often none).

        Raises `Unavailable` or `Refused` when the server reports an error in the midst, or sends what is no chunk.
        """
        if data == DONE:
            self.has_ended = True
            return ""
        try:
            chunk = _CHUNK.decode(data)
        except msgspec.DecodeError as error:
            raise Unavailable(self.provider, "chat", f"sent what is no chunk of an answer: {error}") from error
        if chunk.error is not None:
            raise self._error(chunk.error)
        self.model = chunk.model or self.model
        if chunk.usage:
            self.usage = Usage(chunk.usage.prompt_tokens, chunk.usage.completion_tokens)
        return "".join(self._said(choice) for choice in chunk.choices or ())

    def check_whole(self) -> None:
        """Raise `Unavailable` if the server stopped in the midst of the answer."""
        if not self.has_ended:
            raise Unavailable(self.provider, "chat", "the answer was cut off")

    def _said(self, choice: _Choice) -> str:
        if choice.finish_reason:
            self.has_ended = True
            if self.reason == "stop":
                self.reason = _REASONS.get(choice.finish_reason, "stop")
        if choice.delta.refusal:
            self.reason = "refused"
        return (choice.delta.content or "") + (choice.delta.refusal or "")

    def _error(self, error: Any) -> PenstockError:
        status = cast("dict[str, Any]", error).get("code") if isinstance(error, dict) else None
        reason = f"in the midst of the answer: {message(error)}"
        if isinstance(status, int) and 400 <= status < 500 and status not in TRANSIENT:  # noqa: PLR2004 - HTTP's own
            return Refused(f"{self.provider} refused {reason}")
        return Unavailable(self.provider, "chat", reason)


# Request time-out, conflict, too early, too many requests: the same request may pass later.
TRANSIENT = frozenset({408, 409, 425, 429})
_CHUNK = msgspec.json.Decoder(_Chunk)


def message(body: Any) -> str:
    """Return what an error says of itself: `{"error": {"message": ...}}`, `{"message": ...}`, or any text."""
    if isinstance(body, (bytes, bytearray)):
        text = body.decode("utf-8", errors="replace")
        try:
            return message(msgspec.json.decode(body))
        except msgspec.DecodeError:
            return " ".join(text.split())[:REASON_CHARS_MAX]
    if isinstance(body, dict):
        fields = cast("dict[str, Any]", body)
        for name in ("error", "message", "detail"):
            if fields.get(name):
                return message(fields[name])
    return " ".join(str(cast("object", body)).split())[:REASON_CHARS_MAX]
