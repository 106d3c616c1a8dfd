"""Any provider that pydantic-ai knows (Anthropic, Google, Bedrock, Cohere ...) (extra `penstock[providers]`).

- Only its direct requests are used: no agent loop, no tools, no retries of its own beside those of the provider's client.
- Keys come from the environment variables that the provider's own client reads.
"""

from collections.abc import AsyncGenerator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from penstock.errors import Missing, Refused, Unavailable
from penstock.ports.chat_model import ChatEnd, ChatRequest, TextDelta, Usage

if TYPE_CHECKING:
    from collections.abc import Generator

    from pydantic_ai.messages import ModelMessage
    from pydantic_ai.models import Model

_TRANSIENT = frozenset({408, 409, 425, 429})
_REASONS: dict[str, Literal["stop", "length", "refused"]] = {"length": "length", "content_filter": "refused"}


def open_pydantic_ai_model(spec: str) -> "PydanticAiModel":
    """Open "provider:model". Raises `Missing` when a package, a key or the provider itself is not there."""
    try:
        from pydantic_ai.exceptions import UserError
        from pydantic_ai.models import infer_model
    except ImportError as error:
        raise Missing("pydantic-ai, which speaks to other providers,", "pip install 'penstock[providers]'") from error
    provider = spec.partition(":")[0]
    try:
        return PydanticAiModel(infer_model(spec), spec)
    except ImportError as error:
        hint = f"pip install 'pydantic-ai-slim[{provider}]'"
        raise Missing(f"the package for the provider {provider!r}", hint) from error
    except UserError as error:
        raise Missing(f"what the model {spec!r} needs ({error})", "set the key it names, or check the name") from error


class PydanticAiModel:
    """A model of pydantic-ai's, under the name `name`."""

    def __init__(self, model: "Model", name: str) -> None:
        self._model = model
        self._name = name

    @property
    def name(self) -> str:
        return self._name

    async def stream(self, request: ChatRequest) -> AsyncGenerator[TextDelta | ChatEnd]:
        from pydantic_ai.direct import model_request_stream
        from pydantic_ai.settings import ModelSettings

        settings = ModelSettings(max_tokens=request.tokens_max, temperature=request.temperature)
        with self._errors():
            async with model_request_stream(self._model, _messages(request), model_settings=settings) as stream:
                async for event in stream:
                    if text := _text(event):
                        yield TextDelta(text)
                answer = stream.get()
        usage = Usage(answer.usage.input_tokens, answer.usage.output_tokens)
        reason = _REASONS.get(answer.finish_reason or "stop", "stop")
        yield ChatEnd(answer.model_name or self._name, reason, usage)

    @contextmanager
    def _errors(self) -> "Generator[None]":
        from pydantic_ai.exceptions import AgentRunError, ModelHTTPError, UnexpectedModelBehavior, UserError

        provider = self._name.partition(":")[0]
        try:
            yield
        except ModelHTTPError as error:
            if error.status_code in _TRANSIENT or error.status_code >= 500:  # noqa: PLR2004 - HTTP's own
                raise Unavailable(provider, "chat", str(error)) from error
            if error.status_code in (401, 403, 404):
                hint = "set the provider's key, and check the model's name"
                raise Missing(f"a key or model that {provider} accepts ({error})", hint) from error
            raise Refused(f"{provider} refused the request ({error})") from error
        except UnexpectedModelBehavior as error:
            raise Refused(f"{provider} gave an answer that cannot be read ({error})", "try another model") from error
        except AgentRunError as error:
            raise Unavailable(provider, "chat", str(error)) from error
        except UserError as error:
            raise Missing(f"what the model {self._name!r} needs ({error})", "set what it names") from error


def _messages(request: ChatRequest) -> "list[ModelMessage]":
    from pydantic_ai.messages import ModelRequest, ModelResponse, SystemPromptPart, TextPart, UserPromptPart

    messages: list[ModelMessage] = []
    for message in request.messages:
        match message.role:
            case "assistant":
                messages.append(ModelResponse(parts=[TextPart(message.content)]))
            case "system":
                messages.append(ModelRequest(parts=[SystemPromptPart(message.content)]))
            case "user":
                messages.append(ModelRequest(parts=[UserPromptPart(message.content)]))
    return messages


def _text(event: Any) -> str:
    from pydantic_ai.messages import PartDeltaEvent, PartStartEvent, TextPart, TextPartDelta

    match event:
        case PartStartEvent(part=TextPart(content=text)) | PartDeltaEvent(delta=TextPartDelta(content_delta=text)):
            return text
        case _:
            return ""
