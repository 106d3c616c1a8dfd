"""A world for state machines without any of it: a clock that jumps, functions that are described, answers that were recorded.

`carried_out(case)` runs a case in the format of LocalStack's recordings of AWS: `definition` and `input`, `functions` (what each
Lambda function does), `recorded_tasks` (answers of all other tasks, to be played back), `s3_objects` (what is read).
"""

import heapq
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, cast

from penstock.core.asl.definition import from_document
from penstock.core.asl.happenings import (
    AnyCommand,
    AnyHappening,
    CancelTask,
    CancelTimer,
    Failed,
    ReadItems,
    ScheduleTask,
    Started,
    StartTimer,
    Succeeded,
    TaskSubmitted,
    TimerFired,
    WriteResults,
)
from penstock.core.asl.program import compiled
from penstock.core.asl.reading import ReadingFailed, read_items_from
from penstock.core.asl.reducer import advance
from penstock.core.asl.run import Run
from penstock.core.asl.task_kinds import TaskKind, task_kind
from penstock.core.asl.values import Json, json_text, parsed_json

BEGIN_MS: Final = 1_700_000_000_000
HAPPENINGS_MAX: Final = 100_000
_METADATA: Final[dict[str, Json]] = {"SdkHttpMetadata": {}, "SdkResponseMetadata": {}}


class Endless(Exception):
    """A machine went on for longer than a case may."""


def carried_out(case: Mapping[str, Any]) -> Run:
    """Run a case to its end, or until nothing more would ever come; raise `Endless`, or `Invalid` for its definition."""
    return _World(case).run()


