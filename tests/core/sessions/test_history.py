"""A session shows its newest messages, and counts all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.core.sessions.history import MESSAGES_MAX, History, SessionMessage, decode_messages, encode_messages
from penstock.errors import Invalid

messages = st.builds(
    SessionMessage,
    st.sampled_from(["system", "user", "assistant", "tool"]),
    st.text(),
    st.integers(-(2**63), 2**63 - 1),
)


@given(st.lists(st.lists(messages, max_size=30), max_size=8))
def test_the_newest_messages_stay_and_all_are_counted(additions):
    history, oracle = History(), []
    for added in additions:
        history.add(added)
        oracle += added
        assert list(history.messages) == oracle[-MESSAGES_MAX:]
        assert history.number == len(oracle)


def test_a_session_goes_on_from_its_number():
    history = History([SessionMessage("user", "a")], number=7)
    history.add([SessionMessage("assistant", "b")])
    assert ([message.content for message in history.messages], history.number) == (["a", "b"], 8)


@given(st.lists(messages))
def test_messages_are_read_as_they_were_written(added):
    assert decode_messages(encode_messages(added)) == added


@pytest.mark.parametrize(
    "body", [b"", b"\xc1", b"\x91\x92\xa5robot\xa1x", b"\x91\x92\xa4user\xa1\xff", b"\x91" * 100_000]
)
def test_damaged_messages_are_invalid(body):
    with pytest.raises(Invalid, match="a stored session"):
        decode_messages(body)
