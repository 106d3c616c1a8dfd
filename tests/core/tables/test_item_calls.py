"""What DynamoDB's calls do to an item, and what they refuse."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from table_cases import FAILS, HOLDS, ITEM, NOBODY, REFUSED, UPDATES, VALUES

from penstock.core.tables.operations import ITEM_BYTES_MAX, performed
from penstock.core.tables.refusals import CONDITION_FAILED, TableRefused
from penstock.core.tables.reserved import RESERVED
from penstock.core.tables.schema import Schema, place_of
from penstock.core.tables.values import normalised, normalised_item, size_bytes

TABLE = Schema("orders", "id")
KEY = {"id": {"S": "1"}}


def stored() -> dict[str, Any]:
    return normalised_item(ITEM)


def used(*texts: str) -> dict[str, Any]:
    """Return the values that expressions name: more would be refused."""
    names = {name for text in texts for name in re.findall(r":\w+", text)}
    return (
        {"ExpressionAttributeValues": {name: VALUES[name] for name in names if name in VALUES}}
        if names & VALUES.keys()
        else {}
    )


def updated(item: dict[str, Any] | None, **request: Any) -> Any:
    texts = [str(value) for name, value in request.items() if name.endswith("Expression")]
    return performed(TABLE, "updateItem", {"Key": KEY, **used(*texts), **request}, item)


@pytest.mark.parametrize("condition", HOLDS)
def test_a_condition_holds(condition):
    done = performed(TABLE, "deleteItem", {"Key": KEY, "ConditionExpression": condition, **used(condition)}, stored())
    assert done.item is None


@pytest.mark.parametrize("condition", FAILS)
def test_a_condition_does_not_hold(condition):
    with pytest.raises(TableRefused, match="The conditional request failed") as refused:
        performed(TABLE, "deleteItem", {"Key": KEY, "ConditionExpression": condition, **used(condition)}, stored())
    assert refused.value.code == CONDITION_FAILED


@pytest.mark.parametrize(("expression", "changed"), UPDATES)
def test_an_update_changes_just_what_it_says(expression, changed):
    before = stored()
    after = updated(before, UpdateExpression=expression).item
    expected = {name: value for name, value in (stored() | changed).items() if value is not None}
    assert after == expected
    assert before == stored()


@pytest.mark.parametrize(("request_", "words"), REFUSED)
def test_what_makes_no_sense_is_refused_in_dynamodbs_words(request_, words):
    request = dict(request_)
    if request.pop("unused", False):
        request["ExpressionAttributeValues"] = {":one": VALUES[":one"], ":five": VALUES[":five"]}
    with pytest.raises(TableRefused, match=re.escape(words)):
        updated(stored(), **request)


def test_an_update_makes_an_item_that_is_not_there():
    done = updated(NOBODY, UpdateExpression="SET n = :one", ReturnValues="ALL_NEW")
    assert done.item == {"id": {"S": "1"}, "n": {"N": "1"}}
    assert done.answer == {"Attributes": done.item}


@pytest.mark.parametrize(
    ("returned", "attributes"),
    [
        ("NONE", None),
        ("ALL_OLD", ITEM),
        ("UPDATED_OLD", {"n": {"N": "5"}, "doc": {"M": {"a": {"S": "x"}}}}),
        ("UPDATED_NEW", {"n": {"N": "6"}, "doc": {"M": {"a": {"S": "pen"}}}}),
    ],
)
def test_an_update_answers_with_what_was_asked_for(returned, attributes):
    done = updated(stored(), UpdateExpression="SET n = n + :one, doc.a = :s", ReturnValues=returned)
    assert done.answer.get("Attributes") == attributes


def test_a_projection_keeps_the_shape_of_the_item():
    wanted = {"ProjectionExpression": "series[2].deep, doc.b, #n, absent", "ExpressionAttributeNames": {"#n": "n"}}
    answer = performed(TABLE, "getItem", {"Key": KEY, **wanted}, stored()).answer
    assert answer["Item"] == {
        "series": {"L": [{"M": {"deep": {"N": "3"}}}]},
        "doc": {"M": {"b": {"L": [{"N": "7"}]}}},
        "n": {"N": "5"},
    }


def test_an_item_that_is_not_there_is_no_answer():
    assert performed(TABLE, "getItem", {"Key": KEY}, NOBODY).answer == {}


def test_a_put_replaces_the_whole_item_and_may_return_the_old_one():
    done = performed(TABLE, "putItem", {"Item": KEY, "ReturnValues": "ALL_OLD"}, stored())
    assert (done.item, done.answer) == (KEY, {"Attributes": stored()})


@pytest.mark.parametrize(
    ("item", "words"),
    [
        ({"n": {"N": "1"}}, "Missing the key id in the item"),
        ({"id": {"N": "1"}}, "Type mismatch for key id expected: S actual: N"),
        ({"id": {"S": ""}}, "cannot contain an empty string value. Key: id"),
        ({"id": {"S": "1"}, "a": {}}, "Supplied AttributeValue is empty"),
        ({"id": {"S": "1"}, "a": {"S": "x", "N": "1"}}, "more than one datatypes set"),
        ({"id": {"S": "1"}, "a": {"N": "one"}}, "cannot be converted to a numeric value: one"),
        ({"id": {"S": "1"}, "a": {"N": "1" * 39}}, "more than 38 significant digits"),
        ({"id": {"S": "1"}, "a": {"N": "1e999999999"}}, "Number overflow"),
        ({"id": {"S": "1"}, "a": {"N": "1e-140"}}, "Number underflow"),
        ({"id": {"S": "1"}, "a": {"SS": []}}, "set  may not be empty"),
        ({"id": {"S": "1"}, "a": {"SS": ["x", "x"]}}, "contains duplicates"),
        ({"id": {"S": "1"}, "a": {"NULL": False}}, "must have the value of true"),
        ({"id": {"S": "1"}, "a": {"S": "x" * ITEM_BYTES_MAX}}, "Item size has exceeded the maximum allowed size"),
        ({"id": {"S": "x" * 2049}}, "Size of hashkey has exceeded the maximum size limit of 2048 bytes"),
    ],
)
def test_an_item_that_a_table_cannot_hold_is_refused(item, words):
    with pytest.raises(TableRefused, match=re.escape(words)):
        performed(TABLE, "putItem", {"Item": item}, NOBODY)


def test_a_key_that_is_not_that_of_the_table_is_refused():
    both = Schema("orders", "id", "at", sort_type="N")
    for key in ({}, {"id": {"S": "1"}}, {"id": {"S": "1"}, "at": {"S": "2"}}, {"id": {"S": "1"}, "when": {"N": "2"}}):
        with pytest.raises(TableRefused, match="The provided key element does not match the schema"):
            performed(both, "getItem", {"Key": key}, NOBODY)


def test_numbers_are_written_one_way():
    written = {"1.0": "1", "1e3": "1000", "-0": "0", "00.50": "0.5", "1E-3": "0.001", "+7": "7"}
    assert {text: normalised({"N": text})["N"] for text in written} == written


def test_keys_of_other_tables_and_types_lie_apart():
    places = {place_of("a", {"id": {"S": "1"}}), place_of("b", {"id": {"S": "1"}}), place_of("a", {"id": {"N": "1"}})}
    assert len(places) == 3


def test_there_are_as_many_reserved_words_as_dynamodb_has():
    assert len(RESERVED) == 573


@given(st.text(alphabet="abn :#()[].,=<>+-0123ORANDNTSETsize", max_size=60))
def test_no_text_does_more_than_be_refused(text):
    for name in ("ConditionExpression", "UpdateExpression"):
        request = {"Key": KEY, name: text, "ExpressionAttributeValues": {":a": {"N": "1"}}}
        try:
            performed(TABLE, "updateItem", request, stored())
        except TableRefused:
            continue


@given(st.integers(min_value=-(10**37), max_value=10**37), st.integers(min_value=-(10**37), max_value=10**37))
def test_sums_are_exact(one, other):
    item = {"id": {"S": "1"}, "n": {"N": str(one)}}
    request = {"Key": KEY, "UpdateExpression": "ADD n :n", "ExpressionAttributeValues": {":n": {"N": str(other)}}}
    assert performed(TABLE, "updateItem", request, item).item["n"] == {"N": str(one + other)}


def test_hostile_nesting_ends_in_a_refusal():
    for text in ("(" * 2000, "NOT " * 1000 + "n = :five", "SET n = " + "if_not_exists(a," * 200):
        name = "UpdateExpression" if text.startswith("SET") else "ConditionExpression"
        with pytest.raises(TableRefused):
            updated(stored(), **{name: text})


def test_sizes_are_counted_as_dynamodb_counts():
    assert size_bytes({"id": {"S": "1"}, "ok": {"BOOL": True}, "l": {"L": [{"N": "12"}]}}) == 3 + 3 + 1 + 3 + 1 + 2
