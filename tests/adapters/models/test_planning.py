import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.adapters.models.planning import PARTS_MAX, parts


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("How do I sort a list?", ["How do I sort a list?"]),
        ("how do I sort a list", ["How do I sort a list?"]),
        (
            "How do I open a file and read it line by line?",
            ["How do I open a file and read it line by line?"],
        ),
        (
            "What is a semaphore? How does a barrier differ?",
            ["What is a semaphore?", "How does a barrier differ?"],
        ),
        (
            "How do I parse JSON, and what happens with NaN values?",
            ["How do I parse JSON?", "What happens with NaN values?"],
        ),
        (
            "What is the difference between a list and a tuple?",
            ["What is the difference between a list and a tuple?", "What is a list?", "What is a tuple?"],
        ),
        (
            "I have a big CSV file. How do I read it?",
            ["I have a big CSV file. How do I read it?"],
        ),
        ("binary heaps", ["binary heaps"]),
        ("", [""]),
    ],
)
def test_a_question_is_split_where_another_one_begins(question, expected):
    assert parts(question) == expected


def test_a_follow_up_carries_the_topic_of_the_last_question():
    assert parts("and how do I cancel it?", ["How do I start a thread pool?", "How do I create an asyncio task?"]) == [
        "How do I cancel it (create asyncio task)?"
    ]


def test_a_chain_of_follow_ups_carries_the_first_topic():
    assert parts("What about its errors?", ["How do I create an asyncio task?", "And how do I stop it?"]) == [
        "What about its errors (create asyncio task)?"
    ]


def test_a_bare_follow_up_carries_the_topic():
    assert parts("And the timeout?", ["How do I create an asyncio task?"]) == ["The timeout (create asyncio task)?"]


def test_a_short_question_of_its_own_carries_nothing():
    assert parts("What is a tuple?", ["How do I create an asyncio task?"]) == ["What is a tuple?"]


def test_a_question_of_its_own_carries_nothing():
    assert parts("How do I read a CSV file?", ["How do I create an asyncio task?"]) == ["How do I read a CSV file?"]


def test_the_question_itself_is_no_history():
    assert parts("How do I cancel it?", ["How do I create an asyncio task?", "How do I cancel it?"]) == [
        "How do I cancel it (create asyncio task)?"
    ]


@given(st.text(max_size=300), st.lists(st.text(max_size=100), max_size=3))
def test_there_are_one_to_four_parts_of_any_text(question, history):
    found = parts(question, history)
    assert 1 <= len(found) <= PARTS_MAX
    assert found == parts(question, history)


def test_many_questions_are_joined_in_the_last_part():
    found = parts(" ".join(f"What is number{n} of list{n}?" for n in range(9)))
    assert len(found) == PARTS_MAX
    assert "list8" in found[-1]
