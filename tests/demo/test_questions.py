import json
from pathlib import Path

import pytest

import penstock
from penstock.adapters.documents.python_docs import open_python_docs
from penstock.runtime.models import Prompts

DEMO = Path(penstock.__file__).parent / "demo"
# Kept to measure search, and harder: topics are asked for without looking at how they are documented, riddles also
# avoid the usual names. See docs/demo.md.
SETS = {
    "questions": DEMO / "questions.jsonl",
    "topics": Path(__file__).with_name("topics.jsonl"),
    "riddles": Path(__file__).with_name("riddles.jsonl"),
}


@pytest.fixture(params=SETS)
def questions(request):
    return [json.loads(line) for line in SETS[request.param].read_text("utf-8").splitlines()]


@pytest.fixture(scope="module")
def sources():
    docs = open_python_docs(readmes=False)
    return {passage.metadata["source"] for each in docs for passage in each.passages}


def test_there_are_sixty_different_questions(questions):
    assert len({each["question"] for each in questions}) == len(questions) == 60
    assert all(set(each) == {"question", "expected"} and each["expected"] for each in questions)


def test_every_expected_source_is_documented_here(questions, sources):
    assert [name for each in questions for name in each["expected"] if name not in sources] == []


@pytest.mark.parametrize(
    ("prompt", "inputs"),
    [
        ("plan", {"question", "history"}),
        ("answer", {"question", "passages", "history", "feedback"}),
        ("evaluate", {"question", "answer", "passages"}),
    ],
)
def test_a_prompt_has_a_place_for_each_of_its_inputs(prompt, inputs):
    text = Prompts(DEMO / "prompts").text(prompt)
    assert all(f"{{{name}}}" in text for name in inputs)
    rendered = Prompts(DEMO / "prompts").rendered(prompt, {name: f"<{name}>" for name in inputs})
    assert all(f"<{name}>" in rendered for name in inputs)
