import pytest

from penstock.errors import Refused, Unavailable
from penstock.ports.chat_model import ChatRequest, Message, TextDelta
from penstock.testing.chat_model_contract import ASKED, ChatModelContract, Question, pieces
from penstock.testing.scripted_model import ScriptedModel


class TestScriptedModel(ChatModelContract):
    @pytest.fixture
    def model(self):
        return ScriptedModel({"describe": "It brings\nwater to a turbine."})

    @pytest.fixture
    def refusing(self):
        return Question(ScriptedModel([]), ASKED)

    @pytest.fixture
    def open_calls(self):
        async def none():
            return 0

        return none


async def said(model, prompt=""):
    request = ChatRequest((Message("user", "?"),), prompt=prompt)
    return "".join(piece.text for piece in await pieces(model.stream(request)) if isinstance(piece, TextDelta))


async def test_replies_come_one_after_the_other():
    model = ScriptedModel(["one  two \n", ""])
    assert [await said(model), await said(model)] == ["one  two \n", ""]
    with pytest.raises(Refused, match="no reply to request 3"):
        await said(model)


async def test_replies_are_chosen_by_prompt():
    model = ScriptedModel({"plan": "a", "answer": "b"})
    assert [await said(model, "answer"), await said(model, "answer"), await said(model, "plan")] == ["b", "b", "a"]
    with pytest.raises(Refused, match="it knows: answer, plan"):
        await said(model, "other")


async def test_an_error_in_the_script_is_raised_once():
    model = ScriptedModel([Unavailable("model", "chat"), "fine"])
    with pytest.raises(Unavailable):
        await said(model)
    assert await said(model) == "fine"


async def test_what_was_asked_is_kept():
    model = ScriptedModel(["a"])
    await said(model, "plan")
    assert [request.prompt for request in model.requests] == ["plan"]
