"""What is asked when one state is tried alone: the request of AWS's TestState, read and checked with AWS's words.

`parsed_trial` takes a request with AWS's names. What AWS has as JSON texts (definition, input, variables, context) may be text or
value here; `mock.result` and `mapItemReaderData` are always texts.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple, cast

from penstock.core.asl import definition as asl
from penstock.core.asl.definition import from_document
from penstock.core.asl.documents import read_document
from penstock.core.asl.findings import REFUSED, refusal
from penstock.core.asl.program import Program, Step, compiled
from penstock.core.asl.run import Failure
from penstock.core.asl.scope import ABSENT, Absent
from penstock.core.asl.service_answers import NONE, PRESENT, STRICT, ShapesOf, misfit
from penstock.core.asl.task_kinds import TaskKind, task_kind
from penstock.core.asl.validation import TESTED, validate, validate_state
from penstock.core.asl.values import Json, parsed_json
from penstock.core.asl.variables import inner_scopes
from penstock.errors import Invalid

VALIDATION: Final = "ValidationException"
TEXT_CHARS_MAX: Final = 262_144
LEVELS: Final = ("INFO", "DEBUG", "TRACE")
MODES: Final = (STRICT, PRESENT, NONE)
MOCKED: Final = (asl.Task, asl.Map, asl.Parallel)
"""The types of states whose work can be mocked."""


class TrialRefused(Exception):
    """A request that AWS refuses: `code` and `message` are AWS's."""

    def __init__(self, message: str, code: str = VALIDATION) -> None:
        super().__init__(message)
        self.message = message
        self.code = code


class Trial(NamedTuple):
    """A checked request."""

    step: Step
    input: Json
    level: str
    result: "Json | Absent"  # what the state's work is said to have given
    failure: Failure | None  # or how it is said to have failed
    retries: int  # how often the state was tried again already
    failed_iterations: int | None  # how many of a Map's iterations are said to have failed
    items: str | None  # what a Map's ItemReader is said to have read
    variables: Mapping[str, Json]
    context: Mapping[str, Json]
    role: str | None
    unchecked: str = ""  # the service whose answers are not known, so that the mocked one was not validated


def parsed_trial(request: Mapping[str, Any], shapes_of: ShapesOf, *, called: bool) -> Trial:
    """Return the checked request. `called`: whether there is something that does a Task without a mock. Raise `TrialRefused`."""
    step = _step(request.get("definition"), request.get("stateName"))
    mock = cast("Mapping[str, Any]", request.get("mock") or {})
    set_up = cast("Mapping[str, Any]", request.get("stateConfiguration") or {})
    result = _checked(request, step, mock, set_up)
    if not mock:
        _require_no_mock(step, request.get("roleArn"), called=called)
    unchecked = "" if isinstance(result, Absent) else _validated(step.state, result, _mode(mock), shapes_of)
    error = mock.get("errorOutput")
    return Trial(
        step,
        _value(request.get("input", {}), "input"),
        _one_of("inspectionLevel", request.get("inspectionLevel") or LEVELS[0], LEVELS),
        result,
        None if error is None else Failure(error.get("error"), error.get("cause")),
        _count(set_up, "retrierRetryCount") or 0,
        _count(set_up, "mapIterationFailureCount"),
        set_up.get("mapItemReaderData"),
        _object(request.get("variables") or {}, "variables"),
        _object(request.get("context") or {}, "context"),
        request.get("roleArn"),
        unchecked,
    )


def tested_state(document: Mapping[str, Any], name: str | None) -> Mapping[str, Any] | None:
    """Return the state that a request is about: the document itself, or the one of that name in a machine, at any depth."""
    if name is None:
        return None if "States" in document else document
    return next((each[name] for each in _scopes(document) if name in each), None)


