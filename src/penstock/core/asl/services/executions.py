"""`states:startExecution`: names in ARNs, and what it answers: at once, and with `.sync` when the execution has ended."""

import re
from typing import Final

from msgspec import Struct

from penstock.core.asl.services.problems import TASK_FAILED, CallFailed
from penstock.core.asl.values import Json, json_text, parsed_json
from penstock.core.timing.timers import moment_text

CAUSE_CHARS_MAX: Final = 32_768
_NAME: Final = re.compile(r"[^\s<>{}\[\]?*\"#%\\^|~`$&,;:/\x00-\x1f\x7f-\x9f]{1,80}")
_MACHINE: Final = re.compile(r"stateMachine:([^:]+)")


class Execution(Struct, frozen=True, kw_only=True):
    """An execution that was started, or has ended. `input` and `output` are JSON texts."""

    arn: str
    name: str
    machine: str
    input: str
    start_ms: int
    stop_ms: int = 0
    status: str = "RUNNING"
    output: str | None = None
    error: str | None = None
    cause: str | None = None


def machine_name(arn: str) -> str:
    """Return the name of a machine of which the ARN may be given, with a version or an alias."""
    found = _MACHINE.search(arn)
    return found[1] if found else arn


def is_name(text: str) -> bool:
    """Whether an execution may have this name."""
    return bool(_NAME.fullmatch(text))


def input_text(given: Json) -> str:
    """Return the input of an execution: Step Functions makes JSON of whatever is no text."""
    if given is None:
        return "{}"
    return given if isinstance(given, str) else json_text(given)


def started(execution: Execution) -> dict[str, Json]:
    """Return what StartExecution answers."""
    return {"ExecutionArn": execution.arn, "StartDate": moment_text(execution.start_ms)}


def ended(execution: Execution, *, parsed: bool) -> dict[str, Json]:
    """Return what `.sync` answers, and with `parsed` (`.sync:2`) with values for texts. Raises `CallFailed` for a failure."""
    told: dict[str, Json] = {
        "ExecutionArn": execution.arn,
        "Input": parsed_json(execution.input) if parsed else execution.input,
        "InputDetails": {"Included": True},
        "Name": execution.name,
        "StartDate": moment_text(execution.start_ms),
        "StateMachineArn": execution.machine,
        "Status": execution.status,
        "StopDate": moment_text(execution.stop_ms),
    }
    if execution.status == "SUCCEEDED":
        output = execution.output or "null"
        told |= {"Output": parsed_json(output) if parsed else output, "OutputDetails": {"Included": True}}
        return dict(sorted(told.items()))
    told |= {
        name: value for name, value in (("Error", execution.error), ("Cause", execution.cause)) if value is not None
    }
    # What a child tells may hold what its own child told: without the limit, each level would double all quotes below.
    raise CallFailed(TASK_FAILED, json_text(dict(sorted(told.items())))[:CAUSE_CHARS_MAX])
