"""A chat model that says what a test told it to, word by word."""

import re
from collections.abc import AsyncGenerator, Mapping, Sequence

from penstock.errors import PenstockError, Refused
from penstock.ports.chat_model import ChatEnd, ChatRequest, TextDelta, Usage

Replies = Sequence[str | PenstockError] | Mapping[str, str | PenstockError]


class ScriptedModel:
    """Answers with `replies`: one after the other, or by the name of the prompt. An error among them is raised.

    What was asked is kept in `requests`. A request that the script has no reply to is `Refused`.
    """

    def __init__(self, replies: Replies, *, name: str = "scripted:test") -> None:
        self.requests: list[ChatRequest] = []
        self._name = name
        self._by_prompt = dict(replies) if isinstance(replies, Mapping) else None
        self._in_order = [] if isinstance(replies, Mapping) else list(replies)

    @property
    def name(self) -> str:
        return self._name

    async def stream(self, request: ChatRequest) -> AsyncGenerator[TextDelta | ChatEnd]:
        self.requests.append(request)
        reply = self._reply(request)
        if isinstance(reply, PenstockError):
            raise reply
        words = re.findall(r"\s*\S+\s*$|\s*\S+|\s+$", reply)
        for word in words:
            yield TextDelta(word)
        yield ChatEnd(self._name, usage=Usage(0, len(words)))

    def _reply(self, request: ChatRequest) -> str | PenstockError:
        if self._by_prompt is None:
            if self._in_order:
                return self._in_order.pop(0)
            return Refused(
                f"the script has no reply to request {len(self.requests)}", "give ScriptedModel more replies"
            )
        if request.prompt in self._by_prompt:
            return self._by_prompt[request.prompt]
        known = ", ".join(sorted(self._by_prompt)) or "none"
        return Refused(f"the script has no reply to the prompt {request.prompt!r}", f"it knows: {known}")
