import json
from pathlib import Path

import pytest

import penstock
from penstock.adapters.documents.python_docs import open_python_docs
from penstock.runtime.models import Prompts

DEMO = Path(penstock.__file__).parent / "demo"
QUESTIONS = [json.loads(line) for line in (DEMO / "questions.jsonl").read_text("utf-8").splitlines()]


@pytest.fixture(scope="module")
def sources():
    docs = open_python_docs(readmes=False)
    return {passage.metadata["source"] for each in docs for passage in each.passages}


def test_there_are_sixty_different_questions():
    assert len({each["question"] for each in QUESTIONS}) == len(QUESTIONS) == 60
    assert all(set(each) == {"question", "expected"} and each["expected"] for each in QUESTIONS)


def test_every_expected_source_is_documented_here(sources):
    assert [name for each in QUESTIONS for name in each["expected"] if name not in sources] == []


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
