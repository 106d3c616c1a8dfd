"""The history of a run, in the shape in which AWS gives it: `GetExecutionHistory`, botocore's model of 2026-11."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, cast

from msgspec import Struct

from penstock.core.asl.values import json_text

EVENTS_MAX: Final = 25_000
"""After so many events AWS ends a Standard run with States.Runtime."""

_JSON_FIELDS: Final = frozenset(
    {"input", "output", "parameters", "taskCredentials"}
)  # stored as values, shown as JSON text
_CUT_SHORT: Final = frozenset({"input", "output"})  # beside which AWS says whether they are whole
_DETAILS: Final = {
    "ExecutionStarted": "executionStartedEventDetails",
    "ExecutionSucceeded": "executionSucceededEventDetails",
    "ExecutionFailed": "executionFailedEventDetails",
    "ExecutionAborted": "executionAbortedEventDetails",
    "ExecutionTimedOut": "executionTimedOutEventDetails",
    "ExecutionRedriven": "executionRedrivenEventDetails",
    "EvaluationFailed": "evaluationFailedEventDetails",
    "MapStateStarted": "mapStateStartedEventDetails",
    "MapIterationStarted": "mapIterationStartedEventDetails",
    "MapIterationSucceeded": "mapIterationSucceededEventDetails",
    "MapIterationFailed": "mapIterationFailedEventDetails",
    "MapIterationAborted": "mapIterationAbortedEventDetails",
    "MapRunStarted": "mapRunStartedEventDetails",
    "MapRunFailed": "mapRunFailedEventDetails",
    "ActivityScheduled": "activityScheduledEventDetails",
    "ActivityStarted": "activityStartedEventDetails",
    "ActivitySucceeded": "activitySucceededEventDetails",
    "ActivityFailed": "activityFailedEventDetails",
    "ActivityTimedOut": "activityTimedOutEventDetails",
    "LambdaFunctionScheduled": "lambdaFunctionScheduledEventDetails",
    "LambdaFunctionSucceeded": "lambdaFunctionSucceededEventDetails",
    "LambdaFunctionFailed": "lambdaFunctionFailedEventDetails",
    "LambdaFunctionTimedOut": "lambdaFunctionTimedOutEventDetails",
    "TaskScheduled": "taskScheduledEventDetails",
    "TaskStarted": "taskStartedEventDetails",
    "TaskSubmitted": "taskSubmittedEventDetails",
    "TaskSucceeded": "taskSucceededEventDetails",
    "TaskFailed": "taskFailedEventDetails",
    "TaskTimedOut": "taskTimedOutEventDetails",
}


class HistoryEvent(Struct, frozen=True):
    """One event. `details` has AWS's names; `input`, `output` and `parameters` in it are values, not yet texts."""

    id: int
    previous_id: int
    type: str
    at_ms: int
    details: Mapping[str, Any]


class History:
    """The events of one run, or of one child of a distributed Map, numbered from 1."""

    __slots__ = ("events",)

    def __init__(self) -> None:
        self.events: list[HistoryEvent] = []

    def add(self, type: str, previous_id: int, at_ms: int, details: Mapping[str, Any]) -> int:
        """Add an event, and return its number."""
        number = len(self.events) + 1
        self.events.append(HistoryEvent(number, previous_id, type, at_ms, details))
        return number


def aws_shaped(event: HistoryEvent) -> dict[str, Any]:
    """Return an event as `GetExecutionHistory` does: JSON in texts, with whether it was cut short, which it never is."""
    shaped: dict[str, Any] = {
        "timestamp": datetime.fromtimestamp(event.at_ms / 1000, UTC).isoformat(timespec="milliseconds"),
        "type": event.type,
        "id": event.id,
        "previousEventId": event.previous_id,
    }
    name = _details_name(event.type)
    if name is not None and event.details:
        shaped[name] = _shaped(event.details)
    return shaped


def _details_name(type: str) -> str | None:
    if type.endswith("StateEntered"):
        return "stateEnteredEventDetails"
    return "stateExitedEventDetails" if type.endswith("StateExited") else _DETAILS.get(type)


def _shaped(details: Mapping[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    for key, value in details.items():
        if key == "assigned":
            variables = cast("Mapping[str, Any]", value)
            shown["assignedVariables"] = {name: json_text(each) for name, each in variables.items()}
            shown["assignedVariablesDetails"] = {"truncated": False}
        elif key in _JSON_FIELDS:
            shown[key] = json_text(value)
            if key in _CUT_SHORT:
                shown[f"{key}Details"] = {"truncated": False}
        elif value is not None:
            shown[key] = value
    return shown
