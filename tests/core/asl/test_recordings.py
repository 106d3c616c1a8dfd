"""Machines and single states as AWS ran them: status, output or error, cause, events, data."""

import json

import pytest
from asl_corpus import executions, needs_corpus

from penstock.testing.asl_cases import fits, graded
from penstock.testing.asl_world import carried_out

pytestmark = needs_corpus

CASES = [each for name in ("asl_core", "asl_lambda", "asl_replay") for each in executions(name)]
TRIED = executions("asl_teststate")
CALLS = {json.dumps(each["request"], sort_keys=True): each for each in TRIED}
DETAILED = [each for each in CASES if each.get("expect_event_details")]


@pytest.mark.parametrize("case", CASES, ids=[each["name"] for each in CASES])
def test_a_machine_runs_as_aws_ran_it(case):
    verdict = graded(case)
    assert verdict.passed, verdict.got
    assert all(verdict.levels.values()), verdict.levels


@pytest.mark.parametrize("case", DETAILED, ids=[each["name"] for each in DETAILED])
def test_the_details_of_its_events_are_those_of_aws(case):
    events = carried_out(case).history.events
    for kind, details in case["expect_event_details"]:
        assert any(each.type == kind and fits(details, dict(each.details)) for each in events)


@pytest.mark.parametrize("call", CALLS, ids=[each["name"] for each in CALLS.values()])
def test_a_state_tried_alone_answers_as_on_aws(call):
    """Two calls that differ in their roles only, which the recordings have lost, are one here: the answer is one of theirs."""
    verdicts = [graded(each) for each in TRIED if json.dumps(each["request"], sort_keys=True) == call]
    assert any(each.passed for each in verdicts), [each.got for each in verdicts]
