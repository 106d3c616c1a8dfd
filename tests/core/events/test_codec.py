"""The stored forms: they can be read back, in later releases too, and hostile bytes do nothing but be refused."""

import base64
import json
import pickle
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.core.agents.journal import decode_chunk, decode_value
from penstock.core.events.codec import VERSION, decode, encode
from penstock.core.events.envelope import Envelope, emitted_id, event_of, run_id
from penstock.core.sessions.history import decode_messages
from penstock.errors import Invalid

STORED = sorted((Path(__file__).parent / "stored").glob("*.jsonl"))
READERS = {
    "event": lambda body: msgspec.to_builtins(msgspec.structs.asdict(decode(body))),
    "journal": lambda body: [[each.step, decode_value(each.value, Any), each.at_ms] for each in decode_chunk(body)],
    "session": lambda body: msgspec.to_builtins(decode_messages(body)),
}
ANY_READER = pytest.mark.parametrize(
    "reader", [decode, decode_chunk, decode_messages, lambda body: decode_value(body, dict)], ids=[*READERS, "value"]
)

texts = st.text()
numbers = st.integers(-(2**63), 2**63 - 1)
envelopes = st.builds(
    Envelope, texts, texts, texts, texts, numbers, st.binary(), texts, texts, texts, st.integers(0, 2**31), texts
)


@given(envelopes)
def test_an_event_is_read_as_it_was_written(event):
    assert decode(encode(event)) == event


def test_an_event_of_an_older_release_lacks_the_newer_fields():
    old = VERSION + msgspec.msgpack.encode(["id", "/source", "Made.v1", "key", 1, b"{}"])
    assert decode(old) == Envelope("id", "/source", "Made.v1", "key", 1, b"{}")


def test_an_event_of_a_newer_release_may_have_more_fields():
    fields = [*msgspec.structs.astuple(Envelope("id", "/source", "Made.v1", "key", 1, b"{}")), "something new", [1, {}]]
    assert decode(VERSION + msgspec.msgpack.encode(fields)) == Envelope("id", "/source", "Made.v1", "key", 1, b"{}")


def test_an_event_of_an_unknown_form_says_what_to_do():
    with pytest.raises(Invalid, match="upgrade penstock"):
        decode(b"\x02" + encode(Envelope("id", "", "", "", 1, b""))[1:])


@pytest.mark.parametrize(
    "event",
    [Envelope("half \ud800", "", "", "", 1, b""), Envelope("a", "", "", "", 2**64, b"")],
    ids=["text", "number"],
)
def test_what_cannot_be_stored_is_invalid(event):
    with pytest.raises(Invalid):
        encode(event)


@pytest.mark.parametrize("path", STORED, ids=lambda path: path.stem)
def test_what_a_release_stored_is_read_by_this_one(path):
    kinds = set()
    for line in path.read_text(encoding="utf-8").splitlines():
        case = json.loads(line)
        kinds.add(case["kind"])
        read, meant = READERS[case["kind"]](base64.b64decode(case["body"])), revived(case["meaning"])
        if isinstance(read, dict):  # what later releases added is empty
            assert not any(value for name, value in read.items() if name not in meant)
            read = {name: value for name, value in read.items() if name in meant}
        assert read == meant
    assert kinds == set(READERS)


def test_there_are_stored_bytes_of_the_first_release():
    assert "0.1.0" in [path.stem for path in STORED]


def revived(meaning):
    """JSON has no bytes: they are written as {"base64": ...}. msgspec gives the same text for an event's data."""
    if isinstance(meaning, dict):
        if set(meaning) == {"base64"}:
            return base64.b64decode(meaning["base64"])
        return {key: revived(value) for key, value in meaning.items()}
    return [revived(each) for each in meaning] if isinstance(meaning, list) else meaning


# hostile bytes


@ANY_READER
@given(body=st.binary())
def test_any_bytes_are_read_or_invalid(reader, body):
    read_or_invalid(reader, body)
    read_or_invalid(reader, VERSION + body)


@given(st.data())
def test_a_damaged_event_is_read_or_invalid(data):
    body = bytearray(encode(data.draw(envelopes)))
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    read_or_invalid(decode, bytes(body[: data.draw(st.integers(0, len(body)))]))


@ANY_READER
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x91" * 200_000,
        b"\x93\xa1a" + b"\x91" * 200_000,
        b"\x91\x93\xa1a" + b"\x91" * 200_000,
        b"\x9c\xa1a\xa1a\xa1a\xa1a\x01\xc4\x00\xa0\xa0\xa0\x00\xa0" + b"\x91" * 200_000,
        b"\x81" * 200_000,
        b"\x91\x92\xa4user\xa1\xff",
        b"\x9b\xa1\xff",
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
        b"\xdb\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
        b"\xc7\x0c\xff" + b"\xff" * 12,
        b"\xc9\xff\xff\xff\xff\x05",
        b"\xc1",
    ],
    ids=lambda body: f"{body[:12].hex()}x{len(body)}",
)
def test_bytes_made_to_hurt_are_invalid(reader, body):
    for each in (body, VERSION + body):
        read_or_invalid(reader, each)


@ANY_READER
def test_cve_2026_28277_hostile_bytes_in_the_journal_import_and_call_nothing(reader):
    """A peer's MessagePack checkpoints name a module and a function in an extension, and loading calls it."""
    marker = "antigravity"  # a module of the standard library that opens a browser when it is imported
    call = msgspec.msgpack.encode([marker, "fly", ["x"], {}])
    extensions = [msgspec.msgpack.encode(msgspec.msgpack.Ext(code, call)) for code in range(128)]
    pickled = pickle.dumps(_Hostile())
    records = [b"\x91\x93\xa1a" + body + b"\x01" for body in extensions]
    constructor = {"lc": 2, "type": "constructor", "id": [marker, "fly"], "kwargs": {}}
    for body in [*extensions, *records, pickled, msgspec.msgpack.encode(pickled), msgspec.msgpack.encode(constructor)]:
        for each in (body, VERSION + body):
            read_or_invalid(reader, each)
    assert marker not in sys.modules
    assert not _Hostile.was_called


class _Hostile:
    was_called = False

    def __reduce__(self):
        return _called, ()


def _called():
    _Hostile.was_called = True


def read_or_invalid(reader, body):
    try:
        reader(body)
    except Invalid:
        return


# ids


@given(st.text(), st.text().filter(lambda agent: ":" not in agent))
def test_a_run_id_gives_back_its_event_and_agent(event_id, agent):
    assert event_of(run_id(event_id, agent)) == (event_id, agent)


@given(st.text(), st.text(), st.integers(0, 2**31))
def test_an_emitted_id_is_the_same_at_each_replay_and_begins_with_its_origin(run, origin, number):
    emitted = emitted_id(run, origin, number)
    assert emitted == emitted_id(run, origin, number)
    assert emitted.startswith(f"{origin}.")
    assert emitted not in {emitted_id(run, origin, number + 1), emitted_id(f"{run}x", origin, number)}
