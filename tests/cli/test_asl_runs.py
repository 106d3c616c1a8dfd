"""penstock asl run and penstock asl test-state: what they print, what they call, and how they end."""

import json

import pytest
from typer.testing import CliRunner

from penstock.cli import app

ASK = {
    "Type": "Task",
    "Resource": "agent:answer",
    "ResultPath": "$.answer",
    "Retry": [{"ErrorEquals": ["Busy"], "IntervalSeconds": 60, "MaxAttempts": 2}],
    "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Mend", "ResultPath": "$.failure"}],
    "Next": "Pause",
}
MACHINE = {
    "StartAt": "Ask",
    "States": {
        "Ask": ASK,
        "Pause": {"Type": "Wait", "Seconds": 3600, "Next": "Done"},
        "Done": {"Type": "Succeed"},
        "Mend": {"Type": "Fail", "ErrorPath": "$.failure.Error", "CausePath": "$.failure.Cause"},
    },
}
PYTHON = """
from penstock.testing.asl_functions import TaskError

calls = []

def answer(event):
    calls.append(event)
    if len(calls) < 2:
        raise TaskError("Busy", "later")
    return {"for": event["question"], "calls": len(calls)}

async def slow(event):
    return [event]

def broken(event):
    raise ValueError("no such thing")

functions = {"sqs:sendMessage": lambda event: {"MessageId": event["MessageBody"]}}
"""


@pytest.fixture
def written(tmp_path):
    def write(name, content):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        return str(path)

    return write


def penstock(*arguments):
    return CliRunner().invoke(app, ["asl", *arguments], env={"COLUMNS": "160"})


def one_task(resource, **fields):
    return {"StartAt": "T", "States": {"T": {"Type": "Task", "Resource": resource, "End": True, **fields}}}


def test_a_machine_runs_with_functions_in_no_time(written):
    file, functions = written("machine.json", MACHINE), written("functions.py", PYTHON)
    result = penstock("run", file, "--input", '{"question": 1}', "--functions", functions)
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == [
        "status  SUCCEEDED",
        'output  {"question": 1, "answer": {"for": 1, "calls": 2}}',
        "lasted  3660 s",
    ]


def test_the_history_of_a_run_can_be_drawn(written):
    file = written("machine.json", MACHINE)
    functions = written("functions.json", {"answer": {"throw": {"error": "Lost", "cause": "gone"}}})
    result = penstock(
        "run", file, "--input", written("input.json", "{}"), "--functions", functions, "--history", "--json"
    )
    told = json.loads(result.stdout)
    assert (result.exit_code, told["status"], told["error"], told["cause"]) == (1, "FAILED", "Lost", "gone")
    assert [each["type"] for each in told["events"]][-2:] == ["FailStateEntered", "ExecutionFailed"]
    drawn = penstock("draw", file, "--history", written("history.json", result.stdout))
    assert drawn.exit_code == 0
    assert "Lost" in drawn.stdout
    shown = penstock("run", file, "--functions", functions, "--history").stdout.splitlines()
    assert shown[0].split() == ["status", "FAILED"]
    assert shown[5].split()[:5] == ["1", "0", "s", "ExecutionStarted", '{"input":']
    assert shown[9].split()[:4] == ["5", "0.001", "s", "TaskFailed"]


def test_answers_follow_one_another(written):
    answers = [{"throw": {"error": "Busy"}}, {"throw": {"error": "Busy"}}, {"return": "at last"}]
    file, functions = written("machine.json", MACHINE), written("functions.json", {"Ask": answers})
    told = json.loads(penstock("run", file, "--functions", functions, "--json").stdout)
    assert told == {"status": "SUCCEEDED", "output": {"answer": "at last"}}


@pytest.mark.parametrize(
    ("machine", "expected"),
    [
        (one_task("arn:aws:lambda:us-east-1:1:function:slow"), {"status": "SUCCEEDED", "output": [{"n": 1}]}),
        (
            one_task("arn:aws:states:::sqs:sendMessage", Parameters={"MessageBody": "m"}),
            {"status": "SUCCEEDED", "output": {"MessageId": "m"}},
        ),
        (
            one_task(
                "arn:aws:states:::lambda:invoke",
                Parameters={"FunctionName": "slow", "Payload.$": "$"},
                OutputPath="$.Payload",
            ),
            {"status": "SUCCEEDED", "output": [{"n": 1}]},
        ),
        (one_task("agent:broken"), {"status": "FAILED", "error": "ValueError", "cause": "no such thing"}),
    ],
)
def test_functions_stand_for_all_kinds_of_tasks(written, machine, expected):
    functions = written("functions.py", PYTHON)
    result = penstock("run", written("m.json", machine), "--input", '{"n": 1}', "--functions", functions, "--json")
    assert json.loads(result.stdout) == expected


