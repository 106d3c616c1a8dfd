"""`bedrock:invokeModel`: the request bodies of the common model families, as one question, and the answer in the family's form.

The family is told by the model's id (`anthropic.claude-...`, `us.amazon.nova-...`), and else by the body.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, cast

from msgspec import Struct

from penstock.core.asl.services.problems import identity
from penstock.core.asl.values import Json, parsed_json

Role = Literal["system", "user", "assistant"]
TOKENS_MAX: Final = 1024
_ROLES: Final = ("system", "user", "assistant")


class Question(Struct, frozen=True):
    """What a model is asked, whatever the family."""

    family: str
    messages: tuple[tuple[Role, str], ...]
    temperature: float = 0.0
    tokens_max: int = TOKENS_MAX


class Answer(Struct, frozen=True):
    """What a model answered. `reason`: stop, length or refused."""

    text: str
    model: str
    reason: str = "stop"
    tokens_in: int = 0
    tokens_out: int = 0


class NoQuestion(Exception):
    """A body that no family has. The text says what is wrong with it, as Bedrock would."""


def model_name(model_id: str) -> str:
    """Return the model's name in an id or an ARN."""
    return model_id.rpartition("/")[2]


def question_of(model_id: str, body: Json) -> Question:
    """Read a request body; raise `NoQuestion`."""
    if isinstance(body, str):
        try:
            body = parsed_json(body)
        except ValueError as error:
            raise NoQuestion("Malformed input request, please reformat your input and try again.") from error
    if not isinstance(body, dict):
        raise NoQuestion(
            "Malformed input request: #: expected type: JSONObject, please reformat your input and try again."
        )
    family = family_of(model_name(model_id), body)
    try:
        return _READERS[family](body)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        missing = f"#: required key [{error.args[0]}] not found" if isinstance(error, KeyError) else str(error)
        raise NoQuestion(f"Malformed input request: {missing}, please reformat your input and try again.") from error


def family_of(name: str, body: Mapping[str, Any]) -> str:
    """Return the family whose form a body has."""
    for mark, family in _MARKS.items():
        if mark in name:
            return "openai" if family == "mistral" and "messages" in body else family
    if "anthropic_version" in body:
        return "anthropic"
    if "inputText" in body:
        return "titan"
    if "inferenceConfig" in body or "schemaVersion" in body:
        return "nova"
    if "messages" in body:
        return "openai"
    return "llama" if "max_gen_len" in body else "mistral"


def answer_of(question: Question, answer: Answer, key: str) -> dict[str, Json]:
    """Return the body of the answer in the form of the question's family."""
    return _WRITERS[question.family](answer, key)


def _anthropic(body: Mapping[str, Any]) -> Question:
    messages = [*_system(body.get("system")), *_messages(body["messages"])]
    return Question("anthropic", tuple(messages), _temperature(body), int(body["max_tokens"]))


def _nova(body: Mapping[str, Any]) -> Question:
    config = _object(body.get("inferenceConfig"))
    tokens_max = int(config.get("maxTokens", config.get("max_new_tokens", TOKENS_MAX)))
    messages = [*_system(body.get("system")), *_messages(body["messages"])]
    return Question("nova", tuple(messages), _temperature(config), tokens_max)


def _openai(body: Mapping[str, Any]) -> Question:
    tokens_max = int(body.get("max_completion_tokens", body.get("max_tokens", TOKENS_MAX)))
    return Question("openai", tuple(_messages(body["messages"])), _temperature(body), tokens_max)


def _titan(body: Mapping[str, Any]) -> Question:
    config = _object(body.get("textGenerationConfig"))
    return _prompt("titan", body["inputText"], config, config.get("maxTokenCount", TOKENS_MAX))


def _llama(body: Mapping[str, Any]) -> Question:
    return _prompt("llama", body["prompt"], body, body.get("max_gen_len", TOKENS_MAX))


def _mistral(body: Mapping[str, Any]) -> Question:
    return _prompt("mistral", body["prompt"], body, body.get("max_tokens", TOKENS_MAX))


def _prompt(family: str, text: object, config: Mapping[str, Any], tokens_max: object) -> Question:
    if not (text and isinstance(text, str)):
        raise ValueError("#: the prompt must be a text")
    return Question(family, (("user", text),), _temperature(config), int(cast("int", tokens_max)))


def _object(given: object) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", given) if isinstance(given, Mapping) else {}


