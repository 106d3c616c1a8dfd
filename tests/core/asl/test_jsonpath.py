"""Paths in Jayway's dialect: its own answers on one document, and what Step Functions makes of them."""

import json

import pytest
from asl_corpus import loaded, needs_corpus
from hypothesis import given
from hypothesis import strategies as st

from penstock.core.asl.failures import EvaluationFailed, PathInvalid, PathNotFound
from penstock.core.asl.paths.parsing import parse_path
from penstock.core.asl.references import parse_data_path, parse_reference_path, read, read_items, write
from penstock.core.asl.scope import Scope, SeededChance

JAYWAY = loaded("jsonpath_jayway/jayway.json")
DOCUMENT = loaded("jsonpath_jayway/doc.json")
ORDERS = {
    "orders": [{"id": 1, "kind": "a", "price": 5}, {"id": 2, "kind": "b", "price": 15}, {"id": 3, "kind": "a"}],
    "max": 10,
}


def find(text, document, **options):
    return parse_path(text).find(document, **options)


def scope(value, variables=None, **context):
    return Scope(value, context, SeededChance("a run"), variables or {})


@needs_corpus
@pytest.mark.parametrize("case", JAYWAY, ids=[case["p"] for case in JAYWAY])
def test_a_path_finds_what_jayway_finds(case):
    if case.get("err") == "InvalidPathException":
        with pytest.raises(PathInvalid):
            parse_path(case["p"])
        return
    assert parse_path(case["p"]).definite is case["definite"]
    if "err" in case:
        with pytest.raises(PathNotFound):
            find(case["p"], DOCUMENT)
    else:
        assert json.dumps(find(case["p"], DOCUMENT)) == json.dumps(case["v"])


@needs_corpus
def test_the_corpus_is_whole():
    assert len(JAYWAY) >= 62


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("$.orders[?(@.price < $.max)].id", [1]),
        ("$.orders[?(@.price < $.max || @.kind == 'b')].id", [1, 2]),
        ("$.orders[?(!@.price)].id", [3]),
        ("$.orders[?(!(@.kind == 'a'))].id", [2]),
        ("$.orders[?(@.kind nin ['a'])].id", [2]),
        ("$.orders[?(@.price >= '5')].id", [1]),
        ("$.orders[?(@.kind =~ /A/i)].id", [1, 3]),
        ("$.orders[-2:].id", [2, 3]),
        ("$..id.sum()", 6.0),
        ("$.orders.length()", 3),
        ("$.orders[*].price", [5, 15]),
        ("$..[?(@.id > 2)].kind", ["a"]),
    ],
)
def test_filters_slices_scans_and_functions(text, found):
    assert find(text, ORDERS) == found


def test_what_cannot_be_compared_is_filtered_out_and_fails_nothing():
    assert find("$.orders[?(@.id in @.kind)]", ORDERS) == []
    assert find("$.orders[?(@.missing != 1)].id", ORDERS) == [1, 2, 3]


def test_the_same_text_is_parsed_once():
    assert parse_path("$.a.b") is parse_path("$.a.b")


def test_a_definite_path_without_a_value_says_where_it_ended():
    with pytest.raises(PathNotFound, match=r"^No results for path: \$\['a'\]\['b'\]$"):
        find("$.a.b", {"a": {}})
    with pytest.raises(PathNotFound, match=r"^Missing property in path \$\['x'\]$"):
        find("$.x.b", {"a": {}})


def test_an_index_outside_is_null_unless_it_must_be_there():
    assert find("$.a[5]", {"a": [1]}) is None
    with pytest.raises(PathNotFound):
        find("$.a[5]", {"a": [1]}, strict=True)


@pytest.mark.parametrize(
    "text", ["$.a[?(@.x ==)]", "$.a[?(@.x == 'y]", "$['a'", "$.a[", "$.a[1", "$.f(", "$.a[x]", "$[?(@.a =~ /(/)]"]
)
def test_a_broken_path_is_refused_and_never_crashes(text):
    if text == "$.a[":  # Jayway drops a last character that is left over
        assert find(text, {"a": 1}) == 1
    else:
        with pytest.raises(PathInvalid):
            parse_path(text)


