"""What penstock puts into a broker is a CloudEvent for everybody, and comes back as it went, in both modes."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.core.events.cloudevents import from_cloudevent
from penstock.core.events.documents import id_in, of_document, to_document
from penstock.core.events.envelope import Envelope
from penstock.core.events.messages import (
    AFTER,
    STRUCTURED_HEADERS,
    UNREADABLE,
    Message,
    Place,
    arrived,
    id_of,
    to_event,
    to_message,
    to_structured,
)

PLACE = Place("t", 0, 7, "", 1_700_000_000_000)
some_text = st.text(min_size=1)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
events = st.builds(
    Envelope,
    some_text,
    some_text,
    some_text,
    st.text(),
    st.integers(0, 253_402_300_799_999),
    json_values.map(lambda value: json.dumps(value, indent=1).encode()),
    some_text,
    some_text,
    st.text(),
    st.integers(0, 2**31 - 1),
    st.text(),
    st.text(),
    st.text(),
    st.text(),
    st.sampled_from(["", "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"]),
)
WHOLE = Envelope(
    "a.b", "/shop/pack", "Packed.v1", "customer-7", 1_764_176_400_123, b'{"n": 1}', "acme", "a", "a", 2, "00-1-2-01",
    "run:flow", "pack 3", "somebody", "rojo=1",
)  # fmt: skip


@given(events, st.text())
def test_an_event_comes_back_as_it_went(event, before):
    structured = to_structured(event, before)
    assert arrived(structured, PLACE) == (event, before)
    binary = to_message(event)
    assert arrived(binary, PLACE) == (event, None)
    divided = msgspec.structs.replace(binary, headers=(*binary.headers, (AFTER, before.encode())))
    assert arrived(divided, PLACE) == (event, before)


@given(events, st.text())
def test_a_document_is_a_cloudevent_to_everybody(event, before):
    document = json.loads(to_document(event, before))
    read = from_cloudevent(document, now_ms=0)
    assert json.loads(read.data) == json.loads(event.data)
    own = {"data", "reply_run", "reply_step", "subject"}
    for name in set(Envelope.__struct_fields__) - own:
        assert getattr(read, name) == getattr(event, name), name


def test_the_document_has_plain_names():
    assert json.loads(to_document(WHOLE, "before")) == {
        "specversion": "1.0",
        "id": "a.b",
        "source": "/shop/pack",
        "type": "Packed.v1",
        "time": "2025-11-26T17:00:00.123000Z",
        "penstockafter": "before",
        "subject": "customer-7",
        "tenant": "acme",
        "correlationid": "a",
        "causationid": "a",
        "depth": 2,
        "traceparent": "00-1-2-01",
        "replyrun": "run:flow",
        "replystep": "pack 3",
        "about": "somebody",
        "tracestate": "rojo=1",
        "data": {"n": 1},
    }
    assert b'"data":{"n": 1}' in to_document(WHOLE, "")


@pytest.mark.parametrize("data", [b"", b"\xc1\x01sealed", b"{", b"nothing", b'{"a":1} {"b":2}'])
def test_what_is_no_json_has_no_document(data):
    assert to_structured(msgspec.structs.replace(WHOLE, data=data), "") is None


@pytest.mark.parametrize(("name", "value"), [("time_ms", -1), ("time_ms", 2**60), ("depth", 2**31)])
def test_what_a_document_cannot_say_has_none(name, value):
    assert to_structured(msgspec.structs.replace(WHOLE, **{name: value}), "") is None


@given(events)
def test_the_id_is_found_without_reading_the_document(event):
    document = to_document(event, "")
    assert id_in(document) in {event.id, ""}
    assert id_of(Message(document, b"", STRUCTURED_HEADERS)) == id_in(document)
    if json.dumps(event.id, ensure_ascii=False) == f'"{event.id}"':
        assert id_in(document) == event.id


@pytest.mark.parametrize(
    "document",
    [b"", b"[]", b"{", b'{"specversion":"1.0","id":"a","source":"/s","type":"T"}', b'{"specversion":"1.0","id":"'],
)
def test_a_document_of_others_is_none_of_ours(document):
    assert of_document(document) is None


def test_documents_of_others_are_read_with_their_own_rules():
    theirs = {"specversion": "1.0", "id": "x", "source": "/s", "type": "T.v1", "time": None, "data": {"n": 1}}
    event, before = arrived(Message(json.dumps(theirs).encode(), b"", STRUCTURED_HEADERS), PLACE)
    assert (event.id, event.data, event.time_ms, before) == ("x", b'{"n":1}', PLACE.now_ms, None)
    wrong = to_event(Message(b'{"specversion":"0.3"}', b"", STRUCTURED_HEADERS), PLACE)
    assert wrong.type == UNREADABLE
    assert b"specversion" in wrong.data


def test_names_of_headers_may_be_written_in_capitals_and_the_last_one_counts():
    headers = tuple((name.upper(), value) for name, value in to_message(WHOLE).headers)
    assert to_event(Message(WHOLE.data, b"customer-7", headers), PLACE) == WHOLE
    twice = (*to_message(WHOLE).headers, ("ce_type", b"Other.v1"))
    assert to_event(Message(WHOLE.data, b"", twice), PLACE).type == "Other.v1"


def test_a_number_that_is_none_is_said():
    wrong = Message(b"{}", b"", (*to_message(WHOLE).headers, ("ce_depth", b"deep")))
    event = to_event(wrong, PLACE)
    assert event.type == UNREADABLE
    assert b"ce_depth" in event.data


@pytest.mark.parametrize(("said", "read"), [(b"rojo=1, congo=2", "rojo=1,congo=2"), (b"no state", ""), (b"", "")])
def test_what_tracing_systems_of_others_say_is_read_where_it_is_some(said, read):
    headers = (("traceparent", b"00-1-2-01"), ("tracestate", said))
    assert to_event(Message(b"{}", b"", (("type", b"T.v1"), *headers)), PLACE).tracestate == read
    plain = [each for each in to_message(WHOLE).headers if "trace" not in each[0]]
    assert to_event(Message(b"{}", b"", (*plain, *headers)), PLACE).tracestate == read
