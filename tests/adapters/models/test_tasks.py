"""Goals become tasks that can be done one after the other."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.adapters.models.extractive import ExtractiveModel
from penstock.adapters.models.tasks import TASKS_MAX, tasks
from penstock.ports.chat_model import ChatRequest, Message, TextDelta


def shape(goal):
    return [(each["type"], each["description"], each["depends_on"]) for each in tasks(goal)]


def test_a_question_is_one_task():
    assert shape("How long does SQS keep messages?") == [("retrieve", "How long does SQS keep messages", [])]


def test_what_is_compared_is_looked_up_first_side_by_side():
    assert shape("Compare how long Kafka and Redis Streams keep messages.") == [
        ("retrieve", "How long does Kafka keep messages?", []),
        ("retrieve", "How long does Redis Streams keep messages?", []),
        ("compare", "Compare how long Kafka and Redis Streams keep messages", ["t1", "t2"]),
    ]


def test_what_is_summed_up_is_looked_up_first():
    assert [each[1] for each in shape("Summarize the retention of Kafka, NATS and RabbitMQ")] == [
        "What is known about the retention of Kafka?",
        "What is known about the retention of NATS?",
        "What is known about the retention of RabbitMQ?",
        "Summarize the retention of Kafka, NATS and RabbitMQ",
    ]


def test_then_and_it_say_what_depends_on_what():
    assert shape("Find the price, find the weight, then compare them and email the result to Bob. Book a table.") == [
        ("retrieve", "Find the price", []),
        ("retrieve", "Find the weight", []),
        ("compare", "Compare them", ["t1", "t2"]),
        ("email", "Email the result to Bob", ["t1", "t2", "t3"]),
        ("book", "Book a table", []),
    ]


@pytest.mark.parametrize("goal", ["", "?", "and then", "compare", "Compare and", "summarize"])
def test_what_says_nothing_does_no_harm(goal):
    assert all(each["description"] for each in tasks(goal))


words = st.sampled_from(
    "find compare summarize then and it them Kafka NATS price , . ; ? email the to with book how finally".split()  # noqa: SIM905
)


@given(st.lists(words, max_size=60).map(" ".join) | st.text(max_size=200))
def test_a_task_depends_on_those_before_it_only(goal):
    found = tasks(goal)
    assert len(found) <= TASKS_MAX
    for number, each in enumerate(found):
        assert each["id"] == f"t{number + 1}"
        assert set(each["depends_on"]) <= {before["id"] for before in found[:number]}
        assert each["description"].strip()


async def test_the_offline_model_answers_the_prompt_for_tasks():
    request = ChatRequest(
        (Message("user", "..."),), prompt="tasks", inputs={"goal": "Compare a and b", "feedback": None}
    )
    pieces = [each async for each in ExtractiveModel().stream(request)]
    text = "".join(each.text for each in pieces if isinstance(each, TextDelta))
    assert json.loads(text) == tasks("Compare a and b")
