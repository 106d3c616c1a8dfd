"""penstock asl: what it prints about definitions, and its exit codes."""

import json
import xml.etree.ElementTree as ET

import pytest
from typer.testing import CliRunner

from penstock.cli import app

GOOD = {"StartAt": "A", "States": {"A": {"Type": "Pass", "End": True}}}
BAD = {"StartAt": "A", "States": {"A": {"Type": "Pass", "Next": "X", "Rseult": 1}}}
TRAP = {"StartAt": "A", "States": {"A": {"Type": "Pass", "Result": {"a.$": "$.b"}, "End": True}}}


@pytest.fixture
def file(tmp_path):
    def written(document, name="machine.asl.json"):
        path = tmp_path / name
        path.write_text(document if isinstance(document, str) else json.dumps(document), encoding="utf-8")
        return str(path)

    return written


def penstock(*arguments):
    return CliRunner().invoke(app, list(arguments), env={"COLUMNS": "200"})


def test_a_good_machine_has_nothing_to_say(file):
    result = penstock("asl", "validate", file(GOOD))
    assert (result.exit_code, result.stdout) == (0, "0 errors, 0 warnings\n")


def test_findings_are_a_table_with_path_rule_and_hint(file):
    good, bad = file(GOOD, "good.json"), file(BAD, "bad.json")
    result = penstock("asl", "validate", good, bad)
    assert result.exit_code == 1
    assert "good.json" not in result.stdout
    assert (
        "/States/A/Rseult  field-unknown   Field 'Rseult' is not supported here: did you mean Result?" in result.stdout
    )
    assert "/States/A/Next    target-missing  Missing 'Next' target: X" in result.stdout
    assert result.stdout.endswith("2 errors, 0 warnings\n")


def test_findings_are_json_for_programs(file):
    path = file(BAD)
    told = json.loads(penstock("asl", "validate", path, "--json").stdout)
    assert (told["errors"], told["warnings"]) == (2, 0)
    assert told["findings"][0] == {
        "file": path,
        "severity": "error",
        "path": "/States/A/Rseult",
        "rule": "field-unknown",
        "code": "SCHEMA_VALIDATION_FAILED",
        "problem": "Field 'Rseult' is not supported here",
        "hint": "did you mean Result?",
    }


def test_a_warning_is_shown_and_counts_only_where_it_is_asked_for(file):
    path = file(TRAP)
    result = penstock("asl", "validate", path)
    assert (result.exit_code, result.stdout.splitlines()[-1]) == (0, "0 errors, 1 warning")
    assert "use Parameters instead of Result" in result.stdout
    assert penstock("asl", "validate", path, "--strict").exit_code == 1


def test_yaml_and_express_are_known(file):
    path = file("StartAt: A\nStates:\n  A: {Type: Task, Resource: my-activity, End: true}\n", "machine.yaml")
    assert penstock("asl", "validate", path).exit_code == 0
    result = penstock("asl", "validate", path, "--express")
    assert result.exit_code == 1
    assert "does not support Activity ARN" in result.stdout


def test_a_file_that_is_not_there_is_said(tmp_path):
    result = penstock("asl", "validate", str(tmp_path / "nothing.json"))
    assert result.exit_code == 2
    assert "nothing.json is missing" in result.stderr


def test_a_machine_is_drawn_as_its_file_asks(file, tmp_path):
    path = file(GOOD)
    assert penstock("asl", "draw", path).stdout.startswith("flowchart TD\n")
    assert ET.fromstring(penstock("asl", "draw", path, "--format", "svg").stdout).tag.endswith("svg")
    for name, begins in (("a.svg", b"<svg"), ("a.png", b"\x89PNG"), ("a.mmd", b"flowchart")):
        assert penstock("asl", "draw", path, "-o", str(tmp_path / name)).exit_code == 0
        assert (tmp_path / name).read_bytes().startswith(begins)


def test_a_run_is_drawn_from_the_history_that_aws_gives(file):
    events = [
        {"id": 1, "type": "ExecutionStarted", "timestamp": "2026-01-01T00:00:00+00:00", "executionStartedEventDetails": {}},
        {"id": 2, "previousEventId": 1, "type": "PassStateEntered", "timestamp": 1767225600.0, "stateEnteredEventDetails": {"name": "A"}},
        {"id": 3, "previousEventId": 2, "type": "PassStateExited", "timestamp": 1767225601.5, "stateExitedEventDetails": {"name": "A"}},
    ]  # fmt: skip
    history = file({"events": events}, "history.json")
    drawn = penstock("asl", "draw", file(GOOD), "--history", history).stdout
    assert '"A<br/>1.5 s"' in drawn
    assert "class s1 succeeded" in drawn
    for wrong in ("{", "{}", '[{"id": 1}]'):
        refused = penstock("asl", "draw", file(GOOD), "--history", file(wrong, "wrong.json"))
        assert (refused.exit_code, "penstock: cannot accept" in refused.stderr) == (2, True)


def test_what_cannot_be_drawn_is_refused_with_all_reasons(file):
    refused = penstock("asl", "draw", file(BAD))
    assert refused.exit_code == 2
    assert "/States/A/Rseult" in refused.stderr
    assert "/States/A/Next" in refused.stderr
    printed = penstock("asl", "draw", file(GOOD), "--format", "png")
    assert (printed.exit_code, "--out machine.png" in printed.stderr) == (2, True)
