"""Recorded cases of the States Language, and whether we answer as what was recorded.

Of each kind by its fields: executions (`definition`, `input`, `expect`), refusals, diagnostics and variable references
(`definition_text`), verdicts of validators (`valid`), calls of TestState (`request`).
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast

from penstock.adapters.service_shapes import shapes_of
from penstock.core.asl.documents import read_document
from penstock.core.asl.findings import REFUSED, diagnostics, problems, refusal
from penstock.core.asl.run import Run
from penstock.core.asl.trial import TrialRefused, tested_state
from penstock.core.asl.trying import try_state
from penstock.core.asl.validation import validate
from penstock.core.asl.variables import variable_references
from penstock.errors import Invalid
from penstock.testing.asl_world import carried_out, echoed
from penstock.testing.jumping_world import Endless

ANY: Final = re.compile(r"<<any:[^<>]*>>")
OPTIONAL: Final = "<<opt:"
LOST: Final = "<request-id>"
"""What two recordings have in the place of an id, without a mark that it may be any."""
ROLE: Final = "arn:aws:iam::111111111111:role/role"
LEVELS: Final = ("cause", "events", "io", "inspection")


@dataclass(frozen=True, slots=True)
class Verdict:
    """A case and what became of it. `levels` are what is graded beside: the text of a cause, types of events, data of states."""

    name: str
    group: str
    passed: bool
    expected: str = ""
    got: str = ""
    levels: Mapping[str, bool] = field(default_factory=dict[str, bool])


def graded(case: Mapping[str, Any]) -> Verdict:
    """Answer a case, and compare."""
    name = str(case.get("name", "a case without a name"))
    group = str(case.get("group", name.partition("/")[0]))
    if "valid" in case:
        return _judged(case, name, group)
    if "definition_text" in case:
        expected, got = _validated(case)
        return Verdict(name, group, fits(expected, got), _shown(expected), _shown(got))
    if "request" in case:
        return _tried(case, name, group)
    try:
        run = carried_out(case)
    except (Endless, Invalid) as error:
        return Verdict(name, group, passed=False, expected=_shown(case["expect"]), got=str(error))
    return _executed(case, run, name, group)


def fits(expected: Any, actual: Any) -> bool:  # noqa: PLR0911 - one rule a line
    """Compare with a recording: `<<any:...>>` is anything, `<<opt:...>>` may be absent, numbers compare by value."""
    match expected:
        case str() if ANY.fullmatch(expected) or expected.startswith(OPTIONAL):
            return True
        case str() if _is_object(expected) and _is_object(actual):  # a cause: its blanks are the writer's own
            return fits(json.loads(expected), json.loads(actual))
        case str():
            pattern = ".*".join(map(re.escape, ANY.split(expected.replace(LOST, "<<any:id>>"))))
            return isinstance(actual, str) and re.fullmatch(pattern, actual, re.DOTALL) is not None
        case bool() | None:
            return actual is expected
        case int() | float():
            return isinstance(actual, int | float) and not isinstance(actual, bool) and actual == expected
        case list():
            return _fits_list(cast("list[Any]", expected), actual)
        case _:
            return _fits_object(expected, actual)


def _fits_list(expected: list[Any], actual: Any) -> bool:
    if not isinstance(actual, list | tuple):
        return False
    members = cast("Sequence[Any]", actual)
    return len(members) == len(expected) and all(map(fits, expected, members))


def _fits_object(expected: Mapping[str, Any], actual: Any) -> bool:
    if not isinstance(actual, Mapping):
        return False
    members = cast("Mapping[str, Any]", actual)
    optional = {key for key, value in expected.items() if isinstance(value, str) and value.startswith(OPTIONAL)}
    wanted = set(expected) - optional
    return set(members) - optional <= set(expected) and all(
        key in members and fits(expected[key], members[key]) for key in wanted
    )


def _is_object(text: Any) -> bool:
    try:
        return isinstance(text, str) and isinstance(json.loads(text), dict)
    except ValueError:
        return False


def _judged(case: Mapping[str, Any], name: str, group: str) -> Verdict:
    """Compare with a validator's verdict, and with the number of its problems where that is known."""
    definition = case["definition"]
    found = problems(validate(definition))
    count: int | None = case["statelint_problems"]["count"] if "statelint_problems" in case else None
    agrees = (not found) == case["valid"] and count in (None, len(found))
    told = "; ".join(map(str, found)) or "valid"
    return Verdict(name, group, agrees, "valid" if case["valid"] else f"{count or 'some'} problems", told)


