"""Events as the outside sees them: what we write is a CloudEvent, and what is one is read."""

import json
import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.core.events.cloudevents import from_cloudevent, to_cloudevent
from penstock.core.events.codec import decode, encode
from penstock.core.events.envelope import Envelope
from penstock.errors import Invalid

ROOT = Path(__file__).parents[3]
CORPUS = ROOT / os.environ.get("PENSTOCK_CORPUS", "../shared/corpus") / "cloudevents"
NOW_MS = 1_700_000_000_000
MINIMAL = {"specversion": "1.0", "id": "1", "source": "/s", "type": "T.v1"}

needs_corpus = pytest.mark.skipif(
    not CORPUS.is_dir(), reason="NO CORPUS: set PENSTOCK_CORPUS to the folder of the corpora"
)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
some_text = st.text(min_size=1)
envelopes = st.builds(
    Envelope,
    some_text,
    some_text,
    some_text,
    st.text(),
    st.integers(-62_135_596_800_000, 253_402_300_799_999),  # the years 1 to 9999
    json_values.map(lambda value: json.dumps(value).encode()),
    some_text,
    some_text,
    st.text(),
    st.integers(0, 2**31 - 1),
    st.text(),
)


@given(envelopes)
def test_an_event_comes_back_from_the_outside_as_it_went(event):
    document = json.loads(json.dumps(to_cloudevent(event)))
    again = from_cloudevent(document, now_ms=0)
    assert json.loads(again.data) == json.loads(event.data)
    for name in set(Envelope.__struct_fields__) - {"data"}:
        assert getattr(again, name) == getattr(event, name), name


@given(
    st.dictionaries(
        st.sampled_from([*MINIMAL, "subject", "time", "data", "data_base64", "tenant", "depth"]), json_values
    )
)
def test_any_document_is_an_event_or_invalid(changes):
    try:
        event = from_cloudevent({**MINIMAL, **changes}, now_ms=NOW_MS)
    except Invalid:
        return
    assert decode(encode(event)) == event


def test_what_is_not_said_gets_a_default():
    event = from_cloudevent(MINIMAL, now_ms=NOW_MS)
    assert event == Envelope("1", "/s", "T.v1", "", NOW_MS, b"null", "default", "1", "", 0, "")


def test_an_attribute_that_is_null_is_not_set():
    nulls = dict.fromkeys(("subject", "time", "data", "data_base64", "tenant", "correlationid", "depth", "traceparent"))
    assert from_cloudevent({**MINIMAL, **nulls}, now_ms=NOW_MS) == from_cloudevent(MINIMAL, now_ms=NOW_MS)


@pytest.mark.parametrize(
    ("time", "time_ms"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T00:00:00.001Z", 1),
        ("1970-01-01t00:00:01z", 1000),
        ("1970-01-01T01:00:00+01:00", 0),
        ("1969-12-31T23:59:59.999-00:00", -1),
        ("2018-04-05T17:31:00.123456789Z", 1_522_949_460_123),
    ],
)
def test_a_time_is_read_in_any_zone(time, time_ms):
    assert from_cloudevent({**MINIMAL, "time": time}, now_ms=NOW_MS).time_ms == time_ms


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("id", ""),
        ("id", 7),
        ("id", "half \ud800"),
        ("source", None),
        ("type", ["T"]),
        ("specversion", "0.3"),
        ("specversion", 1.0),
        ("time", "yesterday"),
        ("time", "2018-04-05T17:31:00"),
        ("time", 1_522_949_460),
        ("subject", 7),
        ("subject", "half \udfff"),
        ("tenant", {}),
        ("depth", -1),
        ("depth", True),
        ("depth", 1.5),
        ("depth", 2**31),
        ("depth", 2**70),
        ("data", "half \ud800"),
        ("data_base64", "Zm9vYg=="),
    ],
)
def test_what_is_wrong_is_named(name, value):
    with pytest.raises(Invalid) as refusal:
        from_cloudevent({**MINIMAL, name: value}, now_ms=NOW_MS)
    assert [finding.path for finding in refusal.value.findings] == [name]


def test_all_that_is_wrong_is_said_at_once():
    with pytest.raises(Invalid) as refusal:
        from_cloudevent({"time": "x", "subject": 1, "depth": "deep", "data_base64": ""}, now_ms=NOW_MS)
    assert [finding.path for finding in refusal.value.findings] == [
        "id",
        "source",
        "type",
        "specversion",
        "time",
        "subject",
        "depth",
        "data_base64",
    ]


@needs_corpus
@given(envelopes)
def test_what_we_write_keeps_the_schema_of_the_specification(event):
    schema = json.loads((CORPUS / "cloudevents.schema.json").read_text())
    document = to_cloudevent(event)
    assert set(schema["required"]) <= set(document)
    for name, value in document.items():
        assert re.fullmatch("[a-z0-9]+", name), f"{name} is no name of an attribute"
        if name in schema["properties"]:
            rule = schema["definitions"][schema["properties"][name]["$ref"].rpartition("/")[2]]
            assert kind_of(value) in rule["type"]
            assert not isinstance(value, str) or len(value) >= rule.get("minLength", 0)


@needs_corpus
def test_the_examples_of_the_specification_are_read():
    read = refused = 0
    for document in examples():
        if document.get("data_base64") is not None:
            with pytest.raises(Invalid, match="data_base64: binary data is not taken"):
                from_cloudevent(document, now_ms=NOW_MS)
            refused += 1
            continue
        event = from_cloudevent(document, now_ms=NOW_MS)
        again = to_cloudevent(event)
        for name in ("id", "source", "type", "specversion", "correlationid", "causationid"):
            if name in document:
                assert again[name] == document[name]
        assert again.get("subject", "") == (document.get("subject") or "")
        assert again["data"] == document.get("data")
        assert decode(encode(event)) == event
        read += 1
    assert (read >= 20, refused >= 2) == (True, True), (read, refused)


def examples():
    """Return the JSON events in the text of the specification, those in batches too."""
    for example in json.loads((CORPUS / "spec_examples.json").read_text(encoding="utf-8")):
        if example["kind"] == "json":
            document = json.loads(example["text"])
            yield from document if isinstance(document, list) else [document]


def kind_of(value):
    kinds = {dict: "object", str: "string", int: "number", float: "number", list: "array", bool: "boolean"}
    return "null" if value is None else kinds[type(value)]
