"""The offline reasoner: a chat model that quotes instead of writing, so that everything runs without network or key.

- It never invents: an answer is made of the passages' own sentences, or says that there are none.
- It is deterministic, and does nothing but compute: the same request streams the same words.
"""

import json
import re
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any, TypeVar

import msgspec

from penstock.adapters.models.answering import answer, verdict
from penstock.adapters.models.planning import parts
from penstock.adapters.models.sentences import GivenPassage, split
from penstock.adapters.models.tasks import tasks
from penstock.core.knowledge.words import terms
from penstock.errors import Refused
from penstock.ports.chat_model import ChatEnd, ChatRequest, Message, TextDelta, Usage

NAME = "offline:extractive"
INPUT_CHARS_MAX = 100_000
SUMMARY_SENTENCES_MAX = 3


class ExtractiveModel:
    """Works on a request's `inputs`, by the name of its `prompt`: plan, tasks, answer, evaluate; else it summarises.

    `plan` gives `{"parts": [...]}` (1 to 4 sub-questions), `tasks` a list of `{"id", "type", "description", "depends_on"}`,
    `answer` quotes with marks `[1]`, `evaluate` gives YES or NO and a line that says why. Raises `Refused` when the
    inputs lack what the prompt needs.
    """

    @property
    def name(self) -> str:
        return NAME

    async def stream(self, request: ChatRequest) -> AsyncGenerator[TextDelta | ChatEnd]:
        words = re.findall(r"\s*\S+", _said(request))
        allowed = words[: max(0, request.tokens_max)]
        for word in allowed:
            yield TextDelta(word)
        read = sum(len(message.content.split()) for message in request.messages)
        reason = "stop" if len(allowed) == len(words) else "length"
        yield ChatEnd(NAME, reason, Usage(read, len(allowed)))


class _Plan(msgspec.Struct):
    question: str
    history: list[Message] = []


class _Tasks(msgspec.Struct):
    goal: str


class _Answer(msgspec.Struct):
    question: str
    passages: list[GivenPassage]
    feedback: str | None = None


class _Evaluate(msgspec.Struct):
    question: str
    answer: str
    passages: list[GivenPassage]


Inputs = TypeVar("Inputs", _Plan, _Tasks, _Answer, _Evaluate)


def _said(request: ChatRequest) -> str:
    said = _PROMPTS.get(request.prompt)
    return said(request.inputs) if said else _summary(request)


def _plan(values: Mapping[str, Any]) -> str:
    given = _inputs("plan", values, _Plan)
    asked = [message.content for message in given.history if message.role == "user"]
    return json.dumps({"parts": parts(given.question[:INPUT_CHARS_MAX], asked)}, ensure_ascii=False)


def _tasks(values: Mapping[str, Any]) -> str:
    return json.dumps(tasks(_inputs("tasks", values, _Tasks).goal[:INPUT_CHARS_MAX]), ensure_ascii=False)


def _answer(values: Mapping[str, Any]) -> str:
    given = _inputs("answer", values, _Answer)
    return answer(given.question[:INPUT_CHARS_MAX], given.passages, feedback=given.feedback)


def _evaluate(values: Mapping[str, Any]) -> str:
    given = _inputs("evaluate", values, _Evaluate)
    return str(verdict(given.question[:INPUT_CHARS_MAX], given.answer[:INPUT_CHARS_MAX], given.passages))


_PROMPTS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "plan": _plan,
    "tasks": _tasks,
    "answer": _answer,
    "evaluate": _evaluate,
}


def _inputs(prompt: str, values: Mapping[str, Any], shape: type[Inputs]) -> Inputs:
    try:
        return msgspec.convert(values, shape, from_attributes=True)
    except msgspec.ValidationError as error:
        fields = ", ".join(shape.__struct_fields__)
        raise Refused(
            f"the offline model cannot work on these inputs ({error})", f"give {prompt!r}: {fields}"
        ) from error


def _summary(request: ChatRequest) -> str:
    text = next((message.content for message in reversed(request.messages) if message.role == "user"), "")
    found = split(text[:INPUT_CHARS_MAX])
    counts: dict[str, int] = {}
    for term in terms(text[:INPUT_CHARS_MAX]):
        counts[term] = counts.get(term, 0) + 1

    def weight(index: int) -> float:
        said = frozenset(terms(found[index]))
        return sum(counts[term] for term in said) / (len(said) + 5)

    best = sorted(sorted(range(len(found)), key=lambda index: (-weight(index), index))[:SUMMARY_SENTENCES_MAX])
    summary = " ".join(found[index] for index in best)
    return f"This is the offline extractive model, which quotes and does not write. In short: {summary}".strip()