class _World:
    def __init__(self, case: Mapping[str, Any]) -> None:
        self._case = case
        self._functions: Mapping[str, Mapping[str, Any]] = case.get("functions") or {}
        self._recorded: list[Mapping[str, Any]] = list(case.get("recorded_tasks") or ())
        self._objects = {(each["bucket"], each["key"]): each["body"] for each in case.get("s3_objects") or ()}
        self._coming: list[tuple[int, int, AnyHappening]] = []
        self._cancelled: set[int] = set()
        self._count = 0
        self._now_ms = BEGIN_MS

    def run(self) -> Run:
        run = Run(compiled(from_document(self._case["definition"])))
        self._do(advance(run, Started(at_ms=self._now_ms, input=self._case["input"], name="case")))
        while self._coming and not run.is_over:
            at_ms, _, happening = heapq.heappop(self._coming)
            if getattr(happening, "id", 0) in self._cancelled:
                continue
            self._now_ms = at_ms
            self._do(advance(run, happening))
            if self._count > HAPPENINGS_MAX:
                raise Endless(f"more than {HAPPENINGS_MAX} things happened in it")
        return run

    def _do(self, commands: Sequence[AnyCommand]) -> None:
        for command in commands:
            match command:
                case StartTimer():
                    self._comes(TimerFired(at_ms=command.at_ms, id=command.id))
                case CancelTimer() | CancelTask():
                    self._cancelled.add(command.id)
                case ScheduleTask():
                    self._begin(command)
                case ReadItems():
                    self._read(command)
                case WriteResults():
                    self._write(command)

    def _comes(self, happening: AnyHappening) -> None:
        self._count += 1
        heapq.heappush(self._coming, (happening.at_ms, self._count, happening))

    def _ends(self, id: int, output: Json, *, after_ms: int = 1) -> None:
        self._comes(Succeeded(at_ms=self._now_ms + after_ms, id=id, output=output))

    def _fails(self, id: int, error: str | None, cause: str | None) -> None:
        self._comes(Failed(at_ms=self._now_ms + 1, id=id, error=error, cause=cause))

    def _begin(self, task: ScheduleTask) -> None:
        kind = task_kind(task.resource)
        recorded = self._next_recorded(task.state)
        if kind.is_submitted:
            self._comes(TaskSubmitted(at_ms=self._now_ms, id=task.id, output={}))
        found = _function_of(kind, task.payload)
        function = None if found is None else self._functions.get(found[0])
        is_thrown = recorded is not None and "throw" in recorded["result"] and function is not None
        if found is None or function is None or (is_thrown and function["behaviour"] == "raise"):
            called = False  # what was recorded of an exception says more of it than the function's description
        else:
            called = self._called(task, kind, function, found[1])
        if recorded is not None and not called:
            self._play_back(task.id, recorded)

    def _next_recorded(self, state: str) -> Mapping[str, Any] | None:
        """Take the next answer that was recorded for a state; one whose state is not known is anybody's."""
        for recorded in self._recorded:
            if recorded["state"] in (state, None):
                self._recorded.remove(recorded)
                return recorded
        return None

    def _play_back(self, id: int, recorded: Mapping[str, Any]) -> None:
        result: Mapping[str, Any] = recorded["result"]
        if recorded["ended"].endswith("TimedOut"):
            return  # nobody answers, and the state's time runs out
        if "return" in result:
            self._ends(id, result["return"])
        elif "throw" in result:
            cause = result["throw"].get("cause")
            self._fails(
                id, result["throw"].get("error"), cause if cause is None or isinstance(cause, str) else json_text(cause)
            )
        else:
            self._fails(id, None, None)

    def _called(self, task: ScheduleTask, kind: TaskKind, function: Mapping[str, Any], event: Json) -> bool:
        """Have a described function answer; False when its description does not say what."""
        after_ms = 1
        match function["behaviour"]:
            case "echo":
                output = event
            case "sleep_then_echo":
                output, after_ms = event, function["seconds"] * 1000
            case "return":
                output = function["value"]
            case "return_repeat":
                output = function["char"] * function["count"]
            case "format":
                output = function["template"].replace("{event}", str(event))
            case "raise":
                self._fails(task.id, function["error"], _thrown(function["error"], function["message"]))
                return True
            case _:
                return False
        if kind.events == "Task":
            output = _lambda_answer(output)
        self._ends(task.id, output, after_ms=after_ms)
        return True

    def _read(self, reading: ReadItems) -> None:
        payload = cast("dict[str, Any]", reading.payload)
        body = self._objects.get((payload.get("Bucket"), payload.get("Key")))
        if body is None:
            self._fails(reading.id, "S3.NoSuchKeyException", "The specified key does not exist.")
            return
        try:
            self._ends(reading.id, read_items_from(body.encode(), reading.config, reading.items_max))
        except ReadingFailed as error:
            self._fails(reading.id, None, str(error))

    def _write(self, writing: WriteResults) -> None:
        payload = cast("dict[str, Any]", writing.payload)
        folder = writing.map_run.rpartition(":")[2]
        written = {"Bucket": payload["Bucket"], "Key": f"{payload['Prefix']}/{folder}/manifest.json"}
        self._ends(writing.id, {"MapRunArn": writing.map_run, "ResultWriterDetails": cast("Json", written)})


def echoed(task: ScheduleTask) -> Json:
    """Return what a Lambda function answers that returns its event; the event of a Payload of null is an empty object."""
    kind = task_kind(task.resource)
    found = _function_of(kind, task.payload)
    event: Json = task.payload if found is None else {} if found[1] is None else found[1]
    return _lambda_answer(event) if kind.events == "Task" else event


def _lambda_answer(event: Json) -> Json:
    return {"ExecutedVersion": "$LATEST", "Payload": event, "StatusCode": 200, **_METADATA}


def _function_of(kind: TaskKind, payload: Json) -> tuple[str, Json] | None:
    """Return the name of the Lambda function that a task calls, and the event that it gets."""
    if kind.function:
        return kind.function, payload
    if kind.service != "lambda" or not isinstance(payload, dict):
        return None
    event = payload.get("Payload")
    if isinstance(event, str):  # a text is taken as the JSON of the event
        with suppress(ValueError):
            event = parsed_json(event)
    return _name_in(str(payload.get("FunctionName"))), event


def _name_in(function: str) -> str:
    return function.rpartition(":function:")[2].partition(":")[0]


def _thrown(error: str, message: str) -> str:
    """Return the cause that Lambda's Python runtime makes of an exception."""
    line = f'  File "/var/task/handler.py", line 2, in handler\n    raise {error}("{message}")\n'
    return json_text(
        {
            "errorMessage": message,
            "errorType": error,
            "requestId": "00000000-0000-4000-8000-000000000000",
            "stackTrace": [line],
        }
    )
