"""The journal: which call a record belongs to, and what a step returned, as it was returned."""

import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw, Struct
from numpy.typing import NDArray
from pydantic import BaseModel

from penstock.core.agents.journal import (
    STEP_BYTES_MAX,
    Journal,
    StepRecord,
    decode_chunk,
    decode_value,
    encode_chunk,
    encode_value,
)
from penstock.errors import Invalid, LimitReached

names = st.sampled_from(["search", "model", "a#0", ""])


class Model(BaseModel):
    name: str
    at: datetime
    inner: "Model | None" = None


class Record(Struct):
    name: str
    body: bytes
    pair: tuple[int, str] = (1, "a")


class Colour(Enum):
    RED = "red"


@dataclass
class Whole:
    model: Model
    record: Record
    colours: dict[str, Colour]
    vector: Any = field(default_factory=list)


MODEL = Model(
    name="n", at=datetime(2026, 1, 31, tzinfo=UTC), inner=Model(name="i", at=datetime(2026, 2, 1, tzinfo=UTC))
)
RECORD = Record("r", b"\x00\xff", (2, "b"))


# which call


@given(st.lists(names))
def test_each_call_of_a_name_has_a_number(calls):
    journal = Journal()
    counts = {}
    for name in calls:
        expected = f"{name}#{counts.get(name, 0)}"
        assert journal.upcoming_step(name) == expected
        assert journal.upcoming_step(name) == expected  # asking does not count
        assert journal.next_step(name) == expected
        counts[name] = counts.get(name, 0) + 1


@given(st.lists(names, min_size=1, max_size=8), st.randoms())
def test_calls_side_by_side_find_their_records_whatever_order_they_ended_in(calls, random):
    journal = Journal()
    steps = [journal.next_step(name) for name in calls]
    ended = list(steps)
    random.shuffle(ended)
    for step in ended:
        journal.record(step, encode_value(f"of {step}", step), 1)
    resumed = Journal(decode_chunk(encode_chunk(journal.fresh)), stored=1)
    for name, step in zip(calls, steps, strict=True):
        assert decode_value(resumed.find(resumed.next_step(name)), str) == f"of {step}"


def test_another_attempt_asks_for_the_same_steps():
    journal = Journal()
    first = [journal.next_step("a"), journal.next_step("a"), journal.next_step("b")]
    journal.rewind()
    assert [journal.next_step("a"), journal.next_step("a"), journal.next_step("b")] == first


def test_what_was_not_executed_is_not_found():
    journal = Journal()
    assert journal.find("a#0") is None
    journal.record("a#0", encode_value(None, "a#0"), 1)
    assert decode_value(journal.find("a#0"), Any) is None
    assert journal.find("a#0") is not None
    assert journal.find("a#1") is None


def test_what_was_recorded_is_fresh_until_it_is_taken_and_known_for_good():
    journal = Journal([StepRecord("a#0", Raw(b"\x01"), 1)], stored=1)
    journal.record("b#0", b"\x02", 2)
    assert journal.fresh == [StepRecord("b#0", Raw(b"\x02"), 2)]
    assert (len(journal), journal.stored) == (2, 1)
    journal.fresh.clear()
    assert bytes(journal.find("b#0")) == b"\x02"


def test_a_result_has_a_largest_size():
    journal = Journal()
    journal.record("a#0", bytes(STEP_BYTES_MAX), 1)
    with pytest.raises(LimitReached, match="the result of step a#1, in bytes, is"):
        journal.record("a#1", bytes(STEP_BYTES_MAX + 1), 1)
    assert journal.find("a#1") is None


@given(st.lists(st.tuples(st.text(), st.text() | st.integers(-(2**63), 2**64 - 1), st.integers(0, 2**53))))
def test_a_chunk_is_read_as_it_was_written(entries):
    records = [StepRecord(step, Raw(encode_value(value, step)), at_ms) for step, value, at_ms in entries]
    again = decode_chunk(encode_chunk(records))
    assert [(each.step, bytes(each.value), each.at_ms) for each in again] == [
        (each.step, bytes(each.value), each.at_ms) for each in records
    ]


def test_records_do_not_hold_the_bytes_they_were_read_from():
    body = bytearray(encode_chunk([StepRecord("a#0", Raw(b"\xa1x"), 1)]))
    (record,) = decode_chunk(bytes(body))
    assert bytes(record.value) == b"\xa1x"
    assert len(bytes(record.value)) == 2


# values

plain_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(plain_values)
def test_plain_data_comes_back_as_it_was(value):
    assert decode_value(encode_value(value, "s"), Any) == value


@pytest.mark.parametrize(
    ("value", "to"),
    [
        (MODEL, Model),
        ([MODEL, MODEL], list[Model]),
        ({"a": MODEL, "b": None}, dict[str, Model | None]),
        (RECORD, Record),
        (Whole(MODEL, RECORD, {"x": Colour.RED}), Whole),
        (b"\x00\xff", bytes),
        ((1, "a", b"b"), tuple[int, str, bytes]),
        ({1: "a", 2: "b"}, dict[int, str]),
        ({"a"}, set[str]),
        (datetime(2026, 1, 31, 12, tzinfo=UTC), datetime),
        (UUID(int=7), UUID),
        (Decimal("1.10"), Decimal),
        (Colour.RED, Colour),
        (None, Model | None),
        (1.5, float),
        ({"any": [1]}, object),
    ],
    # A set has no order of its own, and each test process must find the same names.
    ids=lambda value: (
        value.__name__ if isinstance(value, type) else str(sorted(value) if isinstance(value, set) else value)[:40]
    ),
)
def test_a_value_comes_back_as_its_type(value, to):
    assert decode_value(encode_value(value, "s"), to) == value


@pytest.mark.parametrize(
    ("value", "to"),
    [
        (np.arange(6.0).reshape(2, 3), np.ndarray),
        (np.arange(3), NDArray[np.int64]),
        (np.zeros((0,)), NDArray[np.float64]),
    ],
    ids=["matrix", "integers", "empty"],
)
def test_an_array_comes_back_as_an_array(value, to):
    again = decode_value(encode_value(value, "s"), to)
    assert isinstance(again, np.ndarray)
    assert again.dtype == value.dtype
    assert np.array_equal(again, value)


@pytest.mark.parametrize("value", [np.float64(1.5), np.float32(0.25), np.int64(-3), np.bool_(True)], ids=repr)
def test_a_number_of_numpy_comes_back_as_its_kind(value):
    again = decode_value(encode_value(value, "s"), type(value))
    assert (type(again), again) == (type(value), value)
    assert decode_value(encode_value(value, "s"), Any) == value.item()


@pytest.mark.parametrize(
    "value",
    [object(), threading.Lock(), lambda: 1, 2**64, {"a": {1j}}, "half \ud800"],
    ids=lambda value: type(value).__name__,
)
def test_what_cannot_be_stored_is_said_of_the_step(value):
    with pytest.raises(Invalid, match="cannot accept the result of step search#0"):
        encode_value(value, "search#0")


def test_a_value_that_holds_itself_is_invalid():
    loop = []
    loop.append(loop)
    with pytest.raises(Invalid):
        encode_value(loop, "a#0")


@pytest.mark.parametrize(
    ("value", "to"),
    [
        ("text", int),
        ({"name": 1}, Model),
        ({"name": "n"}, Record),
        ([1], threading.Thread),
        ("x", NDArray[np.int64] | int),
    ],
    ids=["text", "model", "struct", "class", "union"],
)
def test_what_does_not_fit_is_invalid(value, to):
    with pytest.raises(Invalid, match="a recorded value"):
        decode_value(encode_value(value, "s"), to)
