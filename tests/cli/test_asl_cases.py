"""penstock asl test: what it counts, what it prints, and how it ends."""

import json

import pytest
from typer.testing import CliRunner

from penstock.cli import app
from penstock.testing.asl_cases import fits

PASS = {"StartAt": "A", "States": {"A": {"Type": "Pass", "Result": 1, "End": True}}}
FAIL = {"StartAt": "A", "States": {"A": {"Type": "Fail", "Error": "E", "Cause": "c"}}}
LABEL = {"StartAt": "A", "States": {"A": {"Type": "Task", "Resource": "arn:aws:lambda:r:1:function:f", "Credentials": {}, "End": True}}}  # fmt: skip
RAN = {
    "name": "ran",
    "group": "runs",
    "definition": PASS,
    "input": {},
    "expect": {"status": "SUCCEEDED", "output": 1},
    "event_order": "exact",
    "expect_history_event_types": ["ExecutionStarted", "PassStateEntered", "PassStateExited", "ExecutionSucceeded"],
    "expect_state_io": [["enter", "A", {}], ["exit", "A", 1]],
}
FAILED = {
    "name": "failed",
    "group": "runs",
    "definition": FAIL,
    "input": {},
    "expect": {"status": "FAILED", "error": "E", "cause": "other words"},
}
REFUSED = {
    "name": "refused",
    "group": "definitions",
    "definition_text": json.dumps(LABEL),
    "expect": {
        "error": {
            "Code": "InvalidDefinition",
            "Message": "Invalid State Machine Definition: 'SCHEMA_VALIDATION_FAILED: The field 'RoleArn' is required but"
            " was missing at /States/A/Credentials'",
        }
    },
}
CALLED = {
    "name": "called",
    "group": "calls",
    "request": {"definition": FAIL["States"]["A"], "input": {"a": 1}, "inspectionLevel": "DEBUG"},
    "expect": {
        "status": "FAILED",
        "error": "E",
        "cause": "c",
        "inspectionData": {"input": {"a": 1}, "afterInputPath": {"a": 1}},
    },
}
JUDGED = {"name": "tool/valid", "definition": PASS, "valid": True, "statelint_problems": {"count": 0}}


def tried(tmp_path, cases, *options):
    path = tmp_path / "cases.jsonl"
    path.write_text("\n".join(each if isinstance(each, str) else json.dumps(each) for each in cases), encoding="utf-8")
    return CliRunner().invoke(app, ["asl", "test", str(path), *options], env={"COLUMNS": "200"})


def test_cases_of_all_kinds_are_counted_by_group(tmp_path):
    result = tried(tmp_path, [RAN, FAILED, REFUSED, JUDGED, CALLED])
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "group        passed  failed  cause   events  io      inspection",
        "calls        1       0       1 of 1                  1 of 1",
        "definitions  1       0",
        "runs         2       0       0 of 1  1 of 1  1 of 1",
        "tool         1       0",
        "average over 4 groups: 100.00%",
        "5 passed, 0 failed",
    ]


def test_a_case_that_fails_is_told_and_ends_with_one(tmp_path):
    wrong = [
        {**RAN, "name": "wrong output", "expect": {"status": "SUCCEEDED", "output": 2}},
        {**REFUSED, "name": "other words", "expect": {"error": {"Code": "InvalidDefinition", "Message": "no"}}},
        {**REFUSED, "name": "taken", "definition_text": json.dumps(PASS)},
        {**JUDGED, "name": "tool/invalid", "valid": False, "statelint_problems": {"count": 1}},
        {**JUDGED, "name": "tool/counted", "statelint_problems": {"count": 2}},
        {"name": "a call", "request": {}, "expect": {"status": "SUCCEEDED"}},
    ]
    result = tried(tmp_path, wrong)
    assert result.exit_code == 1
    assert "wrong output: expected" in result.stdout
    assert result.stdout.endswith("0 passed, 6 failed\n")
    told = json.loads(tried(tmp_path, wrong, "--json").stdout)
    assert [each["name"] for each in told["failed"]] == [each["name"] for each in wrong]
    assert told["macro_average"] == 0


def test_diagnostics_and_variables_are_compared(tmp_path):
    diagnosed = {
        "name": "diagnosed",
        "definition_text": json.dumps(PASS),
        "request": {"type": "EXPRESS"},
        "expect": {"diagnostics": [], "result": "OK", "truncated": False},
    }
    reading = {"StartAt": "A", "States": {"A": {"Type": "Pass", "InputPath": "$v", "End": True}}}
    read = {"name": "read", "definition_text": json.dumps(reading), "expect": {"variableReferences": {"A": ["v"]}}}
    assert tried(tmp_path, [diagnosed, read]).stdout.endswith("2 passed, 0 failed\n")


def test_a_line_that_is_no_case_is_refused(tmp_path):
    for line in ("{", '"text"', "{}"):
        result = tried(tmp_path, [RAN, line])
        assert result.exit_code == 2
        assert "line 2" in result.stderr


@pytest.mark.parametrize(
    ("expected", "actual", "same"),
    [
        ("<<any:uuid>>", {"a": 1}, True),
        ("arn:<<any:part>>:x", "arn:aws:x", True),
        ("arn:<<any:part>>:x", "arn:aws:y", False),
        ({"a": 1, "b": "<<opt:b>>"}, {"a": 1.0}, True),
        ({"a": 1}, {"a": True}, False),
        ({"a": 1}, {"a": 1, "b": 2}, False),
        ([1], [1, 2], False),
        ("1", 1, False),
        (None, 0, False),
        ('{"a": "<<any:u>>"}', '{"a":"7"}', True),
        ("<request-id> is gone", "7 is gone", True),
    ],
)
def test_what_a_recording_lost_may_be_anything(expected, actual, same):
    assert fits(expected, actual) is same