def _validated(case: Mapping[str, Any]) -> tuple[Any, Any]:
    text, expected = case["definition_text"], case["expect"]
    if "variableReferences" in expected:
        return expected["variableReferences"], variable_references(json.loads(text))
    if "error" not in expected:
        express = "request" in case and case["request"].get("type") == "EXPRESS"
        return expected, diagnostics(validate(text, express=express))
    # Recordings of refusals have lost whether the machine was to be an express one: then either may refuse.
    message = refusal(validate(text)) or refusal(validate(text, express=True))
    got = None if message is None else {"Code": REFUSED, "Message": message}
    return {"Message": f"{OPTIONAL}text>>", **expected["error"]}, got


def _tried(case: Mapping[str, Any], name: str, group: str) -> Verdict:
    """Answer a call of TestState. Recordings have lost the role: it is taken as given where a state does some work."""
    request, expected = case["request"], case["expect"]
    definition = read_document(request.get("definition", ""))[0]
    state = None if definition is None else tested_state(definition, request.get("stateName"))
    role = {"roleArn": ROLE} if (state or {}).get("Type") in ("Task", "Map", "Parallel") else {}
    try:
        got: dict[str, Any] = try_state({**role, **request}, shapes_of=shapes_of, perform=echoed)
    except TrialRefused as refused:
        got = {"Error": {"Code": refused.code, "Message": refused.message}, "message": refused.message}
    asked = {"cause": "cause", "inspection": "inspectionData"}
    levels = {level: fits(expected[key], got.get(key)) for level, key in asked.items() if key in expected}
    return Verdict(name, group, fits(expected, got), _shown(expected), _shown(got), levels)


def _executed(case: Mapping[str, Any], run: Run, name: str, group: str) -> Verdict:
    expected = case["expect"]
    failure = run.failure
    if run.status == "SUCCEEDED":
        passed, got = fits(expected.get("output"), run.result), _shown(run.result)
    else:
        passed = (expected.get("error") is None and not (failure and failure.error)) or (
            failure is not None and fits(expected.get("error"), failure.error)
        )
        got = f"{failure.error}: {failure.cause}" if failure else ""
    passed = passed and run.status == expected["status"]
    levels = dict(_levels(case, run)) if passed else dict.fromkeys(_asked(case), False)
    return Verdict(name, group, passed, _shown(expected), f"{run.status} {got}", levels)


def _asked(case: Mapping[str, Any]) -> Iterator[str]:
    if case["expect"]["status"] != "SUCCEEDED":
        yield "cause"
    if case.get("expect_history_event_types") is not None:
        yield "events"
    if case.get("event_order") == "exact" and case.get("expect_state_io"):
        yield "io"


def _levels(case: Mapping[str, Any], run: Run) -> Iterator[tuple[str, bool]]:
    for level in _asked(case):
        if level == "cause":
            yield level, _cause_fits(case["expect"].get("cause"), run.failure.cause if run.failure else None)
        elif level == "events":
            types, seen = case["expect_history_event_types"], [each.type for each in run.history.events]
            yield level, seen == types if case.get("event_order") == "exact" else sorted(seen) == sorted(types)
        else:
            yield level, fits(case["expect_state_io"], _state_io(run))


def _cause_fits(expected: Any, actual: str | None) -> bool:
    if isinstance(expected, dict):  # the recording keeps what was JSON text as JSON
        return _is_object(actual) and fits(expected, json.loads(actual or ""))
    return (expected is None and not actual) or fits(expected, actual)


def _state_io(run: Run) -> list[list[Any]]:
    told: list[list[Any]] = []
    for event in run.history.events:
        if event.type.endswith("StateEntered"):
            told.append(["enter", event.details["name"], event.details["input"]])
        elif event.type.endswith("StateExited"):
            assigned = event.details.get("assigned")
            row: list[Any] = ["exit", event.details["name"], event.details["output"]]
            told.append([*row, {"assigned": dict(assigned)}] if assigned else row)
    return told


def _shown(value: Any) -> str:
    return json.dumps(value, default=str, ensure_ascii=False)
