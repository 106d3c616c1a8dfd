"""A world for state machines without any of it: a clock that jumps, functions that are described, answers that were recorded.

`carried_out(case)` runs a case in the format of LocalStack's recordings of AWS: `definition` and `input`, `functions` (what each
Lambda function does), `recorded_tasks` (answers of all other tasks, to be played back), `s3_objects` (what is read).
"""

from collections.abc import Mapping
from typing import Any

from penstock.adapters.memory.objects import MemoryObjects
from penstock.core.asl.definition import from_document
from penstock.core.asl.happenings import ScheduleTask, Started, TaskSubmitted
from penstock.core.asl.lambda_calls import called_function, lambda_answer, thrown_cause
from penstock.core.asl.program import compiled
from penstock.core.asl.run import Run
from penstock.core.asl.task_kinds import TaskKind, task_kind
from penstock.core.asl.values import Json, json_text
from penstock.testing.jumping_world import JumpingWorld


def carried_out(case: Mapping[str, Any]) -> Run:
    """Run a case to its end, or until nothing more would ever come; raise `Endless`, or `Invalid` for its definition."""
    world = _Recorded(case)
    started = Started(at_ms=world.now_ms, input=case["input"], name="case")
    return world.run(compiled(from_document(case["definition"])), started)


class _Recorded(JumpingWorld):
    def __init__(self, case: Mapping[str, Any]) -> None:
        given = {(each["bucket"], each["key"]): each["body"].encode() for each in case.get("s3_objects") or ()}
        super().__init__(MemoryObjects(given))
        self._functions: Mapping[str, Mapping[str, Any]] = case.get("functions") or {}
        self._recorded: list[Mapping[str, Any]] = list(case.get("recorded_tasks") or ())

    def begin(self, task: ScheduleTask) -> None:
        kind = task_kind(task.resource)
        recorded = self._next_recorded(task.state)
        if kind.is_submitted:
            self.comes(TaskSubmitted(at_ms=self.now_ms, id=task.id, output={}))
        found = called_function(kind, task.payload)
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
            self.ends(id, result["return"])
        elif "throw" in result:
            cause = result["throw"].get("cause")
            self.fails(
                id, result["throw"].get("error"), cause if cause is None or isinstance(cause, str) else json_text(cause)
            )
        else:
            self.fails(id, None, None)

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
                self.fails(task.id, function["error"], thrown(function["error"], function["message"]))
                return True
            case _:
                return False
        if kind.events == "Task":
            output = lambda_answer(output)
        self.ends(task.id, output, after_ms=after_ms)
        return True


def echoed(task: ScheduleTask) -> Json:
    """Return what a Lambda function answers that returns its event."""
    kind = task_kind(task.resource)
    found = called_function(kind, task.payload)
    event = task.payload if found is None else found[1]
    return lambda_answer(event) if kind.events == "Task" else event


def thrown(error: str, message: str) -> str:
    """Return the cause that Lambda's Python runtime makes of an exception, from a file that there is not."""
    line = f'  File "/var/task/handler.py", line 2, in handler\n    raise {error}("{message}")\n'
    return thrown_cause(error, message, (line,), "00000000-0000-4000-8000-000000000000")
