"""Lambda functions as tasks call them: which one, with what, and the shapes of what comes back."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from penstock.core.asl.task_kinds import TaskKind
from penstock.core.asl.values import Json, json_text, parsed_json

METADATA: Final[dict[str, Json]] = {"SdkHttpMetadata": {}, "SdkResponseMetadata": {}}
"""What AWS adds to each answer of an API."""


def called_function(kind: TaskKind, payload: Json) -> tuple[str, Json] | None:
    """Return the name of the Lambda function that a task calls, and the event that it gets; None when it calls none."""
    if kind.function:
        return kind.function, payload
    if kind.service != "lambda" or not isinstance(payload, dict):
        return None
    event = payload.get("Payload")
    if isinstance(event, str):  # a text is taken as the JSON of the event
        with suppress(ValueError):
            event = parsed_json(event)
    if event is None:  # nothing, and null, reach a function as an empty object
        event = {}
    return _name_in(str(payload.get("FunctionName"))), event


def lambda_answer(result: Json) -> Json:
    """Return what the API of Lambda answers when a function has returned something."""
    return {"ExecutedVersion": "$LATEST", "Payload": result, "StatusCode": 200, **METADATA}


def thrown_cause(error: str, message: str, trace: Sequence[str], request: str) -> str:
    """Return the cause that Lambda's Python runtime makes of an exception."""
    return json_text({"errorMessage": message, "errorType": error, "requestId": request, "stackTrace": list(trace)})


def _name_in(function: str) -> str:
    return function.rpartition(":function:")[2].partition(":")[0]
