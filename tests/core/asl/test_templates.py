"""Payload templates and the flow of data through a state in JSONPath, against AWS's recordings."""

import json

import pytest
from asl_corpus import executions, fits, names, needs_corpus

from penstock.core.asl.failures import EvaluationFailed, state_cause
from penstock.core.asl.flow import DISCARDED, assigned, combined, effective_input, effective_output, payload
from penstock.core.asl.references import parse_data_path, parse_reference_path
from penstock.core.asl.scope import Scope, SeededChance
from penstock.core.asl.templates import evaluate, parse_expression, parse_template

CONTEXT = {
    "Execution": {
        "Id": "arn:aws:states:us-east-1:111111111111:execution:m:e",
        "Name": "e",
        "RedriveCount": 0,
        "RoleArn": "arn:aws:iam::111111111111:role/r",
        "StartTime": "2024-01-01T00:00:00.000Z",
    },
    "State": {"EnteredTime": "2024-01-01T00:00:00.000Z", "Name": "TestState"},
    "StateMachine": {"Id": "arn:aws:states:us-east-1:111111111111:stateMachine:m", "Name": "m"},
}


def only_pass(case):
    states = case["definition"]["States"]
    return len(states) == 1 and all(
        each["Type"] == "Pass" and "Output" not in each and "QueryLanguage" not in each for each in states.values()
    )


PASSES = [case for case in executions("asl_core") if "QueryLanguage" not in case["definition"] and only_pass(case)]


def scope(value, variables=None):
    context = {**CONTEXT, "Execution": {**CONTEXT["Execution"], "Input": value}}
    return Scope(value, context, SeededChance("a run"), variables or {})


def template(value):
    parsed, findings = parse_template(value)
    assert findings == []
    return parsed


def path_field(state, name, parse):
    return None if name not in state else DISCARDED if state[name] is None else parse(state[name])


def through(state, value):
    """Return what a Pass state makes of its input."""
    here = scope(value)
    here = here.over(effective_input(path_field(state, "InputPath", parse_data_path), here))
    parameters = template(state["Parameters"]) if "Parameters" in state else None
    result = state["Result"] if "Result" in state else payload(parameters, here)
    if "Assign" in state:
        assigned(template(state["Assign"]), here.over(result))
    output = combined(path_field(state, "ResultPath", parse_reference_path), value, result)
    return effective_output(path_field(state, "OutputPath", parse_data_path), here.over(output))


@needs_corpus
@pytest.mark.parametrize("case", PASSES, ids=names(PASSES))
def test_a_pass_state_gives_what_aws_recorded(case):
    [state] = case["definition"]["States"].values()
    expect = case["expect"]
    if expect["status"] == "SUCCEEDED":
        assert fits(expect["output"], through(state, case["input"]))
        return
    [name] = case["definition"]["States"]
    with pytest.raises(EvaluationFailed) as caught:
        through(state, case["input"])
    assert caught.value.error == expect["error"]
    assert fits(expect["cause"], state_cause(name, 2, caught.value.cause))


@needs_corpus
def test_the_corpus_has_such_states():
    assert len(PASSES) >= 70


def test_only_keys_with_the_suffix_are_computed_and_lists_are_walked():
    parsed = template({"a.$": "$.x", "b": "$.x", "c": [{"d.$": "$.x"}, "$.x"], "e": {"f.$": "$v", "g": None}})
    made = parsed.evaluate(scope({"x": 1}, {"v": 2}))
    assert made == {"a": 1, "b": "$.x", "c": [{"d": 1}, "$.x"], "e": {"f": 2, "g": None}}
    assert parsed.variables == {"v"}


def test_all_that_is_wrong_with_a_template_is_found_with_its_place():
    _, findings = parse_template(
        {"a.$": 1, "b": [{"c.$": "no path"}], "d.$": "States.Nope()", "e.$": "$.a[", "f.$": "$.b["}, "/P"
    )
    assert [each.path for each in findings] == ["/P/a.$", "/P/b[0]/c.$", "/P/d.$"]
    assert all(each.problem and each.hint for each in findings)


def test_a_path_in_a_payload_that_names_nothing_fails_with_the_field_and_the_input():
    with pytest.raises(EvaluationFailed) as caught:
        template({"deep": {"v.$": "$.no"}}).evaluate(scope({"é": [1]}))
    cause = "The JSONPath '$.no' specified for the field 'v.$' could not be found in the input '{\"é\":[1]}'"
    assert (caught.value.error, caught.value.cause) == ("States.Runtime", cause)


def test_a_path_or_a_function_stands_for_a_text_in_error_path():
    assert evaluate(parse_expression("$.e"), scope({"e": "x"}), field="ErrorPath") == "x"
    assert evaluate(parse_expression("States.Format('E{}', $.e)"), scope({"e": 1}), field="ErrorPath") == "E1"


def test_null_in_the_place_of_a_path_discards():
    assert effective_input(DISCARDED, scope({"a": 1})) == {}
    assert effective_output(DISCARDED, scope({"a": 1})) == {}
    assert combined(DISCARDED, {"a": 1}, 2) == {"a": 1}
    assert combined(None, {"a": 1}, 2) == 2


def test_variables_are_all_set_from_the_values_at_entry():
    here = scope({"a": 1}, {"x": "old"})
    assert assigned(template({"x.$": "$.a", "y.$": "$x"}), here) == {"x": 1, "y": "old"}
    assert assigned(None, here) == {}


def test_what_is_constant_in_a_template_is_not_copied():
    constant = {"a": [1, 2, {"b": 3}]}
    made = template({"k": constant["a"], "v.$": "$"}).evaluate(scope({}))
    assert made["k"] is constant["a"]


def test_a_template_is_data_and_survives_json():
    made = template({"a": {"b.$": "$"}}).evaluate(scope({"x": 1.5}))
    assert json.loads(json.dumps(made)) == {"a": {"b": {"x": 1.5}}}
