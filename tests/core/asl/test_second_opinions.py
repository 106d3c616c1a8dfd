"""Two other validators: what they refuse is refused here too, or it is said why not. asl-validator comes from npm, if that is here."""

import copy

from asl_validator import verdicts
from definition_corpus import accepted, needs_definitions
from statelint.linter import Linter
from test_validation import BAD

from penstock.core.asl.findings import problems
from penstock.core.asl.validation import validate

WARNED = {
    "blanks around JSONata",  # AWS takes it as a plain text: recorded
    "resource that a template left out",  # published by AWS in templates
    "variable never read",  # statelint knows no Assign in JSONPath states
}
MISSED_BY_STATELINT = {"all not last", "heartbeat not less", "error unknown", "JSONata broken"}
MISSED_BY_ASL_VALIDATOR = {"all not last", "heartbeat not less", "error unknown"}


def compared(refused_by_tool):
    """Return the names of what a tool refuses and we do not, and the other way round."""
    refused_here = {name for name, (document, _) in BAD.items() if problems(validate(document))}
    return refused_by_tool - refused_here, refused_here - refused_by_tool


def test_what_statelint_refuses_is_refused():
    refused = {name for name, (document, _) in BAD.items() if Linter.validate(copy.deepcopy(document))}
    assert len(refused) >= 40
    theirs, ours = compared(refused)
    assert theirs <= WARNED
    assert ours >= MISSED_BY_STATELINT


@needs_definitions
def test_statelint_refuses_machines_that_aws_runs():
    """Why it is a second opinion, and not the first: docs/asl.md names the reasons."""
    refused = [name for name, document in accepted() if Linter.validate(copy.deepcopy(document))]
    assert 50 <= len(refused) <= 200


def test_what_asl_validator_refuses_is_refused():
    judged = verdicts([document for document, _ in BAD.values()])
    refused = {name for name, valid in zip(BAD, judged, strict=True) if not valid}
    assert len(refused) >= 30
    theirs, ours = compared(refused)
    assert theirs <= WARNED
    assert ours >= MISSED_BY_ASL_VALIDATOR
