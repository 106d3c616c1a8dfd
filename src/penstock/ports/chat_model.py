"""A model that answers in words. Its contract, as tests: `penstock.testing.chat_model_contract`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any, Literal, Protocol

from msgspec import Struct

Role = Literal["system", "user", "assistant"]


class Message(Struct, frozen=True):
    """One turn of a conversation."""

    role: Role
    content: str


class ChatRequest(Struct, frozen=True):
    """What is asked of a model.

    `messages` is what a language model reads. `prompt` and `inputs` are the name of the prompt and the values it was
    rendered from, for models that work on the values themselves (the offline extractive one does).
    """

    messages: tuple[Message, ...]
    prompt: str = ""
    inputs: Mapping[str, Any] = {}
    temperature: float = 0.0
    tokens_max: int = 1024


class Usage(Struct, frozen=True):
    """Tokens read and written, as the model counts them; 0 where it does not say."""

    tokens_in: int = 0
    tokens_out: int = 0


class TextDelta(Struct, frozen=True):
    """The next piece of the answer."""

    text: str


class ChatEnd(Struct, frozen=True):
    """The end of the answer: why it ended, what it cost, which model gave it."""

    model: str
    reason: Literal["stop", "length", "refused"] = "stop"
    usage: Usage = Usage()


class ChatModel(Protocol):
    """A model behind one method.

    Every implementation guarantees:

    M1 shape   `stream` yields any number of `TextDelta`, then exactly one `ChatEnd`, and nothing after it.
    M2 errors  Only `Unavailable` (ask again), `Refused` (do not) and `Missing` (no such model or key) come out.
    M3 cancel  Closing the iterator ends the call to the model; no further tokens are paid for.
    M4 name    `name` tells provider and model: "openai:gpt-4.1-mini".
    """

    @property
    def name(self) -> str: ...

    def stream(self, request: ChatRequest) -> AsyncIterator[TextDelta | ChatEnd]: ...
