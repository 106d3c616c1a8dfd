"""The validator beside AWS's own word, and beside two other validators."""

import json

import pytest
from definition_corpus import accepted, cases, needs_definitions

from penstock.core.asl.findings import diagnostics, problems, refusal
from penstock.core.asl.validation import parse, validate
from penstock.core.asl.variables import variable_references

pytestmark = needs_definitions

RECORDED = cases("asl/asl_definition_given")
JUDGED = cases("asl_definitions/definitions_given")
EXPLAINED = {
    # docs/asl.md, "Where AWS's word differs from a tool's"
    "asl-validator/valid-task-credentials",
    "asl-validator/invalid-json-surround-syntax-extra-spaces",
}


def test_what_aws_took_has_no_error():
    for name, definition in accepted():
        assert problems(validate(definition)) == [], name
        assert parse(definition).states, name


@pytest.mark.parametrize("case", RECORDED, ids=[each["name"][-60:] for each in RECORDED])
def test_a_refusal_a_diagnosis_and_the_variables_are_those_of_aws(case):
    text, expected = case["definition_text"], case["expect"]
    if "variableReferences" in expected:
        assert variable_references(json.loads(text)) == expected["variableReferences"]
    elif "error" in expected:
        # The recordings of refusals have lost the type of the machine.
        findings = validate(text)
        message = refusal(findings if problems(findings) else validate(text, express=True))
        assert message
        assert message == expected["error"].get("Message", message)
        assert expected["error"]["Code"] == "InvalidDefinition"
    else:
        assert diagnostics(validate(text, express=case["request"]["type"] == "EXPRESS")) == expected


@pytest.mark.parametrize("case", JUDGED, ids=[each["name"] for each in JUDGED])
def test_a_verdict_is_that_of_the_tool_or_explained(case):
    errors = problems(validate(case["definition"]))
    agrees = (not errors) == case["valid"]
    if "statelint_problems" in case:
        agrees = agrees and len(errors) == case["statelint_problems"]["count"]
    assert agrees == (case["name"] not in EXPLAINED), [str(each) for each in errors]
