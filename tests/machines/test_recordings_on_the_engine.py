"""Machines that AWS ran, as durable runs of an app: each history is the one that the reducer makes in memory."""

import asyncio
import json
import re
from itertools import zip_longest
from pathlib import Path

import pytest

from penstock import App, TaskInput, testing
from penstock.core.agents.policy import Retry
from penstock.core.asl import definition as asl
from penstock.core.asl.history import aws_shaped
from penstock.core.asl.task_kinds import task_kind
from penstock.errors import Invalid
from penstock.testing.asl_world import carried_out

CORPUS = Path(__file__).parents[2] / "../shared/corpus/asl"
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)")
REQUEST = re.compile(r"Request ID: [^;]*")
DOES = ("echo", "sleep_then_echo", "return", "return_repeat", "format", "raise")
pytestmark = pytest.mark.skipif(not CORPUS.is_dir(), reason="NO CORPUS: its folder is not there")


def cases():
    found = []
    for name in ("asl_core", "asl_lambda"):
        path = CORPUS / f"{name}_given.jsonl"
        found += [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []
    return [each for each in found if calls_functions_only(each)]


def resources(scope):
    for state in scope.states.values():
        if isinstance(state, asl.Task):
            yield state.resource
        for holder in (getattr(state, "item_reader", None), getattr(state, "result_writer", None)):
            if holder is not None:
                yield holder.resource
        for inner in asl.children(state):
            yield from resources(inner)


def calls_functions_only(case):
    described = case.get("functions") or {}
    try:
        named = list(resources(asl.from_document(case["definition"])))
    except Invalid:
        return False
    kinds = [task_kind(each or "") for each in named]
    return (
        all(each.function or each.service == "lambda" for each in kinds)
        and not any(each.is_submitted for each in kinds)
        and all(each["behaviour"] in DOES for each in described.values())
        and (bool(described) or not named)
    )


def app_of(case):
    app = App("recorded")
    for name, function in (case.get("functions") or {}).items():
        app.agent(does(function), name=name, retry=Retry(attempts_max=1), timeout_s=1e6)
    app.workflow("machine", definition=case["definition"])
    return app


def does(function):
    async def agent(given: TaskInput) -> object:
        event = given.input
        match function["behaviour"]:
            case "echo":
                return event
            case "sleep_then_echo":
                await asyncio.sleep(function["seconds"])
                return event
            case "return":
                return function["value"]
            case "return_repeat":
                return function["char"] * function["count"]
            case "format":
                return function["template"].replace("{event}", str(event))
            case _:
                raise type(function["error"], (Exception,), {})(function["message"])

    return agent


def plain(value):
    """Times pass differently here and there, and traces are those of other files."""
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items() if key not in ("stackTrace", "requestId", "timestamp")}
    if isinstance(value, list):
        return [plain(each) for each in value]
    if not isinstance(value, str):
        return value
    if value.startswith("{") and "errorType" in value:
        return plain(json.loads(value))
    return REQUEST.sub("", TIME.sub("TIME", value))


CASES = cases()


@pytest.mark.parametrize("part", range(8))
async def test_a_recorded_machine_has_the_same_history_as_a_durable_run(part):
    different = []
    for case in CASES[part::8]:
        expected = carried_out(case)
        if not expected.is_over:
            continue
        try:
            app = app_of(case)
        except Invalid as error:
            different.append((case["name"], str(error)))
            continue
        async with testing.app(app) as live:
            door = live.machine("machine")
            found = await door.start_sync(case["input"], name="case", within_s=1e9)
            told = await door.history(found.run_id)
        shown = [plain(aws_shaped(each)) for each in expected.history.events]
        if [plain(each) for each in told] != shown:
            pairs = zip_longest(shown, map(plain, told))
            different.append((case["name"], "\n".join(f"{one}\n{other}" for one, other in pairs if one != other)))
        assert found.status == expected.status
    assert not different, "\n".join(f"{name}\n{what[:1500]}" for name, what in different[:5]) + f"\n{len(different)}"


def test_most_of_the_recordings_are_run_so():
    assert len(CASES) > 450
