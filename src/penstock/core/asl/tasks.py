"""The work of a Task state, from its schedule to its end."""

from penstock.core.asl import definition as asl
from penstock.core.asl.amounts import number
from penstock.core.asl.events import tell
from penstock.core.asl.failing import HEARTBEAT_TIMEOUT, TIMEOUT, fail
from penstock.core.asl.happenings import CancelTask, CancelTimer, ScheduleTask
from penstock.core.asl.run import Failure, Run, Thread, Work
from penstock.core.asl.task_kinds import TaskKind, task_kind
from penstock.core.asl.threads import begin_work, end_work, leave, scope_of, start_timer, too_large
from penstock.core.asl.values import Json

REGION = "us-east-1"
ACTIVITY = "Activity"  # of which the time counts from when a worker takes it


def kind_of(thread: Thread) -> TaskKind:
    """Return the kind of the task that a thread waits for."""
    assert isinstance(thread.step.state, asl.Task), thread.step
    assert thread.step.state.resource is not None, "a machine with holes is not run"
    return task_kind(thread.step.state.resource)


def begin_task(run: Run, thread: Thread, token: str = "") -> None:
    """Schedule the work of the present state, under a token of its own where none is given."""
    step, kind = thread.step, kind_of(thread)
    token = token or f"{run.tokens or run.name}/{run.number + 1}"
    if kind.takes_token:
        thread.context["Task"] = {"Token": token}
        thread.scope = None
    scope = scope_of(run, thread)
    payload = step.flow.payload(scope, thread.effective)
    seen = scope.over(thread.effective)
    timeout_s = number(step.amounts.get("timeout_seconds"), seen)
    heartbeat_s = number(step.amounts.get("heartbeat_seconds"), seen)
    credentials = step.templates["Credentials"].evaluate(seen) if "Credentials" in step.templates else None
    work = begin_work(run, thread, "task")
    given = (
        {"region": REGION, "parameters": payload}
        if kind.events == "Task"
        else {"input": payload, "resource": kind.text}
    )
    limits = {"timeoutInSeconds": timeout_s, "heartbeatInSeconds": heartbeat_s, "taskCredentials": credentials}
    limits = {key: value for key, value in limits.items() if value is not None}
    tell(run, thread, f"{kind.events}Scheduled", {**kind.named, **given, **limits})
    work.timeout_s, work.heartbeat_s = timeout_s, heartbeat_s
    if kind.events != ACTIVITY:
        _tell_started(run, work)
    run.commands.append(
        ScheduleTask(
            id=work.id, resource=kind.text, payload=payload, state=step.name, token=token, credentials=credentials
        )
    )
    if kind.events != ACTIVITY:
        _start_timers(run, work)


def _tell_started(run: Run, work: Work) -> None:
    """Somebody works on it; of an activity, that is told when a worker has taken it, or else with its end."""
    if not work.has_started:
        work.has_started = True
        kind = kind_of(work.thread)
        tell(run, work.thread, f"{kind.events}Started", kind.named)


def _start_timers(run: Run, work: Work) -> None:
    if work.timeout_s is not None:
        start_timer(run, run.now_ms + round(work.timeout_s * 1000), work, "timeout")
    if work.heartbeat_s is not None:
        _await_heartbeat(run, work, work.heartbeat_s)


def submitted(run: Run, work: Work, output: Json) -> None:
    kind = kind_of(work.thread)
    if kind.events == ACTIVITY and not work.has_started:
        _tell_started(run, work)
        _start_timers(run, work)
    if kind.is_submitted:
        tell(run, work.thread, f"{kind.events}Submitted", {**kind.named, "output": output})


def task_succeeded(run: Run, work: Work, output: Json) -> None:
    thread, kind = work.thread, kind_of(work.thread)
    if too_large(output):
        what = kind.service if kind.events == "Task" else kind.text
        cause = f"The state/task '{what}' returned a result with a size exceeding the maximum number of bytes service limit."
        task_failed(run, work, Failure("States.DataLimitExceeded", cause))
        return
    _tell_started(run, work)
    end_work(run, work)
    tell(run, thread, f"{kind.events}Succeeded", {**kind.named, "output": output})
    leave(run, thread, thread.step.flow, output, thread.step.next)


def task_failed(run: Run, work: Work, failure: Failure) -> None:
    thread, kind = work.thread, kind_of(work.thread)
    _tell_started(run, work)
    end_work(run, work)
    tell(run, thread, f"{kind.events}Failed", {**kind.named, "error": failure.error, "cause": failure.cause})
    fail(run, thread, failure)


def heard(run: Run, work: Work) -> None:
    """The task is still being worked on: wait for the next sign of that."""
    number = work.timers.pop("heartbeat", None)
    if number is not None and work.heartbeat_s is not None:
        del run.timers[number]
        run.commands.append(CancelTimer(id=number))
        _await_heartbeat(run, work, work.heartbeat_s)


def ran_out(run: Run, work: Work, purpose: str) -> None:
    """A task took too long, or was silent for too long."""
    thread, kind = work.thread, kind_of(work.thread)
    run.commands.append(CancelTask(id=work.id))
    end_work(run, work)
    tell(run, thread, f"{kind.events}TimedOut", {**kind.named, "error": TIMEOUT})
    also = (HEARTBEAT_TIMEOUT,) if purpose == "heartbeat" else ()
    fail(run, thread, Failure(TIMEOUT, None, also, lacks_as_text=True))


def _await_heartbeat(run: Run, work: Work, within_s: float) -> None:
    start_timer(run, run.now_ms + round(within_s * 1000), work, "heartbeat")
