"""Choice rules: AWS's verdict on every recorded comparison, and what a rule may be."""

import pytest
from asl_corpus import executions, names, needs_corpus
from hypothesis import given
from hypothesis import strategies as st

from penstock.core.asl.choices import OPERATORS, parse_rule, string_matches
from penstock.core.asl.failures import EvaluationFailed
from penstock.core.asl.scope import Scope, SeededChance
from penstock.core.asl.timestamps import timestamp_ns

RECORDED = executions("asl_core", "choice_operators")


def matches(rule, value, variables=None, **context):
    parsed, findings = parse_rule(rule)
    assert findings == []
    return parsed.matches(Scope(value, context, SeededChance(""), variables or {}))


@needs_corpus
@pytest.mark.parametrize("case", RECORDED, ids=names(RECORDED))
def test_a_comparison_holds_where_it_held_on_aws(case):
    definition = case["definition"]
    [rule] = definition["States"][definition["StartAt"]]["Choices"]
    assert matches(rule, case["input"]) is (case["expect"]["output"]["TestResult.$"] == "ConditionTrue")


@needs_corpus
def test_the_corpus_has_comparisons():
    assert len(RECORDED) >= 230


@pytest.mark.parametrize(
    ("rule", "value", "held"),
    [
        ({"StringLessThan": "b"}, "a", True),
        ({"StringGreaterThanEqualsPath": "$.w"}, "b", True),
        ({"NumericLessThanEquals": 1}, 1.0, True),
        ({"NumericEquals": 1}, True, False),
        ({"NumericGreaterThan": 1}, "2", False),
        ({"BooleanEqualsPath": "$.t"}, True, True),
        ({"TimestampEquals": "2024-01-01T00:00:00Z"}, "2024-01-01T01:00:00+01:00", True),
        ({"TimestampLessThan": "2024-01-01T00:00:00.5Z"}, "2024-01-01T00:00:00.250Z", True),
        ({"TimestampGreaterThanEqualsPath": "$.w"}, "2024-01-01T00:00:00Z", False),
        ({"IsNull": True}, None, True),
        ({"IsNumeric": True}, True, False),
        ({"IsTimestamp": True}, "2024-01-01T00:00:00Z", True),
        ({"IsTimestamp": True}, "2024-02-30T00:00:00Z", False),
        ({"IsTimestamp": False}, "2024-01-01", True),
        ({"IsPresent": True}, None, True),
        ({"StringMatches": "log-*.txt"}, "log-a.b.txt", True),
    ],
)
def test_comparisons(rule, value, held):
    document = {"v": value, "w": "a", "t": True}
    assert matches({"Variable": "$.v", **rule}, document) is held


def test_what_is_missing_is_only_asked_for_by_is_present():
    assert matches({"Variable": "$.a.b", "IsPresent": False}, {})
    assert not matches({"Variable": "$.a.b", "IsPresent": True}, {})
    assert not matches({"Variable": "$v", "IsPresent": True}, {})
    for rule in ({"Variable": "$.no", "IsNull": True}, {"Variable": "$.yes", "StringEqualsPath": "$.no"}):
        with pytest.raises(EvaluationFailed) as caught:
            matches(rule, {"yes": "x"})
        cause = "Invalid path '$.no': The choice state's condition path references an invalid value."
        assert (caught.value.error, caught.value.cause) == ("States.Runtime", cause)


def test_rules_are_joined_and_stop_at_the_first_that_decides():
    present, missing = {"Variable": "$.a", "NumericEquals": 1}, {"Variable": "$.no", "NumericEquals": 1}
    assert matches({"Or": [present, missing]}, {"a": 1})
    assert not matches({"And": [{"Not": present}, missing]}, {"a": 1})
    assert matches({"Not": {"And": [present, {"Not": present}]}}, {"a": 1})


def test_variables_and_the_context_are_compared_too():
    rule = {"Variable": "$guess", "StringEqualsPath": "$$.Execution.Name"}
    assert matches(rule, {}, {"guess": "x"}, Execution={"Name": "x"})
    parsed, _ = parse_rule({"And": [rule, {"Variable": "$other", "IsPresent": True}]})
    assert {name for path in parsed.paths() for name in path.variables} == {"guess", "other"}


@pytest.mark.parametrize(
    ("rule", "path"),
    [
        ({"Variable": "$.a", "Next": "X"}, "/c"),
        ({"Variable": "$.a", "IsNull": True, "IsString": True}, "/c"),
        ({"StringEquals": "a"}, "/c/Variable"),
        ({"Variable": "a", "StringEquals": "a"}, "/c/Variable"),
        ({"Variable": "$.a", "StringEquals": 1}, "/c/StringEquals"),
        ({"Variable": "$.a", "NumericEquals": True}, "/c/NumericEquals"),
        ({"Variable": "$.a", "BooleanEquals": "true"}, "/c/BooleanEquals"),
        ({"Variable": "$.a", "TimestampEquals": "now"}, "/c/TimestampEquals"),
        ({"Variable": "$.a", "IsPresent": "yes"}, "/c/IsPresent"),
        ({"Variable": "$.a", "StringMatches": 1}, "/c/StringMatches"),
        ({"Variable": "$.a", "NumericEqualsPath": 1}, "/c/NumericEqualsPath"),
        ({"And": []}, "/c/And"),
        ({"Or": [{"Variable": "$.a", "IsNull": True}, 1]}, "/c/Or[1]"),
        ({"Not": [1]}, "/c/Not"),
        ("text", "/c"),
    ],
)
def test_a_broken_rule_has_a_finding_with_its_place(rule, path):
    parsed, findings = parse_rule(rule, "/c")
    assert parsed is None
    assert [each.path for each in findings] == [path]


def test_all_operators_of_the_language_are_known():
    assert len(OPERATORS) == 42
    assert {"StringMatches", "TimestampGreaterThanEqualsPath", "IsPresent", "Not", "BooleanEqualsPath"} <= OPERATORS


@pytest.mark.parametrize(
    ("pattern", "text", "fits"),
    [
        ("*", "", True),
        ("a*b*c", "aXbYbc", True),
        ("a*b*c", "acb", False),
        ("a*a", "a", False),
        (r"\*", "*", True),
        (r"\*", "a", False),
        (r"a\\*", "a\\xyz", True),
        ("*.csv", "A.CSV", False),
        ("", "", True),
        ("a**", "a", True),
    ],
)
def test_string_matches(pattern, text, fits):
    assert string_matches(text, pattern) is fits


@given(st.text(alphabet="ab*\\"), st.text(alphabet="ab*\\"))
def test_a_pattern_made_of_a_text_matches_it(before, after):
    plain = "".join(f"\\{char}" if char in "*\\" else char for char in before)
    assert string_matches(before, plain)
    assert string_matches(before + after, plain + "*")


def test_timestamps_count_in_nanoseconds():
    assert timestamp_ns("1970-01-01T00:00:01.000000001Z") == 1_000_000_001
    assert timestamp_ns("1970-01-01T00:00Z") == 0
    assert timestamp_ns("2016-12-05T21:29:29") is None
    assert timestamp_ns("2016-13-05T21:29:29Z") is None
    assert timestamp_ns("2016-12-05 21:29:29Z") is None
    assert timestamp_ns(5) is None
