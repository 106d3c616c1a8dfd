import json

import pytest

from penstock.adapters.models.extractive import NAME, ExtractiveModel
from penstock.errors import Refused
from penstock.ports.chat_model import ChatEnd, ChatRequest, Message, TextDelta
from penstock.testing.chat_model_contract import ChatModelContract, Question, pieces

PASSAGES = [
    {
        "id": "textwrap#dedent",
        "source": "textwrap.dedent",
        "text": "textwrap.dedent(text)\n\nRemove any common leading whitespace from every line in `text`.\n\n"
        "This can be used to make triple-quoted strings line up with the left edge of the display.\n\n"
        "In textwrap: Text wrapping and filling.",
    },
    {
        "id": "textwrap#wrap",
        "source": "textwrap.wrap",
        "text": "textwrap.wrap(text, width=70, **kwargs)\n\nWrap a single paragraph of text, returning a list of wrapped lines.\n\n"
        "Reformat the single paragraph in 'text' so it fits in lines of no more than 'width' columns.",
    },
]
QUESTION = "How do I remove the whitespace that all lines of a text begin with?"


async def said(prompt, tokens_max=1024, **inputs):
    found = await pieces(ExtractiveModel().stream(ChatRequest((), prompt=prompt, inputs=inputs, tokens_max=tokens_max)))
    return "".join(piece.text for piece in found if isinstance(piece, TextDelta))


async def answered(question, feedback=None, passages=PASSAGES):
    return await said("answer", question=question, passages=passages, history=[], feedback=feedback)


async def judged(question, answer, passages=PASSAGES):
    return await said("evaluate", question=question, answer=answer, passages=passages)


class TestExtractiveModel(ChatModelContract):
    @pytest.fixture
    def model(self):
        return ExtractiveModel()

    @pytest.fixture
    def refusing(self):
        return Question(ExtractiveModel(), ChatRequest((), prompt="answer", inputs={"question": "no passages"}))

    @pytest.fixture
    def open_calls(self):
        async def none():
            return 0

        return none


async def test_a_plan_is_json():
    assert json.loads(await said("plan", question="What is a lock, and how do I free it?", history=[])) == {
        "parts": ["What is a lock?", "How do I free it (lock)?"]
    }


async def test_a_plan_resolves_a_follow_up_from_the_history():
    history = [{"role": "user", "content": "How do I start an asyncio task?"}, {"role": "assistant", "content": "So."}]
    plan = json.loads(await said("plan", question="and how do I cancel it?", history=history))
    assert plan == {"parts": ["How do I cancel it (start asyncio task)?"]}


async def test_an_answer_quotes_and_cites():
    assert (await answered(QUESTION)).startswith(
        "textwrap.dedent(text): Remove any common leading whitespace from every line in `text`. [1]"
    )


async def test_an_answer_is_streamed_word_by_word_and_names_the_offline_model():
    found = await pieces(
        ExtractiveModel().stream(ChatRequest((), prompt="answer", inputs={"question": QUESTION, "passages": PASSAGES}))
    )
    assert found[0] == TextDelta("textwrap.dedent(text):")
    assert found[1] == TextDelta(" Remove")
    assert isinstance(found[-1], ChatEnd)
    assert found[-1].model == NAME == "offline:extractive"


async def test_what_no_passage_supports_is_said_to_be_missing():
    assert await answered("What is the capital of France?") == (
        "I found nothing in the documents about capital France."
    )
    assert await answered(QUESTION, passages=[]) == (
        "I found nothing in the documents about remove whitespace lines text begin."
    )


async def test_one_shared_word_is_a_coincidence():
    answer = await answered("Who wrote this text in Paris?")
    assert answer.startswith("I found no direct answer. The nearest in the documents is this: textwrap.dedent(text): ")
    assert answer.endswith("[1]")
    assert (await judged("Who wrote this text in Paris?", answer)).startswith("YES\n")


