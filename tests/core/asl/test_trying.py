"""One state tried alone: what is shown of it, how it ends, and what is refused."""

import json

import pytest
from asl_corpus import executions, needs_corpus

from penstock.adapters.service_shapes import shapes_of
from penstock.core.asl.run import Failure
from penstock.core.asl.trial import TrialRefused
from penstock.core.asl.trying import try_state
from penstock.testing.asl_cases import fits

TASK = {"Type": "Task", "Resource": "arn:aws:lambda:us-east-1:1:function:f", "Next": "After"}
MAP = {
    "Type": "Map",
    "ItemsPath": "$.rows",
    "ItemSelector": {"n.$": "$$.Map.Item.Value"},
    "ItemProcessor": {
        "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
        "StartAt": "Inner",
        "States": {"Inner": {"Type": "Pass", "End": True}},
    },
    "ItemBatcher": {"MaxItemsPerBatch": 2},
    "ToleratedFailureCount": 1,
    "MaxConcurrency": 3,
    "End": True,
}
FAILED = {"errorOutput": {"error": "Custom", "cause": "why"}}


def tried(definition, *, perform=None, **request):
    given = {"definition": definition, "inspectionLevel": "TRACE", **request}
    return try_state(given, shapes_of=shapes_of, perform=perform)


def refused(definition, **request):
    with pytest.raises(TrialRefused) as caught:
        tried(definition, **request)
    return caught.value


def mocked(value, mode="STRICT"):
    return {"result": json.dumps(value), "fieldValidationMode": mode}


def test_all_stages_of_a_task_are_shown():
    state = {
        **TASK,
        "InputPath": "$.a",
        "Parameters": {"p.$": "$.b"},
        "ResultSelector": {"r.$": "$.x", "id.$": "States.UUID()"},
        "ResultPath": "$.out",
        "OutputPath": "$.out",
        "Assign": {"v.$": "$.r"},
    }
    answer = tried(state, input='{"a": {"b": 1}}', variables={"w": 0}, mock=mocked({"x": 2}))
    output = answer["output"]
    assert output["r"] == 2
    assert answer == {
        "status": "SUCCEEDED",
        "output": output,
        "nextState": "After",
        "inspectionData": {
            "input": {"a": {"b": 1}},
            "afterInputPath": {"b": 1},
            "afterParameters": {"p": 1},
            "result": {"x": 2},
            "afterResultSelector": output,
            "afterResultPath": {"a": {"b": 1}, "out": output},
            "variables": {"w": 0, "v": 2},
        },
    }


def test_a_level_of_info_shows_no_stages():
    assert tried(TASK, mock=mocked(1), inspectionLevel="INFO") == {
        "status": "SUCCEEDED",
        "output": 1,
        "nextState": "After",
    }


def test_a_failure_is_tried_again_then_caught():
    state = {
        **TASK,
        "Retry": [
            {"ErrorEquals": ["Other"]},
            {"ErrorEquals": ["Custom"], "IntervalSeconds": 3, "MaxAttempts": 2, "BackoffRate": 2},
        ],
        "Catch": [{"ErrorEquals": ["States.TaskFailed"], "Next": "Mend", "ResultPath": "$.failure"}],
    }
    again = tried(state, input={"a": 1}, mock=FAILED, stateConfiguration={"retrierRetryCount": 1})
    assert again["status"] == "RETRIABLE"
    assert again["inspectionData"]["errorDetails"] == {"retryIndex": 1, "retryBackoffIntervalSeconds": 6}
    assert "output" not in again
    caught = tried(state, input={"a": 1}, mock=FAILED, stateConfiguration={"retrierRetryCount": 2})
    assert (caught["status"], caught["error"], caught["cause"]) == ("CAUGHT_ERROR", "Custom", "why")
    assert caught["nextState"] == "Mend"
    assert caught["output"] == {"a": 1, "failure": {"Error": "Custom", "Cause": "why"}}
    assert caught["inspectionData"]["errorDetails"] == {"retryIndex": 1, "catchIndex": 0}


