"""The contract of `ChatModel`, as tests. An adapter inherits them and supplies three fixtures.

    class TestMyModel(ChatModelContract):
        @pytest.fixture
        def model(self) -> MyModel:
            return MyModel()

        @pytest.fixture
        def refusing(self) -> Question:
            return Question(MyModel(key="wrong"), ASKED)

        @pytest.fixture
        def open_calls(self) -> OpenCalls:
            return server.open_calls      # waits for calls that are being ended; an in-process model has none

Each test names the guarantee that it checks. `ASKED` can be answered by any model, the offline one too; a model whose
answers need something else overrides `asked`. There is no way to switch a test off.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, NamedTuple

import pytest

from penstock.errors import Missing, Refused, Unavailable
from penstock.ports.chat_model import ChatEnd, ChatModel, ChatRequest, Message, TextDelta

OpenCalls = Callable[[], Awaitable[int]]

ASKED = ChatRequest(
    (Message("system", "Answer in a few words."), Message("user", "What is a penstock? It brings water to a turbine.")),
    prompt="describe",
)


class Question(NamedTuple):
    """A request to a model that will not answer it."""

    model: ChatModel
    request: ChatRequest


async def pieces(stream: AsyncIterator[TextDelta | ChatEnd]) -> list[TextDelta | ChatEnd]:
    """Return all pieces of an answer."""
    return [piece async for piece in stream]


class ChatModelContract:
    @pytest.fixture
    def asked(self) -> ChatRequest:
        return ASKED

    async def test_m1_an_answer_is_text_and_then_one_end(self, model: ChatModel, asked: ChatRequest) -> None:
        *deltas, end = await pieces(model.stream(asked))
        assert isinstance(end, ChatEnd)
        assert deltas
        assert all(isinstance(delta, TextDelta) and delta.text for delta in deltas)

    async def test_m1_nothing_follows_the_end(self, model: ChatModel, asked: ChatRequest) -> None:
        stream = model.stream(asked)
        while not isinstance(await anext(stream), ChatEnd):
            pass
        with pytest.raises(StopAsyncIteration):
            await anext(stream)

    async def test_m1_the_end_tells_what_the_answer_cost(self, model: ChatModel, asked: ChatRequest) -> None:
        end = (await pieces(model.stream(asked)))[-1]
        assert isinstance(end, ChatEnd)
        assert end.reason == "stop"
        assert end.usage.tokens_in >= 0
        assert end.usage.tokens_out >= 0

    async def test_m1_answers_to_two_callers_do_not_mix(self, model: ChatModel, asked: ChatRequest) -> None:
        alone = [piece for piece in await pieces(model.stream(asked)) if isinstance(piece, TextDelta)]
        texts: list[str] = []

        async def ask() -> None:
            found = await pieces(model.stream(asked))
            texts.append("".join(piece.text for piece in found if isinstance(piece, TextDelta)))

        async with asyncio.TaskGroup() as callers:
            for _ in range(3):
                callers.create_task(ask())
        assert texts == ["".join(piece.text for piece in alone)] * 3

    async def test_m2_only_errors_of_the_port_come_out(self, refusing: Question) -> None:
        with pytest.raises((Unavailable, Refused, Missing)) as refusal:
            await pieces(refusing.model.stream(refusing.request))
        assert ": " in str(refusal.value)

    async def test_m3_closing_the_iterator_ends_the_call(
        self, model: ChatModel, asked: ChatRequest, open_calls: OpenCalls
    ) -> None:
        stream: Any = model.stream(asked)
        async with aclosing(stream):
            assert isinstance(await anext(stream), TextDelta)
        assert await open_calls() == 0
        with pytest.raises(StopAsyncIteration):
            await anext(stream)

    async def test_m3_a_cancelled_caller_ends_the_call(
        self, model: ChatModel, asked: ChatRequest, open_calls: OpenCalls
    ) -> None:
        began = asyncio.Event()

        async def ask() -> None:
            stream: Any = model.stream(asked)
            async with aclosing(stream):
                await anext(stream)
                began.set()
                await asyncio.Event().wait()

        async with asyncio.TaskGroup() as callers:
            caller = callers.create_task(ask())
            await began.wait()
            caller.cancel()
        assert await open_calls() == 0

    async def test_m4_the_name_tells_provider_and_model(self, model: ChatModel, asked: ChatRequest) -> None:
        provider, colon, name = model.name.partition(":")
        assert provider
        assert colon
        assert name
        end = (await pieces(model.stream(asked)))[-1]
        assert isinstance(end, ChatEnd)
        assert end.model
