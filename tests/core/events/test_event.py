"""What users subclass: its names, its versions, and what is said about data that does not fit."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.core.events.event import Event
from penstock.errors import Invalid


class Question(Event, key="session_id"):
    session_id: str
    text: str
    weight: float = 1.0
    tags: list[str] = []


class FollowUpQuestion(Question):
    of: str


class PlainV2(Event, topic="odd/Topic", version=2):
    pass


@pytest.mark.parametrize(
    ("name", "topic"),
    [
        ("Question", "question"),
        ("FollowUpQuestion", "follow-up-question"),
        ("HTTPRequest", "http-request"),
        ("RequestHTTP", "request-http"),
        ("V2Answer", "v2-answer"),
        ("A", "a"),
        ("snake_case", "snake_case"),
    ],
)
def test_a_topic_is_the_name_in_kebab_case(name, topic):
    assert type(name, (Event,), {}).topic_ == topic


def test_a_class_may_say_its_topic_key_and_version():
    assert (PlainV2.topic_, PlainV2.type_, PlainV2.version_, PlainV2.key_) == ("odd/Topic", "PlainV2.v2", 2, None)
    assert (Question.topic_, Question.type_, Question.version_, Question.key_) == (
        "question",
        "Question.v1",
        1,
        "session_id",
    )


def test_a_subclass_has_its_own_name_and_inherits_the_key():
    assert (FollowUpQuestion.topic_, FollowUpQuestion.type_) == ("follow-up-question", "FollowUpQuestion.v1")
    assert FollowUpQuestion.key_ == "session_id"


def test_a_subclass_may_have_another_key():
    class Moved(Question, key="text"):
        pass

    assert (Moved.key_, Question.key_) == ("text", "session_id")


@given(st.text(), st.text(), st.floats(allow_nan=False, allow_infinity=False), st.lists(st.text()))
def test_an_event_is_read_as_it_was_written(session_id, text, weight, tags):
    event = Question(session_id=session_id, text=text, weight=weight, tags=tags)
    assert Question.decoded(event.encoded()) == event
    assert Question.checked(event.model_dump()) == event


def test_an_event_never_changes():
    with pytest.raises(ValueError, match="frozen"):
        Question(session_id="s", text="t").text = "u"


@pytest.mark.parametrize(
    "read", [Question.checked, lambda values: Question.decoded(as_json(values))], ids=["values", "JSON"]
)
def test_all_that_is_wrong_is_said_at_once(read):
    with pytest.raises(Invalid) as refusal:
        read({"text": 7, "tags": ["a", 1], "extra": True})
    findings = {finding.path: finding.problem for finding in refusal.value.findings}
    assert set(findings) == {"session_id", "text", "tags.1", "extra"}
    assert "not permitted" in findings["extra"]
    assert refusal.value.what == "the data of Question.v1"


@pytest.mark.parametrize("data", ["", "null", "[]", "{", "\x00", b"\xff", "[" * 100_000, '{"text": "\\ud800"}', "NaN"])
def test_what_is_no_event_is_invalid(data):
    with pytest.raises(Invalid):
        Question.decoded(data)


@given(st.binary())
def test_any_bytes_are_an_event_or_invalid(data):
    with pytest.raises(Invalid):
        Question.decoded(data)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_a_number_that_json_does_not_have_is_refused_before_it_is_written(number):
    with pytest.raises(Invalid, match=r"weight: .*finite"):
        Question.checked({"session_id": "s", "text": "t", "weight": number})


def test_half_a_character_is_invalid_when_it_is_written():
    with pytest.raises(Invalid, match="the data of Question"):
        Question(session_id="s", text="\ud800").encoded()


def as_json(values):
    return str(values).replace("'", '"').replace("True", "true")
