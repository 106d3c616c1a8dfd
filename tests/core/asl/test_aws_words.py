"""Errors and causes in AWS's words where no recording of ours has them: from its docs, or as LocalStack's interpreter has them of AWS."""

import pytest

from penstock.core.asl.definition import from_document
from penstock.core.asl.happenings import Started, StartTimer, TimerFired
from penstock.core.asl.program import compiled
from penstock.core.asl.reducer import advance
from penstock.core.asl.run import Run

ENTERED = "An error occurred while executing the state 'A' (entered at the event id #2). "


def begun(states, given=None):
    run = Run(compiled(from_document({"StartAt": "A", "States": states})))
    return run, advance(run, Started(at_ms=0, input=given, name="r"))


@pytest.mark.parametrize(
    ("value", "cause"),
    [
        (-1, "references a negative value: $.v == -1"),
        (1.5, "cannot be parsed as a long value: $.v == 1.5"),
        ("x", "cannot be parsed as a long value: $.v == x"),
        ({"a": 1}, 'cannot be parsed as a long value: $.v == {"a":1}'),
    ],
)
def test_seconds_that_a_path_names_are_a_whole_number(value, cause):
    run, _ = begun({"A": {"Type": "Wait", "SecondsPath": "$.v", "End": True}}, {"v": value})
    assert (run.failure.error, run.failure.cause) == ("States.Runtime", f"{ENTERED}The SecondsPath parameter {cause}")


def test_a_time_that_a_path_names_is_told_with_its_path():
    run, _ = begun({"A": {"Type": "Wait", "TimestampPath": "$.v", "End": True}}, {"v": "2020-01-01"})
    wanted = "a valid ISO-8601 extended offset date-time format string"
    assert run.failure.cause == (f"{ENTERED}The TimestampPath parameter does not reference {wanted}: $.v == 2020-01-01")


PASSING = {"StartAt": "P", "States": {"P": {"Type": "Pass", "End": True}}}
SETTINGS = {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}}


@pytest.mark.parametrize(
    ("field", "cause", "started"),
    [
        ("MaxConcurrencyPath", "Expected non-negative integer for MaxConcurrency, got '-1' instead.", False),
        ("ToleratedFailureCountPath", "ToleratedFailureCount cannot be negative.", True),
        ("ToleratedFailurePercentagePath", "ToleratedFailurePercentage must be between 0 and 100.", True),
    ],
)
def test_bounds_of_a_map_that_paths_name_are_not_negative(field, cause, started):
    states = {
        "A": {"Type": "Map", "ItemsPath": "$.i", "ItemProcessor": {**SETTINGS, **PASSING}, field: "$.v", "End": True}
    }
    run, _ = begun(states, {"v": -1, "i": [1]})
    assert (run.failure.error, run.failure.cause) == ("States.Runtime", ENTERED + cause)
    assert ("MapStateStarted" in [each.type for each in run.history.events]) is started


def test_how_many_run_at_once_is_looked_at_before_the_items():
    run, _ = begun(
        {
            "A": {
                "Type": "Map",
                "ItemsPath": "$.none",
                "ItemProcessor": PASSING,
                "MaxConcurrencyPath": "$.v",
                "End": True,
            }
        },
        {"v": -1},
    )
    assert "MaxConcurrency" in run.failure.cause


def test_a_timeout_that_is_caught_has_an_empty_cause():
    states = {
        "A": {
            "Type": "Task",
            "Resource": "agent:a",
            "TimeoutSeconds": 1,
            "Catch": [{"ErrorEquals": ["States.Timeout"], "Next": "B"}],
            "End": True,
        },
        "B": {"Type": "Pass", "End": True},
    }
    run, commands = begun(states)
    (timer,) = [each for each in commands if isinstance(each, StartTimer)]
    advance(run, TimerFired(at_ms=timer.at_ms, id=timer.id))
    assert run.result == {"Error": "States.Timeout", "Cause": ""}


def test_a_fail_without_words_that_is_caught_has_empty_ones():
    branch = {"StartAt": "F", "States": {"F": {"Type": "Fail"}}}
    caught = [{"ErrorEquals": ["States.ALL"], "Next": "B"}]
    run, _ = begun(
        {
            "A": {"Type": "Parallel", "Branches": [branch], "Catch": caught, "End": True},
            "B": {"Type": "Pass", "End": True},
        }
    )
    assert run.result == {"Error": "", "Cause": ""}