def test_the_fields_of_a_map_are_shown_and_its_failures_counted():
    given = {"input": {"rows": [1, 2, 3]}}
    seen = tried(MAP, **given, mock=mocked([7]))["inspectionData"]
    assert seen["afterItemsPath"] == [1, 2, 3]
    assert seen["afterItemSelector"] == [{"n": 1}, {"n": 2}, {"n": 3}]
    assert seen["afterItemBatcher"] == [{"Items": [{"n": 1}, {"n": 2}]}, {"Items": [{"n": 3}]}]
    assert (seen["maxConcurrency"], seen["toleratedFailureCount"]) == (3, 1)
    within = tried(MAP, **given, mock=FAILED, stateConfiguration={"mapIterationFailureCount": 1})
    assert within["error"] == "Custom"
    beyond = tried(MAP, **given, mock=FAILED, stateConfiguration={"mapIterationFailureCount": 2})
    assert beyond["error"] == "States.ExceedToleratedFailureThreshold"


def test_a_wait_is_over_at_once_and_a_fail_fails():
    waited = tried({"Type": "Wait", "Seconds": 99, "Next": "After"}, input=5)
    assert (waited["status"], waited["output"], waited["nextState"]) == ("SUCCEEDED", 5, "After")
    failed = tried({"Type": "Fail", "ErrorPath": "$.e"}, input={"e": "E"})
    assert (failed["status"], failed["error"]) == ("FAILED", "E")
    assert "cause" not in failed


def test_an_expression_that_fails_cannot_be_caught_in_jsonpath():
    state = {**TASK, "InputPath": "$.gone", "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Mend"}]}
    answer = tried(state, input={}, mock=mocked(1))
    assert (answer["status"], answer["error"]) == ("FAILED", "States.Runtime")
    assert "errorDetails" not in answer["inspectionData"]


def test_a_task_without_a_mock_is_performed():
    done = tried(TASK, input={"a": 1}, roleArn="arn:aws:iam::1:role/r", perform=lambda task: {"got": task.payload})
    assert done["output"] == {"got": {"a": 1}}
    failed = tried(TASK, roleArn="arn:aws:iam::1:role/r", perform=lambda _: Failure("E", "c"))
    assert (failed["status"], failed["error"], failed["cause"]) == ("FAILED", "E", "c")


def test_an_answer_that_is_too_large_is_a_failure_like_others():
    state = {**TASK, "Catch": [{"ErrorEquals": ["States.DataLimitExceeded"], "Next": "Mend"}]}
    answer = tried(state, roleArn="arn:aws:iam::1:role/r", perform=lambda _: "x" * 300_000)
    assert (answer["status"], answer["error"]) == ("CAUGHT_ERROR", "States.DataLimitExceeded")
    assert answer["inspectionData"]["errorDetails"] == {"catchIndex": 0}


def test_a_state_deep_in_a_machine_is_found_in_its_language():
    inner = {"Type": "Pass", "Output": "{% $states.input.a + $v %}", "End": True}
    branch = {"StartAt": "Deep", "States": {"Deep": inner}}
    machine = {
        "QueryLanguage": "JSONata",
        "StartAt": "Top",
        "States": {"Top": {"Type": "Parallel", "Branches": [branch], "End": True}},
    }
    assert tried(machine, stateName="Deep", input={"a": 1}, variables={"v": 2})["output"] == 3
    assert "Gone" in refused(machine, stateName="Gone").message


