"""What Step Functions adds to JSONata's functions, what it takes away, and where chance and the time come from."""

import uuid

import pytest
from jsonata_asking import NOW_MS, cause, evaluated

# functions of Step Functions


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("$partition([1,2,3,4,5], 2)", [[1, 2], [3, 4], [5]]),
        ("$partition([1,2,3], 2.9)", [[1, 2], [3]]),
        ("$partition([0], 3)", [[0]]),
        ("$range(0, 10, 3)", [0, 3, 6, 9]),
        ("$range(5, 1, -2)", [5, 3, 1]),
        ("$range(-1.7, 2, 1)", [-1, 0, 1, 2]),
        ("$range(7, 7, 1)", 7),
        ("$append([], $range(7, 7, 1))", [7]),
        ("$hash('hello', 'SHA-1')", "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d"),
        ("$parse('{\"a\": [1, null]}')", {"a": [1, None]}),
        ("$parse('null')", None),
        ("$random(42)", 0.7275636800328681),
        ("$random(0.9)", 0.730967787376657),
        ("$partition([1, 2, 3])", [[1, 2, 3]]),
        ("$map(['{\"a\": 1}', '{\"a\": 2}'], $parse).a", [1, 2]),
        ("$parseInteger('abc', '0')", "NaN"),
        ("$now()", "2017-11-07T15:12:37.121Z"),
        ("$millis()", NOW_MS),
        ("$toMillis('00:30', '[H]:[m]')", 1510014600000),
    ],
)
def test_added_functions(text, value):
    assert evaluated(text, {}) == value


@pytest.mark.parametrize(
    "text",
    ["$partition([1], 0)", "$partition([], 1)", "$range(1, 3)", "$range(3, 1, 1)", "$range(1, 3, 0.9)", "$hash('a')"],
)
def test_what_leads_nowhere_is_undefined(text):
    assert cause(text) == "returned nothing (undefined)."


def test_an_argument_of_another_type_is_an_error_with_jsonatas_code():
    text = 'threw an error during evaluation. T0410: Argument 1 of function "range" does not match function signature'
    assert cause("$range('0', 4, 1)") == text
    assert cause("$sum(['a'])").endswith('T0412: Argument 1 of function "sum" must be an array of "numbers"')
    assert cause("$partition([1, 2], -1)").endswith("D3137: Second argument must be zero or greater")
    assert "D3137: Unsupported algorithm sha-1" in cause("$hash('a', 'sha-1')")
    for text in (
        "$parse(null)",
        "$range(1)",
        "$uuid('seed')",
        "$random(1, 2)",
        "$parse('{}', 'x')",
        "$hash(42, 'MD5')",
    ):
        assert "T0410: " in cause(text), text
    assert cause("$error('my words')") == "threw an error during evaluation. D3137: my words"


def test_eval_is_not_there():
    assert cause("$eval('1')") == "threw an error during evaluation. T1006: Attempted to invoke a non-function"


def test_chance_is_handed_in_and_repeats():
    text = "[$uuid(), $random() & '', $join($shuffle(['a','b','c','d']))]"
    assert evaluated(text) == evaluated(text)
    first, second = evaluated("[$uuid(), $uuid()]")
    assert first != second
    assert uuid.UUID(first).version == 4
    assert 0 <= evaluated("$random()") < 1
    assert sorted(evaluated("$shuffle([3,1,2])")) == [1, 2, 3]