def test_a_map_reads_its_items_from_a_folder(written, tmp_path):
    item = {"StartAt": "I", "States": {"I": {"Type": "Pass", "End": True}}}
    reader = {"Resource": "arn:aws:states:::s3:getObject", "Parameters": {"Bucket": "b", "Key": "k/rows.json"}}
    state = {
        "Type": "Map",
        "ItemReader": {**reader, "ReaderConfig": {"InputType": "JSON"}},
        "ItemProcessor": {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}, **item},
        "End": True,
    }
    file = written("m.json", {"StartAt": "M", "States": {"M": state}})
    written("objects/b/k/rows.json", "[1, 2]")
    found = penstock("run", file, "--objects", str(tmp_path / "objects"), "--json")
    assert json.loads(found.stdout)["output"] == [1, 2]
    assert json.loads(penstock("run", file, "--json").stdout)["error"] == "States.ItemReaderFailed"
    written("outside.json", "[3]")
    state["ItemReader"]["Parameters"] = {"Bucket": "..", "Key": "outside.json"}
    file = written("m.json", {"StartAt": "M", "States": {"M": state}})
    away = penstock("run", file, "--objects", str(tmp_path / "objects"), "--json")
    assert json.loads(away.stdout)["error"] == "States.ItemReaderFailed"


def test_what_cannot_be_run_is_told(written):
    file = written("machine.json", MACHINE)
    lacking = penstock("run", file)
    assert lacking.exit_code == 2
    assert "'Ask' or 'answer' or 'agent:answer'" in lacking.stderr
    wrong = penstock("run", file, "--functions", written("f.json", {"a": {"returns": 1}, "b": []}))
    assert wrong.exit_code == 2
    assert "/a[0]" in wrong.stderr
    assert "/b" in wrong.stderr
    broken = penstock("run", file, "--functions", written("broken.py", "1 / 0\n"))
    assert "ZeroDivisionError" in broken.stderr
    assert penstock("run", file + "x").exit_code == 2
    assert penstock("run", file, "--input", "{").exit_code == 2


def test_a_machine_that_would_not_end_is_ended(written):
    rule = {"Variable": "$.never", "IsPresent": True, "Next": "Done"}
    states = {
        "Pause": {"Type": "Wait", "Seconds": 1, "Next": "Again?"},
        "Again?": {"Type": "Choice", "Choices": [rule], "Default": "Pause"},
        "Done": {"Type": "Succeed"},
    }
    endless = penstock("run", written("loop.json", {"StartAt": "Pause", "States": states}), "--json")
    assert endless.exit_code == 1
    assert "25000" in json.loads(endless.stdout)["cause"]


def test_a_state_is_tried_alone(written):
    file = written("machine.json", MACHINE)
    result = penstock(
        "test-state", file, "--state", "Ask", "--input", '{"q": 1}', "--mock-result", '"yes"', "--level", "TRACE"
    )
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == [
        "status               SUCCEEDED",
        'output               {"q": 1, "answer": "yes"}',
        "nextState            Pause",
        'input                {"q": 1}',
        'afterInputPath       {"q": 1}',
        'afterParameters      {"q": 1}',
        'result               "yes"',
        'afterResultSelector  "yes"',
        'afterResultPath      {"q": 1, "answer": "yes"}',
    ]


def test_how_a_state_fails_is_tried(written):
    file = written("machine.json", MACHINE)
    failing = ("test-state", file, "--state", "Ask", "--mock-error", "Busy", "--mock-cause", "why", "--json")
    again = penstock(*failing, "--retries", "1")
    assert again.exit_code == 0
    told = json.loads(again.stdout)
    assert told["status"] == "RETRIABLE"
    assert told["inspectionData"]["errorDetails"] == {"retryIndex": 0, "retryBackoffIntervalSeconds": 120}
    caught = json.loads(penstock(*failing, "--retries", "2").stdout)
    assert (caught["status"], caught["nextState"]) == ("CAUGHT_ERROR", "Mend")
    alone = written("state.json", {"Type": "Fail", "Error": "E"})
    assert penstock("test-state", alone).exit_code == 1


def test_a_state_is_tried_with_a_function(written):
    functions = written("functions.py", PYTHON)
    file = written("state.json", one_task("agent:slow")["States"]["T"])
    told = json.loads(penstock("test-state", file, "--input", "5", "--functions", functions, "--json").stdout)
    assert told["output"] == [5]


def test_what_aws_refuses_is_refused(written):
    file = written("state.json", one_task("arn:aws:states:::sqs:sendMessage")["States"]["T"])
    refused = penstock("test-state", file, "--mock-result", '{"MessageId": 1}')
    assert refused.exit_code == 2
    assert "Field 'MessageId' must be a string" in refused.stderr
    assert (
        penstock("test-state", file, "--mock-result", '{"MessageId": 1}', "--field-validation", "NONE").exit_code == 0
    )
    unknown = written("unknown.json", one_task("arn:aws:states:::aws-sdk:nosuch:doIt")["States"]["T"])
    unchecked = penstock("test-state", unknown, "--mock-result", "{}")
    assert unchecked.exit_code == 0
    assert "was not validated" in unchecked.stderr