def _scopes(scope: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    states = scope.get("States")
    if not isinstance(states, dict):
        return
    yield cast("Mapping[str, Any]", states)
    for state in cast("dict[str, Json]", states).values():
        for _, inner in inner_scopes(state) if isinstance(state, dict) else ():
            yield from _scopes(inner)


def _step(definition: Any, name: str | None) -> Step:
    if not isinstance(definition, str | bytes | Mapping):
        raise TrialRefused("A definition must be specified")
    document, found = read_document(cast("Any", definition))
    alone = document is not None and name is None and "States" not in document
    refused = refusal(found if document is None else validate_state(document) if alone else validate(document))
    if refused or document is None:
        raise TrialRefused(refused or "", REFUSED)
    if not alone and (name is None or tested_state(document, name) is None):
        problem = (
            "StateName must be specified when testing a state machine" if name is None else f"No state named {name!r}"
        )
        raise TrialRefused(problem)
    machine = {"StartAt": TESTED, "States": {TESTED: document}} if alone else document
    try:
        program = compiled(from_document(machine))
    except Invalid as error:
        raise TrialRefused(str(error), REFUSED) from error
    step = _found(program, TESTED if name is None else name)
    assert step is not None, "it is in the document"
    return step


def _found(program: Program, name: str) -> Step | None:
    if name in program.steps:
        return program.steps[name]
    inner = (branch for step in program.steps.values() for branch in step.branches)
    return next(filter(None, (_found(each, name) for each in inner)), None)


def _checked(
    request: Mapping[str, Any], step: Step, mock: Mapping[str, Any], set_up: Mapping[str, Any]
) -> "Json | Absent":
    """Return the mocked result, once what does not depend on the service has been checked."""
    if not mock:
        given = {
            "MapIterationFailureCount": set_up.get("mapIterationFailureCount"),
            "RetrierRetryCount": set_up.get("retrierRetryCount"),
            "ErrorCausedByState": set_up.get("errorCausedByState"),
            "MapItemReaderData": set_up.get("mapItemReaderData"),
            "Context": request.get("context"),
        }
        for field, value in given.items():
            if value is not None:
                raise TrialRefused(f"TestState does not support {field} when a mock is not specified.")
        return ABSENT
    if request.get("revealSecrets"):
        raise TrialRefused("TestState does not support RevealSecrets when a mock is specified.")
    if not isinstance(step.state, MOCKED):
        raise TrialRefused(f"State type '{step.state.type}' is not supported when a mock is specified")
    text, error = mock.get("result"), mock.get("errorOutput")
    if (text is None) == (error is None):
        raise TrialRefused("A test mock should have only one of the following fields: [result, errorOutput].")
    return ABSENT if text is None else _parsed_result(step.state, text)


def _parsed_result(state: asl.AnyState, text: str) -> Json:
    if len(text) > TEXT_CHARS_MAX:
        raise TrialRefused(f"Mocked result must have at most {TEXT_CHARS_MAX} characters")
    try:
        result = parsed_json(text)
    except (TypeError, ValueError):
        raise TrialRefused("Mocked result must be valid JSON") from None
    written = isinstance(state, asl.Map) and state.result_writer is not None
    if isinstance(state, asl.Map | asl.Parallel) and not written and not isinstance(result, list):
        raise TrialRefused("Mocked result must be an array.")
    return result


def _require_no_mock(step: Step, role: str | None, *, called: bool) -> None:
    state = step.state
    if isinstance(state, asl.Map | asl.Parallel):
        raise TrialRefused(f"State type '{state.type}' is not supported when a mock is not specified")
    if not isinstance(state, asl.Task):
        return
    kind = _kind(state)
    if kind.events == "Activity" or kind.is_submitted:
        raise TrialRefused(f"Resource '{kind.text}' is not supported when a mock is not specified")
    if role is None:
        raise TrialRefused("RoleArn must be specified when testing a Task state")
    if not called:
        raise TrialRefused(f"Nothing here can call '{kind.text}': specify a mock")


def _validated(state: asl.AnyState, result: Json, mode: str, shapes_of: ShapesOf) -> str:
    """Refuse a mocked result that the service would not give; return the service's name when it is not known."""
    if not isinstance(state, asl.Task) or mode == NONE:
        return ""
    kind = _kind(state)
    if (
        kind.events != "Task"
        or kind.is_submitted
        or kind.service in ("other", "agent", "workflow", "http", "apigateway")
    ):
        return ""
    service = kind.service.removeprefix("aws-sdk:")
    shapes = shapes_of(service)
    if shapes is None:
        return service
    answer = result
    if kind.service == "lambda" and isinstance(result, dict):  # its Payload is JSON there, of any kind
        answer = {key: value for key, value in result.items() if key != "Payload"}
    problem = misfit(shapes, kind.action, answer, strict=mode == STRICT)
    if problem:
        raise TrialRefused(f"Mock result schema validation error: {problem}")
    return ""


def _kind(state: asl.Task) -> TaskKind:
    if state.resource is None:
        raise TrialRefused("A Resource of null is a hole that a template left: fill it first", REFUSED)
    return task_kind(state.resource)


def _mode(mock: Mapping[str, Any]) -> str:
    return _one_of("fieldValidationMode", mock.get("fieldValidationMode") or STRICT, MODES)


def _one_of(field: str, value: Any, known: tuple[str, ...]) -> str:
    if value not in known:
        raise TrialRefused(
            f"1 validation error detected: Value '{value}' at '{field}' failed to satisfy constraint: "
            f"Member must satisfy enum value set: [{', '.join(known)}]"
        )
    return value


def _count(set_up: Mapping[str, Any], field: str) -> int | None:
    value = set_up.get(field)
    if value is not None and (not isinstance(value, int) or value < 0):
        raise TrialRefused(f"'{field}' must be a number, at least 0")
    return value


def _value(given: Any, field: str) -> Json:
    try:
        return parsed_json(given) if isinstance(given, str) else given
    except ValueError as error:
        raise TrialRefused(f"Invalid JSON in '{field}': {error}", f"Invalid{field.capitalize()}") from error


def _object(given: Any, field: str) -> Mapping[str, Json]:
    value = _value(given, field)
    if not isinstance(value, dict):
        raise TrialRefused(f"'{field}' must be an object")
    return value
