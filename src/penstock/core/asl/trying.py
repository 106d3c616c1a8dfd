"""One state, tried alone: what AWS's TestState answers, without AWS and without the rest of the machine.

    answer = try_state({"definition": state, "input": {}, "inspectionLevel": "DEBUG", "mock": {"result": '{"a": 1}'}}, ...)
    answer["status"], answer["output"], answer["nextState"], answer["inspectionData"]["afterResultPath"]

The answer has AWS's names, and values where AWS has JSON texts. The state is evaluated by the interpreter that runs machines.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from penstock.core.asl import definition as asl
from penstock.core.asl.failing import catcher_of, fail, retrier_of
from penstock.core.asl.failures import RUNTIME, EvaluationFailed
from penstock.core.asl.fans import EXCEEDED, batches, planned
from penstock.core.asl.happenings import ScheduleTask
from penstock.core.asl.items import Item, Member, items_in, items_of
from penstock.core.asl.language import PathFlow
from penstock.core.asl.map_data import READER_FAILED
from penstock.core.asl.program import Program, Step
from penstock.core.asl.reading import read_items_from
from penstock.core.asl.records import ReadingFailed
from penstock.core.asl.reducer import ACCOUNT, work_on
from penstock.core.asl.run import Failure, Run, Thread, Work
from penstock.core.asl.scope import Absent
from penstock.core.asl.service_answers import ShapesOf
from penstock.core.asl.tasks import begin_task, task_failed, task_succeeded
from penstock.core.asl.threads import TooLarge, end_work, leave, scope_of
from penstock.core.asl.timestamps import iso
from penstock.core.asl.trial import MOCKED, Trial, parsed_trial
from penstock.core.asl.validation import TESTED
from penstock.core.asl.values import Json
from penstock.core.asl.watching import Seen, watched

Perform: TypeAlias = Callable[[ScheduleTask], "Json | Failure"]
"""Does a task that no mock stands for, and returns its result or how it failed."""
_NAME: Final = "test-state"


def try_state(
    request: Mapping[str, Any], *, shapes_of: ShapesOf, perform: Perform | None = None, now_ms: int = 0
) -> dict[str, Any]:
    """Answer a request of TestState. Raise `TrialRefused` where AWS refuses it, with AWS's code and message."""
    trial = parsed_trial(request, shapes_of, called=perform is not None)
    seen: Seen = {}
    step = watched(trial.step, seen)
    run = Run(Program(step.name, {step.name: step, **_stubs(step)}))
    run.now_ms, run.name = now_ms, _NAME
    run.base = {**_context(trial, now_ms), **trial.context}
    thread = run.root = Thread(run.program, trial.input, trial.variables, run.history, 0)
    thread.entered_ms, thread.retries = now_ms, [trial.retries] * len(step.retry)
    thread.context = {"State": trial.context.get("State") or _state(trial, now_ms)}
    failure = _tried(run, thread, trial, seen, perform)
    answer = _answer(run, thread, step, failure)
    if trial.level != "INFO":
        details = {} if failure is None else _error_details(trial, step, failure, answer["status"])
        told = {"input": trial.input, **seen, **({"errorDetails": details} if details else {})}
        answer["inspectionData"] = {**told, **({"variables": dict(thread.variables)} if thread.variables else {})}
    if trial.unchecked:
        answer["unchecked"] = trial.unchecked
    return answer


def _tried(run: Run, thread: Thread, trial: Trial, seen: Seen, perform: Perform | None) -> Failure | None:
    """Have the state do what it does; return how it failed, be it caught or not."""
    try:
        failure = _done(run, thread, trial, seen, perform)
    except EvaluationFailed as error:
        failure = Failure(error.error, error.cause, is_fatal=error.error == RUNTIME)
        fail(run, thread, failure)
    except TooLarge as error:
        failure = error.failure
        fail(run, thread, failure)
    if failure is None and run.queue and run.queue[0][0] == "broken":  # a Fail, or a result that is too large
        failure = run.queue[0][2]
    return failure or _told(run)


def _told(run: Run) -> Failure | None:
    """Return the failure of a task whose result was too large, as the history tells of it."""
    failed = (each.details for each in run.history.events if each.type.endswith("Failed"))
    return next((Failure(each["error"], each["cause"]) for each in failed if "error" in each), None)


def _done(run: Run, thread: Thread, trial: Trial, seen: Seen, perform: Perform | None) -> Failure | None:
    step = thread.step
    if not isinstance(step.state, MOCKED):
        work_on(run, thread)
        if isinstance(thread.work, Work):  # a Wait: its time is over at once
            end_work(run, thread.work)
            leave(run, thread, step.flow, thread.effective, step.next)
        return None
    thread.effective = step.flow.effective(scope_of(run, thread))
    result, failure = trial.result, trial.failure
    if isinstance(step.state, asl.Task):
        begin_task(run, thread, _token(trial.context))
        work = thread.work
        assert isinstance(work, Work), "the task waits"
        if isinstance(result, Absent) and failure is None:
            assert perform is not None, "it was asked for a mock"
            command = next(each for each in run.commands if isinstance(each, ScheduleTask))
            answered = perform(command)
            result, failure = (result, answered) if isinstance(answered, Failure) else (answered, None)
        if failure is not None:
            task_failed(run, work, failure)
        else:
            assert not isinstance(result, Absent), "it has one or the other"
            task_succeeded(run, work, result)
        return failure
    if isinstance(step.state, asl.Map):
        failure = _planned(run, thread, trial, seen) or failure
    else:
        step.flow.payload(scope_of(run, thread), thread.effective)
    if failure is not None:
        fail(run, thread, failure)
    else:
        assert not isinstance(result, Absent), "a mock is needed"
        leave(run, thread, step.flow, result, step.next)
    return failure


