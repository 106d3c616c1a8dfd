"""The validator: everything that is wrong, each thing once, with its rule and its place."""

import copy
import json

import pytest

from penstock.core.asl.definition import Machine, Pass, to_document
from penstock.core.asl.findings import RULES, Severity, diagnostics, problems, refusal
from penstock.core.asl.validation import DEPTH_MAX, parse, validate, validate_state
from penstock.errors import Invalid

LAMBDA = "arn:aws:lambda:eu-west-1:123456789012:function:f"
TASK = {"Type": "Task", "Resource": LAMBDA, "End": True}
PASS = {"Type": "Pass", "End": True}
INNER = {"StartAt": "I", "States": {"I": PASS}}
DISTRIBUTED = {**INNER, "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}}
MAP = {"Type": "Map", "ItemProcessor": INNER, "End": True}
DMAP = {"Type": "Map", "ItemProcessor": DISTRIBUTED, "End": True}
CHOICE = {"Type": "Choice", "Choices": [{"Variable": "$.a", "IsNull": True, "Next": "B"}], "Default": "B"}
RETRIER = {"ErrorEquals": ["States.ALL"]}


def machine(state, **top):
    """A machine of the state A, and of B where A leads to it."""
    states = {"A": state}
    if '"B"' in json.dumps(state):
        states["B"] = {"Type": "Succeed"}
    return {"StartAt": "A", "States": states, **top}


def jsonata(state):
    return machine(state, QueryLanguage="JSONata")


def found(document, **options):
    return [(each.rule, each.path) for each in validate(document, **options)]


BAD = {
    "no states": ({"StartAt": "A"}, [("field-missing", "/")]),
    "empty states": ({"StartAt": "A", "States": {}}, [("end-missing", "/States")]),
    "field misspelt": (machine({**PASS, "Resutl": 1}), [("field-unknown", "/States/A/Resutl")]),
    "type unknown": (machine({"Type": "Psas", "End": True}), [("value-unknown", "/States/A/Type")]),
    "type missing": (machine({"End": True}), [("field-missing", "/States/A")]),
    "state is no object": (machine("Pass"), [("value-type", "/States/A")]),
    "start not there": ({"StartAt": "X", "States": {"A": PASS}}, [("start-missing", "/StartAt")]),
    "next not there": (machine({"Type": "Pass", "Next": "X"}), [("target-missing", "/States/A/Next")]),
    "neither next nor end": (machine({"Type": "Pass"}), [("next-or-end", "/States/A")]),
    "next and end": (machine({"Type": "Pass", "Next": "B", "End": True}), [("next-or-end", "/States/A")]),
    "end is no boolean": (machine({"Type": "Pass", "End": "yes"}), [("value-type", "/States/A/End")]),
    "unreachable": ({"StartAt": "A", "States": {"A": PASS, "B": PASS}}, [("state-unreachable", "/States/B")]),
    "no end": ({"StartAt": "A", "States": {"A": {"Type": "Pass", "Next": "A"}}}, [("end-missing", "/States")]),
    "never ends": (
        {
            "StartAt": "A",
            "States": {"A": CHOICE, "B": {"Type": "Pass", "Next": "C"}, "C": {"Type": "Pass", "Next": "B"}, "D": PASS},
        },
        [("state-unreachable", "/States/D"), *((("never-ends"), f"/States/{each}") for each in "ABC")],
    ),
    "name twice": (machine({**MAP, "ItemProcessor": {"StartAt": "A", "States": {"A": PASS}}}), [("state-twice", "/States/A/ItemProcessor/States/A")]),
    "name too long": ({"StartAt": "x" * 81, "States": {"x" * 81: PASS}}, [("state-name", f"/States/{'x' * 81}")]),
    "timeout is no number": (machine({**TASK, "TimeoutSeconds": "5"}), [("value-type", "/States/A/TimeoutSeconds")]),
    "timeout of zero": (machine({**TASK, "TimeoutSeconds": 0}), [("value-range", "/States/A/TimeoutSeconds")]),
    "true is no number": (machine({"Type": "Wait", "Seconds": True, "End": True}), [("value-type", "/States/A/Seconds")]),
    "heartbeat not less": (machine({**TASK, "TimeoutSeconds": 5, "HeartbeatSeconds": 5}), [("heartbeat", "/States/A/HeartbeatSeconds")]),
    "two timeouts": (machine({**TASK, "TimeoutSeconds": 5, "TimeoutSecondsPath": "$.t"}), [("field-conflict", "/States/A")]),
    "wait without a time": (machine({"Type": "Wait", "End": True}), [("field-missing", "/States/A")]),
    "timestamp without zone": (machine({"Type": "Wait", "Timestamp": "2024-01-01T00:00:00", "End": True}), [("value-type", "/States/A/Timestamp")]),
    "all beside another": (machine({**TASK, "Retry": [{"ErrorEquals": ["States.ALL", "X"]}]}), [("error-all", "/States/A/Retry[0]/ErrorEquals")]),
    "all not last": (machine({**TASK, "Retry": [RETRIER, {"ErrorEquals": ["X"]}]}), [("error-all", "/States/A/Retry[0]/ErrorEquals")]),
    "all not last in catch": (
        machine({**TASK, "Catch": [{**RETRIER, "Next": "B"}, {"ErrorEquals": ["X"], "Next": "B"}]}),
        [("error-all", "/States/A/Catch[0]/ErrorEquals")],
    ),
    "error unknown": (machine({**TASK, "Retry": [{"ErrorEquals": ["States.Bogus"]}]}), [("error-unknown", "/States/A/Retry[0]/ErrorEquals[0]")]),
    "error listed twice": (machine({**TASK, "Retry": [{"ErrorEquals": ["X"]}, {"ErrorEquals": ["X"]}]}), [("error-shadowed", "/States/A/Retry[1]/ErrorEquals[0]")]),
    "no error names": (machine({**TASK, "Retry": [{"ErrorEquals": []}]}), [("value-range", "/States/A/Retry[0]/ErrorEquals")]),
    "backoff below one": (machine({**TASK, "Retry": [{**RETRIER, "BackoffRate": 0.5}]}), [("value-range", "/States/A/Retry[0]/BackoffRate")]),
    "jitter unknown": (machine({**TASK, "Retry": [{**RETRIER, "JitterStrategy": "HALF"}]}), [("value-unknown", "/States/A/Retry[0]/JitterStrategy")]),
    "catcher without next": (machine({**TASK, "Catch": [RETRIER]}), [("field-missing", "/States/A/Catch[0]")]),
    "choices empty": (machine({"Type": "Choice", "Choices": [], "Default": "B"}), [("value-range", "/States/A/Choices")]),
    "rule without next": (machine({**CHOICE, "Choices": [{"Variable": "$.a", "IsNull": True}]}), [("field-missing", "/States/A/Choices[0]")]),
    "rule with two comparisons": (
        machine({**CHOICE, "Choices": [{"Variable": "$.a", "IsNull": True, "IsString": True, "Next": "B"}]}),
        [("choice-rule", "/States/A/Choices[0]")],
    ),
    "next in a nested rule": (
        machine({**CHOICE, "Choices": [{"Not": {"Variable": "$.a", "IsNull": True, "Next": "B"}, "Next": "B"}]}),
        [("field-unknown", "/States/A/Choices[0]/Not/Next")],
    ),
    "condition in JSONPath": (machine({**CHOICE, "Choices": [{"Condition": "{% true %}", "Next": "B"}]}), [("field-language", "/States/A/Choices[0]/Condition"), ("jsonata-in-jsonpath", "/States/A/Choices[0]/Condition")]),
    "parameters in JSONata": (jsonata({**TASK, "Parameters": {}}), [("field-language", "/States/A/Parameters")]),
    "arguments in JSONPath": (machine({**TASK, "Arguments": {}}), [("field-language", "/States/A/Arguments")]),
    "condition is a path": (jsonata({**CHOICE, "Choices": [{"Condition": "$.a", "Next": "B"}]}), [("value-type", "/States/A/Choices[0]/Condition")]),
    "JSONata not closed": (jsonata({**PASS, "Output": {"a": ["{% 1"]}}), [("jsonata-syntax", "/States/A/Output/a[0]")]),
    "JSONata broken": (jsonata({**PASS, "Output": {"a": ["{% $sum( %}"]}}), [("jsonata-syntax", "/States/A/Output/a[0]")]),
    "JSONata of nothing": (jsonata({**PASS, "Output": {"v": "{% order.id %}"}}), [("jsonata-unsupported", "/States/A/Output/v")]),
    "JSONata empty": (jsonata({**PASS, "Output": "{%  %}"}), [("jsonata-syntax", "/States/A/Output")]),
    "back to JSONPath": (jsonata({**PASS, "QueryLanguage": "JSONPath"}), [("language-mixed", "/States/A/QueryLanguage")]),
    "path without dollar": (machine({**PASS, "InputPath": "a.b"}), [("path-syntax", "/States/A/InputPath")]),
    "result path into a variable": (machine({**PASS, "ResultPath": "$v.a"}), [("reference-path", "/States/A/ResultPath"), ("variable-unassigned", "/States/A")]),
    "result path with a wildcard": (machine({**PASS, "ResultPath": "$.a[*]"}), [("path-syntax", "/States/A/ResultPath")]),
    "template with a bad path": (machine({**PASS, "Parameters": {"a": [{"b.$": "c"}]}}), [("expression-syntax", "/States/A/Parameters/a[0]/b.$")]),
    "template with a bad function": (machine({**PASS, "Parameters": {"b.$": "States.Nope(1)"}}), [("expression-syntax", "/States/A/Parameters/b.$")]),
    "template key twice": (machine({**PASS, "Parameters": {"b": 1, "b.$": "$.b"}}), [("template-key-twice", "/States/A/Parameters")]),
    "null is no items path": (machine({**MAP, "ItemsPath": None}), [("value-type", "/States/A/ItemsPath")]),
    "two processors": (machine({**MAP, "Iterator": {"StartAt": "J", "States": {"J": PASS}}}), [("field-conflict", "/States/A")]),
    "label": (machine({**DMAP, "Label": "a b"}), [("label", "/States/A/Label")]),
    "label empty": (machine({**DMAP, "Label": ""}), [("label", "/States/A/Label")]),
    "reader of an inline map": (machine({**MAP, "ItemReader": {"Resource": "arn:aws:states:::s3:getObject"}}), [("field-mode", "/States/A/ItemReader")]),
    "batch of nothing": (machine({**DMAP, "ItemBatcher": {}}), [("field-missing", "/States/A/ItemBatcher")]),
    "headers not given": (
        machine({**DMAP, "ItemReader": {"Resource": "arn:aws:states:::s3:getObject", "ReaderConfig": {"CSVHeaderLocation": "GIVEN"}}}),
        [("field-missing", "/States/A/ItemReader/ReaderConfig")],
    ),
    "branches empty": (machine({"Type": "Parallel", "Branches": [], "End": True}), [("value-range", "/States/A/Branches")]),
    "branch leads outside": (
        machine({"Type": "Parallel", "Branches": [{"StartAt": "I", "States": {"I": {"Type": "Pass", "Next": "B"}}}], "Next": "B"}),
        [("target-missing", "/States/A/Branches[0]/States/I/Next")],
    ),
    "lambda with an empty alias": (machine({**TASK, "Resource": f"{LAMBDA}:"}), [("resource", "/States/A/Resource")]),
    "resource is prose": (machine({**TASK, "Resource": "call it"}), [("resource", "/States/A/Resource")]),
    "fail with two causes": (machine({"Type": "Fail", "Cause": "c", "CausePath": "$.c"}), [("field-conflict", "/States/A")]),
    "variable called states": (machine({**PASS, "Assign": {"states": 1}}), [("variable-name", "/States/A/Assign/states"), ("variable-unused", "/States/A/Assign/states")]),
    "static result": (machine({**PASS, "Result": {"a": {"b.$": "$.c"}}}), [("pass-result-static", "/States/A/Result/a/b.$")]),
    "dollar forgotten": (machine({**TASK, "Parameters": {"a": "$.b"}}), [("no-dollar", "/States/A/Parameters/a")]),
    "path forgotten": (machine({"Type": "Fail", "Cause": "$.why"}), [("no-path", "/States/A/Cause")]),
    "JSONata in JSONPath": (machine({**TASK, "Parameters": {"a": "{% 1 %}"}}), [("jsonata-in-jsonpath", "/States/A/Parameters/a")]),
    "dollar in JSONata": (jsonata({**TASK, "Arguments": {"a.$": "$.b"}}), [("jsonpath-in-jsonata", "/States/A/Arguments/a.$")]),
    "blanks around JSONata": (jsonata({**TASK, "Arguments": " {% 1 %} "}), [("jsonata-blanks", "/States/A/Arguments")]),
    "variable never read": (machine({**PASS, "Assign": {"v": 1}}), [("variable-unused", "/States/A/Assign/v")]),
    "variable never assigned": (machine({**PASS, "InputPath": "$v"}), [("variable-unassigned", "/States/A")]),
    "resource that a template left out": (machine({**TASK, "Resource": None}), [("resource-hole", "/States/A/Resource")]),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_what_is_wrong_is_found_once_and_nothing_else(name):
    document, expected = BAD[name]
    before = copy.deepcopy(document)
    assert found(document) == expected
    assert document == before


def test_all_findings_come_at_once_each_with_a_hint_or_a_reason():
    document = machine({**TASK, "TimeoutSeconds": -1, "Retyr": [], "Next": "X"}, Versoin="1.0")
    findings = validate(document)
    assert {each.rule for each in findings} == {"value-range", "field-unknown", "next-or-end", "target-missing"}
    assert {each.path: each.hint for each in findings}["/States/A/Retyr"] == "did you mean Retry?"


def test_a_rule_is_used_by_a_table_or_named_here():
    elsewhere = {
        "document-syntax", "document-empty", "document-size", "too-deep", "key-twice", "field-mode", "label-twice",
        "express", "jsonata-needed", "path-filter", "resource-name", "variable-form",
    }  # fmt: skip
    assert {rule for _, expected in BAD.values() for rule, _ in expected} | elsewhere == set(RULES)


@pytest.mark.parametrize(
    ("document", "rule"),
    [
        (b"\xff", "document-syntax"),
        ("", "document-empty"),
        ("[]", "document-syntax"),
        ("{", "document-syntax"),
        ('{"StartAt": NaN}', "document-syntax"),
        ("plain words", "document-syntax"),
        ("a: [", "document-syntax"),
        ("a: &x [1]\nb: *x", "document-syntax"),
        ('{"Comment": "' + "x" * 1_100_000 + '"}', "document-size"),
        ("[" * 100_000, "too-deep"),
        ('{"Result": ' + "[" * 400 + "]" * 400 + "}", "too-deep"),
        ("x: " + "{a: " * 400 + "1" + "}" * 400, "too-deep"),
    ],
)
def test_what_is_no_document_is_said(document, rule):
    [finding] = validate(document)
    assert (finding.rule, finding.path, finding.severity) == (rule, "/", Severity.ERROR)


def test_a_key_that_stands_twice_is_a_warning():
    text = '{"StartAt": "A", "StartAt": "A", "States": {"A": {"Type": "Pass", "End": true}}}'
    assert found(text) == [("key-twice", "/")]


def test_yaml_is_read_as_it_is_written():
    text = """
        Comment: yes
        StartAt: On
        States:
          On:
            Type: Wait
            Timestamp: 2024-01-01T00:00:00Z
            Next: Call
          Call:
            Type: Task
            Resource: !GetAtt Function.Arn
            Parameters: {Name: !Sub "${Stage}-x", Empty: , Deep: {Rate: 1.5e3, Count: 010}}
            End: true
    """
    read = to_document(parse(text))
    assert (read["Comment"], read["StartAt"]) == ("yes", "On")
    assert read["States"]["On"]["Timestamp"] == "2024-01-01T00:00:00Z"
    assert read["States"]["Call"]["Resource"] == "${Function.Arn}"
    assert read["States"]["Call"]["Parameters"] == {
        "Name": "${Stage}-x",
        "Empty": None,
        "Deep": {"Rate": 1500.0, "Count": "010"},
    }


@pytest.mark.parametrize(
    ("function", "text"),
    [
        ({"Ref": "Function"}, "${Function}"),
        ({"Fn::GetAtt": ["Function", "Arn"]}, "${Function.Arn}"),
        ({"Fn::Sub": "arn:aws:lambda:${AWS::Region}:1:function:f"}, "arn:aws:lambda:${AWS::Region}:1:function:f"),
        ({"Fn::ImportValue": {"Fn::Sub": "x"}}, "${Fn::ImportValue}"),
    ],
)
def test_a_function_of_a_template_stands_for_a_resource(function, text):
    document = machine({**MAP, "ItemProcessor": {"StartAt": "I", "States": {"I": {**TASK, "Resource": function}}}})
    before = copy.deepcopy(document)
    assert found(document) == []
    assert parse(document).states["A"].processor.states["I"].resource == text
    assert document == before
    assert found(machine({**TASK, "Resource": {"Other": "x"}})) == [("value-type", "/States/A/Resource")]


def test_parse_gives_the_machine_or_all_errors():
    built = Machine(start_at="A", states={"A": Pass(end=True)})
    assert parse(json.dumps(to_document(built))) == built
    with pytest.raises(Invalid) as refused:
        parse(machine({**TASK, "TimeoutSeconds": -1, "Retyr": [], "Parameters": {"a": "$.b"}}))
    assert [each.path for each in refused.value.findings] == ["/States/A/TimeoutSeconds", "/States/A/Retyr"]


def test_a_label_is_used_once_and_nesting_has_a_limit():
    twice = {
        "StartAt": "A",
        "States": {"A": {**DMAP, "Label": "l", "End": False, "Next": "C"}, "C": {**DMAP, "Label": "l"}},
    }
    twice = copy.deepcopy(twice)
    twice["States"]["C"]["ItemProcessor"] = {**DISTRIBUTED, "StartAt": "J", "States": {"J": PASS}}
    assert found(twice) == [("label-twice", "/States/C/Label")]
    deep = PASS
    for level in range(DEPTH_MAX + 2):
        deep = {"Type": "Parallel", "Branches": [{"StartAt": f"L{level}", "States": {f"L{level}": deep}}], "End": True}
    assert [rule for rule, _ in found(machine(deep))] == ["too-deep"]


@pytest.mark.parametrize(
    ("state", "problem"),
    [
        ({**TASK, "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken"}, "'.waitForTaskToken'"),
        ({**TASK, "Resource": "arn:aws:states:::states:startExecution.sync:2"}, "'.sync'"),
        ({**TASK, "Resource": "arn:aws:states:eu-west-1:123456789012:activity:a"}, "Activity ARN"),
        (DMAP, "distributed Map"),
    ],
)
def test_an_express_machine_may_do_less(state, problem):
    assert found(machine(state)) == []
    [finding] = validate(machine(state), express=True)
    assert problem in finding.problem
    children = {**DISTRIBUTED, "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "EXPRESS"}}
    children["States"] = {"I": state if "ItemProcessor" not in state else PASS}
    assert bool(found(machine({**DMAP, "ItemProcessor": children}))) == ("Resource" in state)


def test_findings_are_told_as_aws_tells_them():
    findings = validate(machine({**TASK, "Resource": "a b", "Parameters": {"a": "$.b"}}))
    assert refusal(findings) == (
        "Invalid State Machine Definition: 'INVALID_RESOURCE: Value is not a valid resource ARN at /States/A/Resource'"
    )
    assert diagnostics(findings)["result"] == "FAIL"
    assert [each["code"] for each in diagnostics(findings, warnings=True)["diagnostics"]] == [
        "INVALID_RESOURCE",
        "NO_DOLLAR",
    ]
    assert diagnostics(findings, warnings=True, results_max=1)["truncated"]
    assert refusal(validate(machine(TASK))) is None
    assert str(findings[0]).startswith("/States/A/Resource: Value is not")


def test_a_state_is_validated_alone():
    assert validate_state({"Type": "Pass", "Next": "Somewhere"}) == []
    [finding] = problems(validate_state({"Type": "Parallel", "Branches": [], "End": True}))
    assert finding.path == "/States/StateName/Branches"
