"""One's own functions in the place of what a state machine calls: `answered` calls one, `FunctionWorld` runs a machine with them.

A function is found by the name of the state, of the Lambda function, agent, workflow or activity, by `service:action`
(`sqs:sendMessage`), or by the whole Resource: the first that is there. It gets what the task gives it, and returns JSON; what it
raises is how the task fails: `TaskError(error, cause)` says both, another exception gives its class as the error.
"""

import asyncio
import inspect
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias, cast

import msgspec

from penstock.core.asl.happenings import ScheduleTask, TaskSubmitted
from penstock.core.asl.lambda_calls import called_function, lambda_answer
from penstock.core.asl.run import Failure
from penstock.core.asl.task_kinds import TaskKind, task_kind
from penstock.core.asl.values import Json
from penstock.errors import Finding, Invalid, Missing
from penstock.ports.objects import Objects
from penstock.testing.asl_world import thrown
from penstock.testing.jumping_world import JumpingWorld

Function: TypeAlias = Callable[[Any], Any]
RETURN: Final = "return"
THROW: Final = "throw"


class TaskError(Exception):
    """How a function has its task fail."""

    def __init__(self, error: str, cause: str = "") -> None:
        super().__init__(error, cause)
        self.error = error
        self.cause = cause


class FunctionWorld(JumpingWorld):
    """A world in which functions do the tasks, each in no time. Raises `Missing` for a task that none of them does."""

    def __init__(self, functions: Mapping[str, Function], objects: Objects | None = None) -> None:
        super().__init__(objects)
        self._functions = functions

    def begin(self, task: ScheduleTask) -> None:
        if task_kind(task.resource).is_submitted:
            self.comes(TaskSubmitted(at_ms=self.now_ms, id=task.id, output={}))
        answer = answered(self._functions, task)
        if isinstance(answer, Failure):
            self.fails(task.id, answer.error, answer.cause)
        else:
            self.ends(task.id, answer)


def answered(functions: Mapping[str, Function], task: ScheduleTask) -> "Json | Failure":
    """Do a task with the function that is meant for it. Raise `Missing` when there is none."""
    kind = task_kind(task.resource)
    found = called_function(kind, task.payload)
    names = _names(task, kind, found[0] if found else "")
    function = next((functions[name] for name in names if name in functions), None)
    if function is None:
        raise Missing(f"a function for {task.resource}", f"give one of the name {' or '.join(map(repr, names))}")
    try:
        result = function(task.payload if found is None else found[1])
        if inspect.iscoroutine(result):
            result = asyncio.run(result)
        value: Json = msgspec.json.decode(msgspec.json.encode(result))
    except TaskError as error:
        return Failure(error.error, error.cause)
    except Exception as error:  # noqa: BLE001 - the function is the user's: it may raise anything
        name = type(error).__name__
        return Failure(name, thrown(name, str(error)) if found else str(error))
    return lambda_answer(value) if found and kind.events == "Task" else value


def described_functions(document: object) -> dict[str, Function]:
    """Return functions that always answer the same: {"name": {"return": JSON} or {"throw": {"error": "...", "cause": "..."}}}.

    A list of these answers one call after another; the last answers all that follow. Raise `Invalid` with all findings.
    """
    if not isinstance(document, dict):
        raise Invalid("these functions", (Finding("/", "must be an object", 'such as {"name": {"return": 1}}'),))
    findings: list[Finding] = []
    functions: dict[str, Function] = {}
    for name, value in cast("dict[str, Any]", document).items():
        answers = cast("list[Any]", value if isinstance(value, list) else [value])
        findings += [
            Finding(f"/{name}[{at}]", f"must have either {RETURN!r} or {THROW!r}")
            for at, each in enumerate(answers)
            if not isinstance(each, dict) or set(cast("dict[str, Any]", each)) not in ({RETURN}, {THROW})
        ]
        if not answers:
            findings.append(Finding(f"/{name}", "has no answer"))
        functions[name] = _Answers(answers)
    if findings:
        raise Invalid("these functions", tuple(findings))
    return functions


class _Answers:
    """A function that answers what it was told to."""

    def __init__(self, answers: list[Mapping[str, Any]]) -> None:
        self._answers = answers
        self._calls = 0

    def __call__(self, _given: Json) -> Json:
        answer = self._answers[min(self._calls, len(self._answers) - 1)]
        self._calls += 1
        if THROW in answer:
            raise TaskError(str(answer[THROW].get("error", "")), str(answer[THROW].get("cause", "")))
        return answer[RETURN]


def _names(task: ScheduleTask, kind: TaskKind, function: str) -> list[str]:
    called = f"{kind.service}:{kind.action.partition('.')[0]}" if kind.events == "Task" else ""
    bare = kind.action if kind.service in ("agent", "workflow", "activity") else ""
    return list(dict.fromkeys(filter(None, (task.state, function, bare, called, task.resource))))