def _temperature(config: Mapping[str, Any]) -> float:
    return float(config.get("temperature") or 0.0)


def _system(given: object) -> list[tuple[Role, str]]:
    text = _content(given) if given else ""
    return [("system", text)] if text else []


def _messages(given: object) -> list[tuple[Role, str]]:
    if not (given and isinstance(given, list)):
        raise ValueError("#/messages: minimum item count: 1, found: 0")
    messages: list[tuple[Role, str]] = []
    for at, each in enumerate(cast("list[Mapping[str, Any]]", given)):
        role = each["role"]
        if role not in _ROLES:
            raise ValueError(f"#/messages/{at}/role: {role} is not a valid enum value")
        messages.append((role, _content(each["content"])))
    return messages


def _content(given: object) -> str:
    """Return the text of what may be a text or a list of parts; parts that are no text are refused."""
    if isinstance(given, str):
        return given
    parts: list[str] = []
    for each in cast("list[Mapping[str, Any]]", given):
        if not isinstance(each.get("text"), str):
            kinds = ", ".join(map(str, each))
            raise TypeError(f"#/messages: only text can be asked here, not {kinds}")
        parts.append(each["text"])
    return "\n".join(parts)


def _anthropic_answer(answer: Answer, key: str) -> dict[str, Json]:
    return {
        "id": f"msg_{identity('answer', key).replace('-', '')}",
        "type": "message",
        "role": "assistant",
        "model": answer.model,
        "content": [{"type": "text", "text": answer.text}],
        "stop_reason": {"length": "max_tokens", "refused": "refusal"}.get(answer.reason, "end_turn"),
        "stop_sequence": None,
        "usage": {"input_tokens": answer.tokens_in, "output_tokens": answer.tokens_out},
    }


def _nova_answer(answer: Answer, _key: str) -> dict[str, Json]:
    total = answer.tokens_in + answer.tokens_out
    return {
        "output": {"message": {"role": "assistant", "content": [{"text": answer.text}]}},
        "stopReason": {"length": "max_tokens", "refused": "content_filtered"}.get(answer.reason, "end_turn"),
        "usage": {"inputTokens": answer.tokens_in, "outputTokens": answer.tokens_out, "totalTokens": total},
    }


def _openai_answer(answer: Answer, key: str) -> dict[str, Json]:
    finish = {"refused": "content_filter"}.get(answer.reason, answer.reason)
    total = answer.tokens_in + answer.tokens_out
    return {
        "id": f"chatcmpl-{identity('answer', key)}",
        "object": "chat.completion",
        "model": answer.model,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": answer.text}, "finish_reason": finish}],
        "usage": {"prompt_tokens": answer.tokens_in, "completion_tokens": answer.tokens_out, "total_tokens": total},
    }


def _titan_answer(answer: Answer, _key: str) -> dict[str, Json]:
    reason = {"length": "LENGTH", "refused": "CONTENT_FILTERED"}.get(answer.reason, "FINISH")
    result: dict[str, Json] = {
        "tokenCount": answer.tokens_out,
        "outputText": answer.text,
        "completionReason": reason,
    }
    return {"inputTextTokenCount": answer.tokens_in, "results": [result]}


def _llama_answer(answer: Answer, _key: str) -> dict[str, Json]:
    return {
        "generation": answer.text,
        "prompt_token_count": answer.tokens_in,
        "generation_token_count": answer.tokens_out,
        "stop_reason": answer.reason,
    }


def _mistral_answer(answer: Answer, _key: str) -> dict[str, Json]:
    return {"outputs": [{"text": answer.text, "stop_reason": answer.reason}]}


_MARKS: Final = {
    "anthropic.": "anthropic",
    "amazon.nova": "nova",
    "amazon.titan": "titan",
    "meta.llama": "llama",
    "mistral.": "mistral",
    "openai.": "openai",
}
_READERS: Final[dict[str, Callable[[Mapping[str, Any]], Question]]] = {
    "anthropic": _anthropic,
    "nova": _nova,
    "openai": _openai,
    "titan": _titan,
    "llama": _llama,
    "mistral": _mistral,
}
_WRITERS: Final[dict[str, Callable[[Answer, str], dict[str, Json]]]] = {
    "anthropic": _anthropic_answer,
    "nova": _nova_answer,
    "openai": _openai_answer,
    "titan": _titan_answer,
    "llama": _llama_answer,
    "mistral": _mistral_answer,
}
