"""The 18 intrinsic functions: their results, their limits, their syntax, and the causes of their failures."""

import contextlib
import re
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.core.asl.failures import EvaluationFailed, PathInvalid
from penstock.core.asl.intrinsics.call import NESTED_MAX, parse_call
from penstock.core.asl.intrinsics.functions import FUNCTIONS
from penstock.core.asl.intrinsics.java_sets import unique
from penstock.core.asl.scope import Scope, SeededChance
from penstock.core.asl.values import java_text

INPUT = {
    "list": [1, 2, 2, [3], {"a": 1}, {"a": 1.0}, True, None],
    "empty": [],
    "text": "a,b;c",
    "object": {"a": 1, "b": {"c": [None, "x", 1.5, True]}},
    "name": "Ada",
    "long": "a" * 10_001,
}


def evaluated(text, value=None, variables=None):
    return parse_call(text).evaluate(
        Scope(value or INPUT, {"Execution": {"Name": "run"}}, SeededChance("seed"), variables or {})
    )


def cause(text):
    with pytest.raises(EvaluationFailed) as caught:
        evaluated(text)
    assert caught.value.error == "States.Runtime"
    prefix = f"The function '{text}' had the following error: "
    assert caught.value.cause.startswith(prefix)
    return caught.value.cause.removeprefix(prefix)


def test_there_are_eighteen():
    assert len(FUNCTIONS) == 18


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("States.Array(1, 'a', $.name, null, true)", [1, "a", "Ada", None, True]),
        ("States.Array()", []),
        ("States.ArrayPartition(States.Array(1,2,3), 2.9)", [[1, 2], [3]]),
        ("States.ArrayContains($.list, 2)", True),
        ("States.ArrayContains(States.Array('true', '2'), 2)", True),
        ("States.ArrayContains(States.Array(0, 1), false)", False),
        ("States.ArrayContains($.list, 1)", True),
        ("States.ArrayContains($.list, 'x')", False),
        ("States.ArrayContains(States.Array(true, null), null)", True),
        ("States.ArrayRange(1, 9, 2)", [1, 3, 5, 7, 9]),
        ("States.ArrayRange(5, 1, -2)", [5, 3, 1]),
        ("States.ArrayRange(5, 1, 1)", []),
        ("States.ArrayRange(5.4, -0.6, -2.4)", [5, 3, 1]),
        ("States.ArrayGetItem($.list, 3)", [3]),
        ("States.ArrayGetItem($.list, 1.2)", 2),
        ("States.ArrayGetItem($.empty, 9)", None),
        ("States.ArrayLength($.list)", 8),
        ("States.ArrayUnique($.list)", [{"a": 1}, None, 1, 2, [3], True]),
        ("States.ArrayUnique(States.Array(3, 1, 2, 1, 17))", [1, 17, 2, 3]),
        ("States.ArrayUnique(States.Array(true, false, true))", [False, True]),
        ("States.ArrayUnique(States.Array(States.Array(1, 2), States.Array(2, 1)))", [[2, 1], [1, 2]]),
        ("States.ArrayUnique(States.Array(1, '1', 1.0, '01', 'b', 'a'))", [1, "1", "01", "a", "b"]),
        ("States.Base64Encode('é')", "w6k="),
        ("States.Base64Decode('w6k=')", "é"),
        ("States.Base64Decode(' YWJj ZA ')", "abcd"),
        ("States.Hash('hello', 'SHA-1')", "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d"),
        ("States.JsonMerge($.object, $, false)", {**INPUT["object"], **INPUT}),
        ("States.JsonToString($.object)", '{"a":1,"b":{"c":[null,"x",1.5,true]}}'),
        ("States.StringToJson(' {\"a\": [1, 2.5]} ')", {"a": [1, 2.5]}),
        ("States.StringToJson('')", None),
        ("States.MathAdd(2.5, -1.5)", 2),
        ("States.MathAdd(2147483646, 1)", 2147483647),
        ("States.StringSplit($.text, ',;')", ["a", "b", "c"]),
        ("States.StringSplit(',a,,b,', ',')", ["a", "b"]),
        ("States.StringSplit('ab', '')", ["ab"]),
        ("States.Format('{} is {}', $.name, $.object)", "Ada is {a=1, b={c=[null, x, 1.5, true]}}"),
        (r"States.Format('\'{}\' \{\} \\', $$.Execution.Name)", r"'run' {} \ "[:-1]),
        ("States.Format('plain')", "plain"),
        ("States.Format($t, 1)", "got 1"),
        ("States.ArrayLength(States.StringSplit(States.Format('{}-{}', 1, 2), '-'))", 2),
        ("States.Array($.object['b'].c[1], $.list[?(@.a == 1)])", ["x", [{"a": 1}, {"a": 1.0}]]),
    ],
)
def test_results(text, result):
    assert evaluated(text, variables={"t": "got {}"}) == result


