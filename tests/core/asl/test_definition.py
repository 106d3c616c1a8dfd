"""The typed model: every machine of the corpora goes into it and comes back as it was, and one can be written in Python."""

import pytest
from definition_corpus import accepted, needs_definitions
from msgspec import UNSET

from penstock.core.asl.choice_rule import ChoiceRule
from penstock.core.asl.definition import (
    AnyState,
    Branch,
    Catcher,
    Choice,
    Fail,
    Machine,
    Map,
    Parallel,
    Pass,
    Processor,
    ProcessorConfig,
    Retrier,
    Succeed,
    Task,
    Wait,
    children,
    from_document,
    to_document,
)


def without_empty(value):
    """An empty Retry or Catch is the same as none: the model does not tell them apart."""
    if isinstance(value, dict):
        return {key: without_empty(each) for key, each in value.items() if each != [] or key not in {"Retry", "Catch"}}
    return [without_empty(each) for each in value] if isinstance(value, list) else value


@needs_definitions
def test_no_document_loses_anything_on_its_way_through_the_model():
    machines = accepted()
    assert len(machines) >= 600
    for name, document in machines:
        assert to_document(from_document(document)) == without_empty(document), name


def test_a_machine_that_is_built_is_the_machine_that_is_read():
    built = Machine(
        comment="One of each",
        start_at="Look up",
        timeout_seconds=60,
        states={
            "Look up": Task(
                resource="agent:lookup",
                parameters={"id.$": "$.id"},
                result_path="$.found",
                timeout_seconds=20,
                heartbeat_seconds=5,
                retry=(Retrier(error_equals=("States.Timeout",), interval_seconds=2, jitter_strategy="FULL"),),
                catch=(Catcher(error_equals=("States.ALL",), next="Give up", result_path=None),),
                next="Which",
            ),
            "Which": Choice(
                choices=(
                    ChoiceRule(variable="$.found.kind", string_equals="many", next="Each"),
                    ChoiceRule(not_=ChoiceRule(variable="$.found", is_present=True), next="Give up"),
                ),
                default="Both",
            ),
            "Each": Map(
                items_path="$.found.items",
                item_processor=Processor(
                    processor_config=ProcessorConfig(mode="DISTRIBUTED", execution_type="STANDARD"),
                    start_at="Item",
                    states={"Item": Pass(end=True)},
                ),
                next="Later",
            ),
            "Both": Parallel(
                branches=(
                    Branch(start_at="Left", states={"Left": Pass(result={"side": "left"}, end=True)}),
                    Branch(start_at="Right", states={"Right": Succeed()}),
                ),
                next="Later",
            ),
            "Later": Wait(seconds=0, next="Done"),
            "Done": Succeed(output_path=None),
            "Give up": Fail(error="NotFound", cause_path="$.reason"),
        },
    )
    document = to_document(built)
    assert from_document(document) == built
    assert document["States"]["Look up"]["Retry"] == [
        {"ErrorEquals": ["States.Timeout"], "IntervalSeconds": 2, "JitterStrategy": "FULL"}
    ]
    assert document["States"]["Which"]["Choices"][1] == {
        "Next": "Give up",
        "Not": {"Variable": "$.found", "IsPresent": True},
    }
    assert document["States"]["Done"] == {"Type": "Succeed", "OutputPath": None}
    assert [len(children(state)) for state in built.states.values()] == [0, 0, 1, 2, 0, 0, 0]
    assert built.states["Each"].distributed


def test_null_is_not_absent():
    kept = from_document({"Type": "Pass", "ResultPath": None, "Result": None, "End": True}, AnyState)
    assert (kept.result_path, kept.result, kept.output_path) == (None, None, UNSET)
    assert to_document(kept) == {"Type": "Pass", "ResultPath": None, "Result": None, "End": True}


def test_a_state_speaks_its_own_language_or_the_machines():
    plain, own = Pass(end=True), Pass(end=True, query_language="JSONata")
    assert Machine(start_at="A", states={"A": plain}).language(plain) == "JSONPath"
    assert Machine(start_at="A", states={"A": plain}).language(own) == "JSONata"
    assert Machine(start_at="A", states={"A": plain}, query_language="JSONata").language(plain) == "JSONata"


@pytest.mark.parametrize(
    ("fields", "delays"),
    [
        ({}, [1, 2, 4]),
        ({"interval_seconds": 3, "backoff_rate": 1.5}, [3, 4.5, 6.75]),
        ({"max_delay_seconds": 3}, [1, 2, 3]),
    ],
)
def test_a_retrier_waits_longer_each_time(fields, delays):
    retrier = Retrier(error_equals=("States.ALL",), **fields)
    assert [retrier.delay_s(retries) for retries in range(3)] == delays
    assert retrier.attempts_max == 3
    assert not retrier.full_jitter


def test_a_delay_has_an_end():
    assert Retrier(error_equals=("A",), backoff_rate=10).delay_s(500) <= 99_999_999