@pytest.mark.parametrize(
    ("resource", "answer", "mode", "problem"),
    [
        ("sqs:sendMessage", {"MessageId": 1}, "STRICT", "Field 'MessageId' must be a string"),
        ("states:startExecution", {"ExecutionArn": "a"}, "STRICT", "Field 'StartDate' is required"),
        ("states:startExecution", {"ExecutionArn": "a"}, "PRESENT", None),
        ("states:startExecution", {"ExecutionArn": 1}, "NONE", None),
        ("aws-sdk:s3:listObjectsV2", {"Contents": {}}, "STRICT", "Field 'Contents' must be an array"),
        ("aws-sdk:s3:listObjectsV2", {"Contents": [{"Size": "1"}]}, "STRICT", "Field 'Size' must be a number"),
        ("aws-sdk:s3:listObjectsV2", {"IsTruncated": "no"}, "STRICT", "Field 'IsTruncated' must be a boolean"),
        (
            "aws-sdk:secretsmanager:getSecretValue",
            {"Name": ""},
            "STRICT",
            "Field 'Name' is smaller than the minimum length",
        ),
        ("aws-sdk:s3:getObject", {"SsekmsKeyId": 1}, "STRICT", "Field 'SsekmsKeyId' must be a string"),
        ("lambda:invoke", {"Payload": {"any": "thing"}, "StatusCode": 200}, "STRICT", None),
        ("aws-sdk:lambda:invoke", {"Payload": {}}, "STRICT", "Field 'Payload' must be a string"),
        ("dynamodb:getItem", {"Item": {"k": {"S": 1}}}, "STRICT", "Field 'S' must be a string"),
        ("sqs:sendMessage.waitForTaskToken", {"MessageId": 1}, "STRICT", None),
    ],
)
def test_a_mocked_answer_has_the_form_of_the_services(resource, answer, mode, problem):
    state = {"Type": "Task", "Resource": f"arn:aws:states:::{resource}", "End": True}
    if problem is None:
        assert tried(state, mock=mocked(answer, mode))["output"] == answer
    else:
        assert refused(state, mock=mocked(answer, mode)).message == f"Mock result schema validation error: {problem}"


def test_an_answer_of_an_unknown_service_is_said_to_be_unchecked():
    state = {"Type": "Task", "Resource": "arn:aws:states:::aws-sdk:nosuch:doIt", "End": True}
    assert tried(state, mock=mocked({"a": 1}))["unchecked"] == "nosuch"


@pytest.mark.parametrize(
    ("definition", "request_", "message"),
    [
        (TASK, {}, "RoleArn must be specified when testing a Task state"),
        (TASK, {"roleArn": "r"}, "specify a mock"),
        (MAP, {}, "not supported when a mock is not specified"),
        (TASK, {"context": {}, "stateConfiguration": {"retrierRetryCount": 1}}, "RetrierRetryCount"),
        (TASK, {"mock": {}}, "RoleArn"),
        (TASK, {"mock": {"result": "1", **FAILED}}, "only one of the following fields"),
        (TASK, {"mock": mocked("x" * 262_144)}, "262144"),
        (TASK, {"mock": {"fieldValidationMode": "NONE"}}, "only one of the following fields"),
        (TASK, {"mock": mocked(1, "SOME")}, "fieldValidationMode"),
        (TASK, {"mock": mocked(1), "inspectionLevel": "ALL"}, "inspectionLevel"),
        (TASK, {"mock": mocked(1), "input": "{"}, "Invalid JSON in 'input'"),
        ({"Type": "Pass", "End": True}, {"mock": mocked(1)}, "State type 'Pass'"),
        ({"Type": "Pass"}, {}, "Invalid State Machine Definition"),
        (None, {}, "definition"),
    ],
)
def test_what_aws_refuses_is_refused_with_a_reason(definition, request_, message):
    assert message in refused(definition, **request_).message


def alone(case):
    """Whether one state is the whole of a machine that succeeded, and sees nothing of its execution."""
    states, text = case["definition"]["States"], json.dumps(case["definition"])
    seen = any(word in text for word in ("$$", "$states.context", "$states %"))
    return len(states) == 1 and case["expect"]["status"] == "SUCCEEDED" and not seen


ALONE = [each for each in executions("asl_core") if alone(each)]


@needs_corpus
def test_a_state_alone_does_what_it_does_in_a_run():
    tried_alone = [case for case in ALONE for state in case["definition"]["States"].values() if state["Type"] == "Pass"]
    assert len(tried_alone) > 100
    for case in tried_alone:
        (name,) = case["definition"]["States"]
        answer = tried(case["definition"], stateName=name, input=case["input"])
        assert fits(case["expect"]["output"], answer["output"]), case["name"]