@given(st.text(alphabet="$@.[]()*?:,'\"ab01- <>=!&|/\\", max_size=20))
def test_any_text_is_a_path_or_refused(text):
    try:
        path = parse_path(text)
        path.find({"a": [{"b": 1}], "b": {"a": [0, 1]}})
    except (PathInvalid, PathNotFound):
        pass


def test_a_scan_goes_to_any_depth():
    deep = value = {"x": 1}
    for _ in range(5000):
        value = {"a": value}
    assert find("$..x", value) == [1]
    assert deep == {"x": 1}


# where paths start


def test_paths_start_at_the_input_the_context_or_a_variable():
    here = scope({"a": 1}, {"name": {"b": [7]}}, Execution={"Name": "run"})
    assert read(parse_data_path("$.a"), here) == 1
    assert read(parse_data_path("$$.Execution.Name"), here) == "run"
    assert read(parse_data_path("$name.b[0]"), here) == 7
    assert parse_data_path("$name.b[0]").variables == {"name"}
    assert parse_data_path("$$.a").variables == parse_data_path("$.a").variables == frozenset()


def test_what_an_indefinite_path_does_not_find_is_an_empty_list_at_any_depth():
    assert read(parse_data_path("$.a.b[*].c"), scope({})) == []


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("$.No", "Invalid path '$.No' : No results for path: $['No']"),
        ("$no", "Invalid path '$no' : No results for path: $no"),
    ],
)
def test_a_field_whose_path_names_nothing_fails_as_aws_does(text, cause):
    with pytest.raises(EvaluationFailed) as caught:
        read(parse_data_path(text), scope({}), field="InputPath")
    assert (caught.value.error, caught.value.cause, caught.value.field) == ("States.Runtime", cause, "InputPath")


def test_items_are_a_list_or_an_object():
    assert read_items(parse_data_path("$.a"), scope({"a": [1]}), members=False) == [1]
    assert read_items(parse_data_path("$.a"), scope({"a": {"k": 1}}), members=True) == {"k": 1}
    with pytest.raises(EvaluationFailed, match="must point to array"):
        read_items(parse_data_path("$.a"), scope({"a": {"k": 1}}), members=False)
    with pytest.raises(EvaluationFailed) as caught:
        read_items(parse_data_path("$$.Execution.Input"), scope({}, Execution={"Input": "x"}), members=True)
    assert caught.value.cause == 'Reference path "$.Execution.Input" must point to array.'


def test_a_backslash_in_a_quoted_name_may_be_part_of_it():
    assert read(parse_data_path("$['a\\\"b']"), scope({'a\\"b': 1})) == 1
    assert read(parse_data_path("$['a\\'b']"), scope({"a'b": 2})) == 2


# writing


@pytest.mark.parametrize(
    ("path", "target", "written"),
    [
        ("$", {"a": 1}, 9),
        ("$.b", {"a": 1}, {"a": 1, "b": 9}),
        ("$.b.c['d']", {}, {"b": {"c": {"d": 9}}}),
        ("$.a.x", {"a": {"y": 1}}, {"a": {"y": 1, "x": 9}}),
        ("$.a[1]", {"a": [1, 2, 3]}, {"a": [1, 9, 3]}),
        ("$[0].k", [{}], [{"k": 9}]),
    ],
)
def test_a_result_is_put_where_its_path_says_and_the_input_stays_as_it_was(path, target, written):
    before = json.dumps(target)
    assert write(parse_reference_path(path), target, 9) == written
    assert json.dumps(target) == before


@pytest.mark.parametrize(
    ("path", "target"), [("$.a.b", {"a": 1}), ("$.a", "text"), ("$.a[3]", {"a": [1]}), ("$.a", [1])]
)
def test_a_path_through_what_is_no_object_is_a_result_path_match_failure(path, target):
    with pytest.raises(EvaluationFailed) as caught:
        write(parse_reference_path(path), target, 9)
    assert caught.value.error == "States.ResultPathMatchFailure"
    assert (
        caught.value.cause
        == f"Unable to apply ReferencePath {path} to input {json.dumps(target, separators=(',', ':'))}"
    )


@pytest.mark.parametrize(
    "text", ["$.a[*]", "$..a", "$.a[0,1]", "$.a[0:1]", "$['a','b']", "$.a.length()", "$.a[?(@.b)]"]
)
def test_a_reference_path_names_one_place(text):
    with pytest.raises(PathInvalid):
        parse_reference_path(text)
