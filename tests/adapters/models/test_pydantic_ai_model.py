import pytest

from penstock.errors import Missing, Refused, Unavailable
from penstock.ports.chat_model import ChatEnd, ChatRequest, Message, TextDelta, Usage
from penstock.testing.chat_model_contract import ASKED, ChatModelContract, Question, pieces

pytest.importorskip("pydantic_ai", reason="the extra penstock[providers] is not installed: its adapter is not tested")

from pydantic_ai.exceptions import ModelAPIError, ModelHTTPError, UnexpectedModelBehavior
from pydantic_ai.messages import ModelRequest, ModelResponse
from pydantic_ai.models.function import FunctionModel
from pydantic_ai.models.test import TestModel as CannedModel

from penstock.adapters.models.pydantic_ai_model import PydanticAiModel, open_pydantic_ai_model


def failing(error):
    async def stream(_messages, _info):
        raise error
        yield ""

    return PydanticAiModel(FunctionModel(stream_function=stream), "anthropic:claude")


class TestPydanticAiModel(ChatModelContract):
    @pytest.fixture
    def model(self):
        return PydanticAiModel(CannedModel(custom_output_text="It brings water to a turbine."), "test:canned")

    @pytest.fixture
    def refusing(self):
        return Question(failing(ModelHTTPError(400, "claude", "too long")), ASKED)

    @pytest.fixture
    def open_calls(self):
        async def none():
            return 0

        return none


async def test_messages_and_settings_reach_the_model_and_usage_comes_back():
    heard = []

    async def stream(messages, info):
        heard.append((messages, info.model_settings))
        yield "So "
        yield "it is."

    model = PydanticAiModel(FunctionModel(stream_function=stream), "test:function")
    request = ChatRequest(
        (Message("system", "s"), Message("user", "u"), Message("assistant", "a"), Message("user", "v")), tokens_max=7
    )
    *deltas, end = await pieces(model.stream(request))
    [(messages, settings)] = heard
    assert deltas == [TextDelta("So "), TextDelta("it is.")]
    assert isinstance(end, ChatEnd)
    assert end.usage != Usage()
    assert [part.content for message in messages for part in message.parts] == ["s", "u", "a", "v"]
    assert [type(message) for message in messages] == [ModelRequest, ModelRequest, ModelResponse, ModelRequest]
    assert (settings["max_tokens"], settings["temperature"]) == (7, 0.0)


@pytest.mark.parametrize(
    ("foreign", "ours"),
    [
        (ModelHTTPError(429, "claude"), Unavailable),
        (ModelHTTPError(503, "claude"), Unavailable),
        (ModelHTTPError(401, "claude"), Missing),
        (ModelHTTPError(404, "claude"), Missing),
        (ModelHTTPError(422, "claude"), Refused),
        (ModelAPIError("claude", "connection lost"), Unavailable),
        (UnexpectedModelBehavior("what is this"), Refused),
    ],
)
async def test_foreign_errors_become_ours(foreign, ours):
    with pytest.raises(ours) as raised:
        await pieces(failing(foreign).stream(ASKED))
    assert raised.value.__cause__ is foreign


def test_a_provider_that_is_not_known_is_missing():
    with pytest.raises(Missing, match="nowhere:model"):
        open_pydantic_ai_model("nowhere:model")
