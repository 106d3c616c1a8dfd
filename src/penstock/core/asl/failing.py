"""When a state fails: tried again, caught, or the end of its branch."""

from typing import Final

from penstock.core.asl import definition as asl
from penstock.core.asl.events import tell
from penstock.core.asl.failures import QUERY_EVALUATION, RUNTIME, EvaluationFailed, state_cause
from penstock.core.asl.program import Step
from penstock.core.asl.run import Failure, Run, Thread
from penstock.core.asl.threads import begin_work, give_up, leave, scope_of, start_timer

ALL: Final = "States.ALL"
TASK_FAILED: Final = "States.TaskFailed"
TIMEOUT: Final = "States.Timeout"
HEARTBEAT_TIMEOUT: Final = "States.HeartbeatTimeout"


def evaluated_wrongly(run: Run, thread: Thread, error: EvaluationFailed) -> Failure:
    """Return the failure that an expression without a value is, and tell of it where AWS does."""
    cause = state_cause(thread.step.name, thread.entered, error.cause)
    if error.error == QUERY_EVALUATION:
        details = {"cause": cause, "error": error.error, "location": error.field, "state": thread.step.name}
        tell(run, thread, "EvaluationFailed", details)
    return Failure(error.error, cause, is_fatal=error.error == RUNTIME)


def fail(run: Run, thread: Thread, failure: Failure) -> None:
    """Have the present state of a thread fail."""
    if failure.is_fatal:
        run.queue.appendleft(("broken", thread, failure))
        return
    step = thread.step
    if _tries_again(run, thread, failure):
        go_on(run)
        return
    if isinstance(step.state, asl.Map | asl.Parallel):
        tell(run, thread, f"{step.state.type}StateFailed", _told(failure))
    caught_by = catcher_of(step, failure)
    if caught_by is not None:
        go_on(run)
        catcher = step.catch[caught_by]
        leave(run, thread, catcher.exit, failure.output, catcher.next)
        return
    owner = thread.owner
    if isinstance(step.state, asl.Task) and owner is not None and isinstance(owner.thread.step.state, asl.Parallel):
        tell(run, thread, "TaskStateAborted")
    run.queue.appendleft(("broken", thread, failure))


def go_on(run: Run) -> None:
    """A failure ends nothing more: forget whom it had ended."""
    run.left.clear()
    run.pending.clear()


def end_badly(run: Run, failure: Failure) -> None:
    """End the whole run with a failure."""
    assert run.root is not None, "it has started"
    give_up(run, run.root, told=False)
    run.status, run.failure = "FAILED", failure
    tell(run, run.root, "ExecutionFailed", _told(failure))


def matches(failure: Failure, names: "frozenset[str] | tuple[str, ...]") -> bool:
    """Whether a Retry or a Catch of these error names is meant for a failure."""
    if ALL in names or failure.error in names:
        return True
    if any(each in names for each in failure.also):
        return True
    return TASK_FAILED in names and failure.error not in (TIMEOUT, HEARTBEAT_TIMEOUT)


def retrier_of(step: Step, failure: Failure) -> int | None:
    """Return which retrier of a state is meant for a failure, whether or not it has attempts left."""
    return next((at for at, each in enumerate(step.retry) if matches(failure, each.error_equals)), None)


def catcher_of(step: Step, failure: Failure) -> int | None:
    """Return which catcher of a state takes a failure that no retrier has tried again."""
    return next((at for at, each in enumerate(step.catch) if matches(failure, each.errors)), None)


def _tries_again(run: Run, thread: Thread, failure: Failure) -> bool:
    at = retrier_of(thread.step, failure)
    if at is None:
        return False
    retrier = thread.step.retry[at]
    if thread.retries[at] >= retrier.attempts_max:
        return False
    delay_s = retrier.delay_s(thread.retries[at])
    if retrier.full_jitter:
        delay_s *= scope_of(run, thread).chance.fraction()
    thread.retries[at] += 1
    work = begin_work(run, thread, "retry")
    start_timer(run, run.now_ms + round(delay_s * 1000), work, "retry")
    return True


def _told(failure: Failure) -> dict[str, str | None]:
    return {"error": failure.error, "cause": failure.cause}