@pytest.mark.parametrize(
    ("question", "quote", "why"),
    [
        (QUESTION, "Remove any common leading whitespace from every line in `text`. [1]", "do answer it"),
        ("Who wrote this text in Paris?", "It is by Victor Hugo. [1]", "does not say"),
        (
            "Who is Ada?",
            "Wrap a single paragraph of text, returning a list of wrapped lines. [2]",
            "nothing to do with",
        ),
        ("Who wrote this text in Paris?", "", "cites no passage"),
    ],
)
async def test_a_nearest_quote_has_to_be_one_and_the_best_there_is(question, quote, why):
    said = await judged(question, f"I found no direct answer. The nearest in the documents is this: {quote}")
    assert said.startswith("NO\n")
    assert why in said


async def test_feedback_leads_to_another_answer():
    first = await answered(QUESTION)
    second = await answered(QUESTION, feedback="The answer is not good.")
    assert second != first
    assert second == await answered(QUESTION, feedback="The answer is not good.")


async def test_a_sentence_that_feedback_quotes_is_dropped():
    blamed = "Remove any common leading whitespace from every line in `text`."
    assert blamed in await answered(QUESTION)
    assert blamed not in await answered(QUESTION, feedback=f"Passage [1] does not say: {blamed}")


async def test_its_own_answers_stand():
    assert (await judged(QUESTION, await answered(QUESTION))).startswith("YES\nEvery sentence stands")


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ("It bakes bread. [1]", "Passage [1] does not say: It bakes bread."),
        ("Wrap a single paragraph of text, returning a list of wrapped lines. [1]", "Passage [1] does not say: Wrap"),
        ("Remove any common leading whitespace from every line in `text`. [7]", "Passage [7] does not say: Remove"),
        ("Remove any common leading whitespace from every line in `text`.", "This cites no passage: Remove"),
        ("Remove any common leading whitespace from every line in `text`. [1] And more.", "This cites no passage: And"),
        ("", "This cites no passage: (the answer is empty)"),
        ("I found nothing in the documents about it.", "The passages do speak of it"),
        ("Reformat the single paragraph in 'text'. [2]", "The answer says too little about: "),
    ],
)
async def test_an_answer_is_turned_down_with_the_reason(answer, why):
    verdict = await judged(QUESTION, answer)
    assert verdict.startswith(f"NO\n{why}")


async def test_a_quote_may_differ_in_white_space_and_carry_its_name():
    assert (
        await judged(QUESTION, "textwrap.dedent: Remove any common\nleading whitespace from every line in text. [2][1]")
    ).startswith("YES")


async def test_an_honest_answer_without_passages_stands():
    assert (await judged("Who is Ada?", "I found nothing in the documents about Ada.")).startswith("YES\n")


async def test_any_other_prompt_is_summarised_as_what_it_is():
    text = "Water drives the turbine. The weather was fine. The turbine drives the generator by water."
    found = await pieces(ExtractiveModel().stream(ChatRequest((Message("user", text),), prompt="report")))
    answer = "".join(piece.text for piece in found if isinstance(piece, TextDelta))
    assert answer.startswith("This is the offline extractive model, which quotes and does not write.")
    assert "Water drives the turbine." in answer


async def test_an_answer_ends_at_the_tokens_that_are_allowed():
    request = ChatRequest((), prompt="answer", inputs={"question": QUESTION, "passages": PASSAGES}, tokens_max=2)
    *words, end = await pieces(ExtractiveModel().stream(request))
    assert len(words) == 2
    assert end.reason == "length"


async def test_inputs_of_another_shape_are_refused_with_what_is_needed():
    with pytest.raises(Refused, match="give 'evaluate': question, answer, passages"):
        await judged("a question", 5)


@pytest.mark.parametrize("text", ["", "\0", "🙂 " * 1000, "字" * 5000, "x" * 100_000, "[1] [2] [[3]]", "# \n```"])
async def test_any_text_is_answered_and_judged(text):
    passages = [{"id": "a", "source": text[:50], "text": text}, {"id": "b", "source": "b", "text": ""}]
    answer = await answered(text, passages=passages)
    assert (await judged(text, answer, passages)).partition("\n")[0] in {"YES", "NO"}
    assert 1 <= len(json.loads(await said("plan", question=text, history=[]))["parts"]) <= 4
