"""Asking a model from within a handler: the prompt is rendered from its file, the answer is a step and a live stream.

A prompt is a Markdown file; `{name}` stands for an input. Its name is recorded with the hash of its text, so that a decision
can be traced to the words that led to it.
"""

import re
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from hashlib import blake2b
from pathlib import Path
from typing import Any, Protocol, cast

import msgspec
from msgspec import Struct

from penstock.core.agents.journal import plain_of
from penstock.core.sessions.history import SessionMessage
from penstock.core.telemetry.meters import Meters
from penstock.errors import Missing
from penstock.ports.chat_model import ChatEnd, ChatModel, ChatRequest, Message, TextDelta
from penstock.runtime.tracing import Traces
from penstock.runtime.tracing_calls import chatted

_PLACEHOLDER = re.compile(r"\{([a-z_][a-z0-9_]*)\}")


class Reply(Struct, frozen=True):
    """What a model answered, which one it was, with which prompt, and what it cost in tokens."""

    text: str
    model: str
    prompt: str = ""
    tokens_in: int = 0
    tokens_out: int = 0


class Asker(Protocol):
    """The handler that asks."""

    async def read(self, name: str, call: Callable[..., Any], /, *args: Any, **options: Any) -> Any: ...
    def tell(self, text: str, *, name: str = "") -> None: ...


class Prompts:
    """The prompt files of an app, read once."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._texts: dict[str, str] = {}

    def text(self, name: str) -> str:
        """Return the text of a prompt; `Missing` when there is no such file."""
        if name not in self._texts:
            path = None if self._folder is None else self._folder / f"{name}.md"
            if path is None or not path.is_file():
                raise Missing(f"the prompt {name!r}", f"write it to {path or 'a folder given as App(prompts=...)'}")
            self._texts[name] = path.read_text(encoding="utf-8")
        return self._texts[name]

    def rendered(self, name: str, inputs: Mapping[str, Any]) -> str:
        """Return a prompt with its inputs in place; `Missing` when one is not given."""

        def value(match: re.Match[str]) -> str:
            if match[1] not in inputs:
                raise Missing(
                    f"the input {match[1]!r} of prompt {name!r}", f"give ask(prompt={name!r}, {match[1]}=...)"
                )
            return _shown(inputs[match[1]])

        return _PLACEHOLDER.sub(value, self.text(name))

    def version(self, name: str) -> str:
        """Return the prompt's name with the hash of its text."""
        return f"{name}@{blake2b(self.text(name).encode(), digest_size=4).hexdigest()}"


class Models:
    """The chat models of an app by name, opened when first asked."""

    def __init__(self, opened: Callable[[str], ChatModel], prompts: Prompts) -> None:
        self._open = opened
        self._models: dict[str, ChatModel] = {}
        self.prompts = prompts
        self.meters = Meters()
        self.monotonic_s: Callable[[], float] = float
        self.traces: Traces | None = None

    def opened(self, name: str) -> ChatModel:
        """Return a model by its name in the app; the default one for a name that the app does not declare."""
        if name not in self._models:
            self._models[name] = self._open(name)
        return self._models[name]

    def bound(self, name: str, asker: Asker) -> "BoundModel":
        return BoundModel(self.opened(name), self.prompts, asker, self)