@pytest.mark.parametrize(
    "text",
    [
        "States.ArrayPartition($.list, 0.9)",
        "States.ArrayPartition('x', 1)",
        "States.ArrayRange(1, 10, 0.5)",
        "States.ArrayRange(1, 1001, 1)",
        "States.ArrayRange('a', 2, 1)",
        "States.ArrayGetItem($.list, -1)",
        "States.ArrayGetItem($.list, 8)",
        "States.ArrayGetItem($.list, '1')",
        "States.ArrayLength($.object)",
        "States.Base64Encode($.long)",
        "States.Base64Decode(1)",
        "States.Hash('a', 'sha-1')",
        "States.Hash($.long, 'MD5')",
        "States.JsonMerge($.object, $.list, false)",
        "States.JsonMerge($.object, $.object, true)",
        "States.StringToJson('{')",
        "States.StringToJson(1)",
        "States.MathAdd(2147483647, 1)",
        "States.MathAdd(true, 1)",
        "States.MathRandom(1, 1)",
        "States.MathRandom(1.4, 1.6)",
        "States.StringSplit(1, ',')",
    ],
)
def test_what_a_function_does_not_take_is_named(text):
    name = re.match(r"States\.\w+", text)[0]
    assert cause(text) == f"Invalid arguments in {name}"


def test_the_range_of_a_thousand_is_allowed():
    assert len(evaluated("States.ArrayRange(1, 1000, 1)")) == 1000


def test_a_template_needs_an_argument_for_each_placeholder():
    problem = "Invalid arguments in States.Format: number of arguments do not match the occurrences of {}."
    assert cause("States.Format('{} {}', 1)") == problem
    assert cause("States.Format('{', 1)") == "Invalid template in States.Format: matching '}' not found for '{'."


def test_an_argument_that_names_nothing_is_told_with_the_input():
    text = "States.Format('{}', States.Format('{}', $.nope))"
    with pytest.raises(EvaluationFailed) as caught:
        evaluated(text, {"other": 1})
    detail = "The JsonPath argument for the field '$.nope' could not be found in the input '{\"other\":1}'"
    assert caught.value.cause == f"The function '{text}' had the following error: {detail}"


def test_an_index_outside_of_an_array_is_no_argument():
    with pytest.raises(EvaluationFailed, match=r"\$\.items\[5\]"):
        evaluated("States.Format('{}', $.items[5])", {"items": [1]})


def test_an_argument_that_is_null_is_one():
    assert evaluated("States.Format('{}', $.n)", {"n": None}) == "null"


@pytest.mark.parametrize(
    "text",
    [
        "States.Nope()",
        "States.Format('a'",
        "States.Format('a') x",
        "States.Format('a)",
        'States.Format("a")',
        "States.Format('a', )",
        "States.Array(a)",
        "States.Array([1])",
        r"States.Base64Decode('a\n')",
        "States.UUID(1)",
        "States.MathAdd(1)",
        "States.Array($.a[)",
        "States.Format('{}', $.a[?(@.b ==)])",
        "States.Array(" * (NESTED_MAX + 1) + ")" * (NESTED_MAX + 1),
        "States.Array",
    ],
)
def test_what_is_no_call_is_refused_with_a_reason(text):
    with pytest.raises(PathInvalid) as caught:
        parse_call(text)
    assert str(caught.value)


@given(st.text(alphabet="States.Format(){}',$\\a1 [", max_size=40))
def test_any_text_is_a_call_or_refused(text):
    for each in (text, f"States.Format({text})"):
        with contextlib.suppress(PathInvalid):
            parse_call(each)


def test_the_variables_of_a_call_are_known():
    assert parse_call("States.Array($a.b, States.Format('{}', $c), $.d, $$.e)").variables == {"a", "c"}


# chance


def test_chance_is_handed_in_and_repeats():
    first, second = (
        evaluated("States.Array(States.UUID(), States.UUID())"),
        evaluated("States.Array(States.UUID(), States.UUID())"),
    )
    assert first == second
    assert first[0] != first[1]
    assert all(uuid.UUID(each).version == 4 for each in first)


def test_random_numbers_keep_within_their_bounds():
    chance = SeededChance("x")
    call = parse_call("States.MathRandom(-3, 3)")
    drawn = {call.evaluate(Scope({}, {}, chance, {})) for _ in range(200)}
    assert drawn == {-3, -2, -1, 0, 1, 2}


def test_a_seed_gives_the_numbers_of_javas_random():
    # As Java 17 printed `new Random(42).nextInt(100)`, `.nextInt(64)` and `new Random(-7).nextInt(1000)`.
    assert evaluated("States.MathRandom(0, 100, 42)") == 30
    assert evaluated("States.MathRandom(10, 74, 42)") == 56
    assert evaluated("States.MathRandom(0, 1000, -7)") == 662


def test_a_seed_gives_the_same_number_wherever():
    assert evaluated("States.MathRandom(1, 1000000, 7)") == parse_call("States.MathRandom(1, 1000000, 7)").evaluate(
        Scope({}, {}, SeededChance("another"), {})
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1.0"),
        (1.5, "1.5"),
        (-0.001, "-0.001"),
        (1e7, "1.0E7"),
        (12345678.9, "1.23456789E7"),
        (1.5e-5, "1.5E-5"),
        (1e100, "1.0E100"),
        (100.0, "100.0"),
    ],
)
def test_numbers_are_written_as_java_writes_them(value, text):
    assert java_text(value) == text


def test_unique_values_come_in_the_order_of_a_java_hash_set():
    # As Java 17 printed `new HashSet<>(List.of(...))`.
    mixed = ["Z", "héllo", -5, 123456789012, 1.5, -0.25, "abc", [1, "x"], {"k": 7}, 1000, "zz", None]
    assert unique(mixed) == ["zz", None, "abc", -5, 1000, "héllo", {"k": 7}, -0.25, 123456789012, 1.5, [1, "x"], "Z"]
    first = unique([f"s{number}" for number in range(40)])[:8]
    assert first == ["s31", "s30", "s11", "s33", "s10", "s32", "s13", "s35"]