def _planned(run: Run, thread: Thread, trial: Trial, seen: Seen) -> Failure | None:
    """Evaluate all of a Map but its iterations; return a failure that comes before theirs."""
    step, state = thread.step, thread.step.state
    assert isinstance(state, asl.Map), "it plans Maps"
    try:
        items = _items(run, thread, trial)
    except ReadingFailed as error:
        return Failure(READER_FAILED, str(error))
    if not step.uses_jsonata and state.item_reader is None:
        seen["afterItemsPath"] = [each.value if isinstance(each, Member) else each for each in items]
    plan = planned(run, thread, items)
    inputs = list(plan.inputs)
    if "ItemSelector" in step.templates:
        seen["afterItemSelector"] = [given for given, _ in inputs]
    if state.item_batcher is not None:
        inputs = batches(run, thread, inputs)
        seen["afterItemBatcher"] = [given for given, _ in inputs]
    seen["maxConcurrency"] = plan.max_concurrency
    if plan.tolerated_count is not None:
        seen["toleratedFailureCount"] = plan.tolerated_count
    if plan.tolerated_percentage is not None:
        seen["toleratedFailurePercentage"] = float(plan.tolerated_percentage)
    tolerates = plan.tolerated_count is not None or plan.tolerated_percentage is not None
    if tolerates and (trial.failed_iterations or 0) > plan.failures_max(len(inputs)):
        return EXCEEDED
    return None


def _items(run: Run, thread: Thread, trial: Trial) -> list[Item]:
    step, state = thread.step, thread.step.state
    assert isinstance(state, asl.Map), "only a Map has items"
    scope = scope_of(run, thread)
    if state.item_reader is None:
        return items_of(step, scope, thread.effective)
    if "ItemReader" in step.templates:
        step.templates["ItemReader"].evaluate(scope.over(thread.effective))
    if trial.items is None:
        return []
    config = state.item_reader.reader_config or asl.ReaderConfig()
    found = read_items_from(trial.items.encode(), config)
    if not isinstance(found, list | dict):
        raise ReadingFailed("Attempting to map over non-iterable node.")
    return items_in(found)


def _answer(run: Run, thread: Thread, step: Step, failure: Failure | None) -> dict[str, Any]:
    told: dict[str, Any] = {}
    if failure is not None:
        told = {"error": failure.error, "cause": failure.cause}
        told = {key: value for key, value in told.items() if value is not None}
    if isinstance(thread.work, Work) and thread.work.kind == "retry":
        return {"status": "RETRIABLE", **told}
    what, _, value = run.queue[0]
    if what == "broken":
        return {"status": "FAILED", **told}
    status = "SUCCEEDED" if failure is None else "CAUGHT_ERROR"
    if what == "ended":
        return {"status": status, "output": value, **told}
    assert thread.step is not step or what == "enter", what
    return {"status": status, "output": thread.raw, "nextState": thread.step.name, **told}


def _error_details(trial: Trial, step: Step, failure: Failure, status: str) -> dict[str, int]:
    """Return which retrier and which catcher were meant for a failure, and how long the next attempt would wait."""
    if failure.is_fatal or not isinstance(step.state, MOCKED):
        return {}
    details: dict[str, int] = {}
    retrier = retrier_of(step, failure)
    if retrier is not None:
        details["retryIndex"] = retrier
        if status == "RETRIABLE":
            details["retryBackoffIntervalSeconds"] = int(step.retry[retrier].delay_s(trial.retries))
    if status == "CAUGHT_ERROR":
        catcher = catcher_of(step, failure)
        assert catcher is not None, "it was caught"
        details["catchIndex"] = catcher
    return details


def _stubs(step: Step) -> dict[str, Step]:
    """Return a state for each to which this one leads: it is entered, and no further."""
    default = step.state.default if isinstance(step.state, asl.Choice) else None
    names = {step.next, default, *(each.next for each in step.rules), *(each.next for each in step.catch)}
    return {name: Step(name, asl.Succeed(), uses_jsonata=False, flow=PathFlow()) for name in names if name is not None}


def _context(trial: Trial, now_ms: int) -> dict[str, Any]:
    """Return the context object that a state sees for which none is given."""
    execution = {
        "Id": f"{ACCOUNT}:express:{_NAME}:{_NAME}",
        "Input": trial.input,
        "Name": _NAME,
        "RoleArn": trial.role,
        "StartTime": iso(now_ms),
    }
    return {"Execution": execution, "StateMachine": {"Id": f"{ACCOUNT}:stateMachine:{_NAME}", "Name": _NAME}}


def _state(trial: Trial, now_ms: int) -> dict[str, Any]:
    tries = {"RetryCount": trial.retries} if isinstance(trial.step.state, MOCKED) else {}
    return {"Name": TESTED, "EnteredTime": iso(now_ms), **tries}


def _token(context: Mapping[str, Json]) -> str:
    task = context.get("Task")
    token = task.get("Token") if isinstance(task, dict) else None
    return token if isinstance(token, str) else ""