class BoundModel:
    """A model in the hands of a handler."""

    __slots__ = ("_asker", "_model", "_of", "_prompts")

    def __init__(self, model: ChatModel, prompts: Prompts, asker: Asker, of: Models) -> None:
        self._model = model
        self._prompts = prompts
        self._asker = asker
        self._of = of

    @property
    def name(self) -> str:
        return self._model.name

    def quiet(self) -> "BoundModel":
        """Return the same model, whose answers are not shown on their way: they are not for who follows the run."""
        return BoundModel(self._model, self._prompts, _Quiet(self._asker), self._of)

    async def ask(self, text: str = "", *, prompt: str = "", system: str = "", **inputs: Any) -> Reply:
        """Ask, and return the whole answer; its pieces are streamed to whoever listens to the run.

        Give `text`, or the name of a `prompt` with its inputs. `Unavailable`, `Refused` and `Missing` come from the model.
        """
        content = self._prompts.rendered(prompt, inputs) if prompt else text
        messages = (Message("system", system), Message("user", content)) if system else (Message("user", content),)
        plain: dict[str, Any] = {name: _plain(value) for name, value in inputs.items()}
        request = ChatRequest(messages, prompt=prompt, inputs=plain)
        version = self._prompts.version(prompt) if prompt else ""
        return await self._asker.read(f"ask:{prompt or 'text'}", self._answer, request, version)

    async def _answer(self, request: ChatRequest, version: str) -> Reply:
        meters, began_s = self._of.meters, self._of.monotonic_s()
        try:
            answer, traces = self._whole(request, version), self._of.traces
            reply = await (
                answer if traces is None else chatted(traces, self.name, version, request.tokens_max, answer)
            )
        except Exception:
            meters.model_errors.add(self._model.name)
            raise
        finally:
            meters.model_calls.observe(self._of.monotonic_s() - began_s, self._model.name)
        meters.tokens.add(self._model.name, "in", by=reply.tokens_in)
        meters.tokens.add(self._model.name, "out", by=reply.tokens_out)
        return reply

    async def _whole(self, request: ChatRequest, version: str) -> Reply:
        parts: list[str] = []
        end = ChatEnd(model=self._model.name)
        stream = self._model.stream(request)
        # A model that leaves the stream open goes on costing: it is closed however this ends (M3).
        async with aclosing(closable(stream)) as pieces:
            async for piece in pieces:
                if isinstance(piece, TextDelta):
                    parts.append(piece.text)
                    self._asker.tell(piece.text, name=request.prompt)
                else:
                    end = piece
        usage = end.usage
        return Reply("".join(parts), end.model, version, usage.tokens_in, usage.tokens_out)


class _Quiet:
    """A handler that asks for itself."""

    def __init__(self, asker: Asker) -> None:
        self._asker = asker

    async def read(self, name: str, call: Callable[..., Any], /, *args: Any, **options: Any) -> Any:
        return await self._asker.read(name, call, *args, **options)

    def tell(self, text: str, *, name: str = "") -> None:
        """Tell nobody."""


async def closable(stream: Any) -> AsyncGenerator[TextDelta | ChatEnd]:
    """Give what a stream gives, and close it, if it can be closed."""
    try:
        async for piece in stream:
            yield piece
    finally:
        close = getattr(stream, "aclose", None)
        if close is not None:
            await close()


def _plain(value: Any) -> Any:
    """Return an input as plain data. Messages are stored without the names of their fields, and get them here."""
    if isinstance(value, SessionMessage):
        return {"role": value.role, "content": value.content}
    if isinstance(value, list | tuple | deque):
        return [_plain(each) for each in cast("list[Any]", value)]
    return msgspec.to_builtins(value, enc_hook=plain_of)


def _shown(value: Any) -> str:
    """Return an input as a model reads it: passages numbered, messages by role, lists as lines."""
    plain = _plain(value)
    if plain is None:
        return "(none)"
    if isinstance(plain, str):
        return plain
    if isinstance(plain, list):
        items = cast("list[Any]", plain)
        return "\n".join(_shown_item(number, item) for number, item in enumerate(items, start=1)) or "(none)"
    return msgspec.json.encode(plain).decode()


def _shown_item(number: int, item: Any) -> str:
    match item:
        case {"role": role, "content": content}:
            return f"{role}: {content}"
        case {"text": text, "source": source}:
            return f"[{number}] ({source}) {text}"
        case str():
            return f"- {item}"
        case _:
            return f"[{number}] {msgspec.json.encode(item).decode()}"
