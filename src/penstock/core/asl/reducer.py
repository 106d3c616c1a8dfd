"""What a state machine does: `advance` gives a run the next happening, and returns what it wants done.

    run = Run(compiled(machine))
    commands = advance(run, Started(at_ms=0, input={"n": 1}, name="first"))
    commands = advance(run, Succeeded(at_ms=5, id=commands[0].id, output="done"))

A run that is over takes whatever still comes, and does nothing. So does one that is given an answer for the second time, or one
to what it does not wait for any more.
"""

from collections.abc import Sequence

from penstock.core.asl import definition as asl
from penstock.core.asl.amounts import moment_ms, seconds, text
from penstock.core.asl.events import tell
from penstock.core.asl.failing import end_badly, evaluated_wrongly, fail
from penstock.core.asl.failures import RUNTIME, EvaluationFailed
from penstock.core.asl.fans import (
    begin_map,
    begin_parallel,
    child_ended,
    child_failed,
    items_read,
    results_written,
)
from penstock.core.asl.happenings import (
    AnyCommand,
    AnyHappening,
    CancelTimer,
    Failed,
    Heartbeat,
    Redriven,
    Started,
    Stopped,
    Succeeded,
    TaskSubmitted,
    TimerFired,
)
from penstock.core.asl.history import EVENTS_MAX
from penstock.core.asl.map_data import reading_failed, writing_failed
from penstock.core.asl.redriving import redrive
from penstock.core.asl.run import Failure, Run, Thread, Work
from penstock.core.asl.tasks import begin_task, heard, ran_out, submitted, task_failed, task_succeeded
from penstock.core.asl.threads import TooLarge, begin_work, end_work, give_up, leave, scope_of, start_timer
from penstock.core.asl.timestamps import iso
from penstock.core.asl.values import Json

ACCOUNT = "arn:aws:states:us-east-1:111111111111"
_NO_CHOICE = "Failed to transition out of the state. The state does not point to a next state."


def advance(run: Run, happening: AnyHappening) -> Sequence[AnyCommand]:
    """Change the run by what has happened, until it waits for something outside or is over; return what it wants done."""
    if run.is_over and not isinstance(happening, Redriven):
        return ()
    run.now_ms = max(run.now_ms, happening.at_ms)
    run.commands = []
    match happening:
        case Started():
            _start(run, happening)
        case Stopped():
            _stop(run, "ABORTED", "ExecutionAborted", Failure(happening.error, happening.cause))
        case TimerFired():
            _fired(run, happening.id)
        case Redriven():
            redrive(run)
        case _:
            _answered(run, happening)
    _settle(run)
    commands, run.commands = run.commands, []
    return commands


def _start(run: Run, started: Started) -> None:
    assert run.root is None, "a run starts once"
    run.name, run.tokens = started.name, started.tokens
    execution = {
        "Id": f"{ACCOUNT}:execution:{started.machine}:{started.name}",
        "Input": started.input,
        "StartTime": iso(run.now_ms),
        "Name": started.name,
        "RoleArn": started.role,
        "RedriveCount": 0,
    }
    machine = {"Id": f"{ACCOUNT}:stateMachine:{started.machine}", "Name": started.machine}
    run.base = {"Execution": execution, "StateMachine": machine}
    thread = run.root = Thread(run.program, started.input, {}, run.history, 0)
    tell(run, thread, "ExecutionStarted", {"input": started.input, "roleArn": started.role})
    if run.program.timeout_s is not None:
        start_timer(run, run.now_ms + round(run.program.timeout_s * 1000), None, "run")
    run.queue.append(("enter", thread, None))


def _stop(run: Run, status: str, event: str, failure: Failure) -> None:
    assert run.root is not None, "it has started"
    give_up(run, run.root, told=False)
    run.status = "TIMED_OUT" if status == "TIMED_OUT" else "ABORTED"
    run.failure = failure
    tell(run, run.root, event, {"error": failure.error, "cause": failure.cause})
    run.queue.clear()


def _fired(run: Run, number: int) -> None:
    work, purpose = run.timers.pop(number, (None, ""))
    if purpose == "run":
        _stop(run, "TIMED_OUT", "ExecutionTimedOut", Failure(None, None))
        return
    if work is None:
        return
    work.timers.pop(purpose, None)
    thread = work.thread
    match work.kind:
        case "task":
            ran_out(run, work, purpose)
        case "retry":
            end_work(run, work)
            run.queue.append(("work", thread, None))
        case _:
            end_work(run, work)
            run.queue.append(("waited", thread, None))


def _answered(run: Run, happening: Succeeded | Failed | Heartbeat | TaskSubmitted) -> None:
    work = run.works.get(happening.id)
    if work is None:
        return
    try:
        _take(run, work, happening)
    except EvaluationFailed as error:
        fail(run, work.thread, evaluated_wrongly(run, work.thread, error))
    except TooLarge as error:
        fail(run, work.thread, error.failure)


def _take(run: Run, work: Work, happening: Succeeded | Failed | Heartbeat | TaskSubmitted) -> None:
    match happening, work.kind:
        case Succeeded(), "task":
            task_succeeded(run, work, happening.output)
        case Failed(), "task":
            task_failed(run, work, Failure(happening.error, happening.cause))
        case Heartbeat(), "task":
            heard(run, work)
        case TaskSubmitted(), "task":
            submitted(run, work, happening.output)
        case Succeeded(), "read":
            items_read(run, work, happening.output)
        case Failed(), "read":
            end_work(run, work)
            reading_failed(run, work.thread, Failure(happening.error, happening.cause))
        case Succeeded(), "write":
            results_written(run, work, happening.output)
        case Failed(), "write":
            writing_failed(run, work, Failure(happening.error, happening.cause))
        case _:
            pass  # a timer has no other answer than its time


def _settle(run: Run) -> None:
    """Go on until nothing is left to do without an answer from outside."""
    while run.queue and not run.is_over:
        what, thread, value = run.queue.popleft()
        if thread.over:
            continue
        if len(run.history.events) >= EVENTS_MAX:
            end_badly(
                run, Failure(RUNTIME, f"The execution reached the maximum number of history events ({EVENTS_MAX}).")
            )
            break
        try:
            _do(run, what, thread, value)
        except EvaluationFailed as error:
            fail(run, thread, evaluated_wrongly(run, thread, error))
        except TooLarge as error:
            fail(run, thread, error.failure)
    if run.is_over:
        run.queue.clear()
        run.works.clear()
        run.commands += [CancelTimer(id=each) for each in run.timers]
        run.timers.clear()


def _do(run: Run, what: str, thread: Thread, value: object) -> None:
    match what:
        case "enter":
            _enter(run, thread)
        case "work":
            work_on(run, thread)
        case "waited":
            leave(run, thread, thread.step.flow, thread.effective, thread.step.next)
        case "ended":
            _ended(run, thread, value)  # pyright: ignore[reportArgumentType] - JSON, as `leave` put it there
        case _:
            assert isinstance(value, Failure), value
            _broken(run, thread, value)


def _enter(run: Run, thread: Thread) -> None:
    step = thread.step
    thread.entered = tell(run, thread, f"{step.state.type}StateEntered", {"name": step.name, "input": thread.raw})
    thread.entered_ms, thread.retries = run.now_ms, [0] * len(step.retry)
    work_on(run, thread)


def work_on(run: Run, thread: Thread) -> None:
    """Do what the present state does, as far as that goes without an answer from outside."""
    step, state = thread.step, thread.step.state
    thread.scope = None  # it is entered, or tried again
    scope = scope_of(run, thread)
    thread.effective = step.flow.effective(scope)
    seen = scope.over(thread.effective)
    match state:
        case asl.Pass():
            result = step.flow.payload(scope, thread.effective) if state.result is asl.UNSET else state.result
            leave(run, thread, step.flow, result, step.next)
        case asl.Choice():
            _choose(run, thread, state)
        case asl.Task():
            begin_task(run, thread)
        case asl.Map():
            begin_map(run, thread)
        case asl.Parallel():
            begin_parallel(run, thread)
        case asl.Wait():
            until_ms = (
                moment_ms(step.texts["timestamp"], seen)
                if "timestamp" in step.texts
                else run.now_ms + round(seconds(step.amounts["seconds"], seen) * 1000)
            )
            start_timer(run, until_ms, begin_work(run, thread, "wait"), "wait")
        case asl.Succeed():
            leave(run, thread, step.flow, thread.effective, None)
        case asl.Fail():
            told = (text(step.texts.get("error"), seen), text(step.texts.get("cause"), seen))
            failure = Failure(*told, lacks_as_text=True)
            run.queue.appendleft(("broken", thread, failure))


def _choose(run: Run, thread: Thread, state: asl.Choice) -> None:
    step = thread.step
    seen = scope_of(run, thread).over(thread.effective)
    for rule in step.rules:
        if rule.asks(seen):
            leave(run, thread, rule.exit, thread.effective, rule.next)
            return
    if state.default is None:
        raise EvaluationFailed(RUNTIME, _NO_CHOICE)
    leave(run, thread, step.flow, thread.effective, state.default)


def _ended(run: Run, thread: Thread, output: Json) -> None:
    if thread.owner is not None:
        child_ended(run, thread, output)
        return
    thread.over = True
    run.status, run.result = "SUCCEEDED", output
    tell(run, thread, "ExecutionSucceeded", {"output": output})


def _broken(run: Run, thread: Thread, failure: Failure) -> None:
    """Nothing in this thread caught a failure."""
    owner = thread.owner
    if not run.left:
        run.pending = {waiting: (what, value) for what, waiting, value in run.queue}
        run.left.append(thread)
    if failure.is_fatal:  # it ends the whole run, or the child of a distributed Map, which is a run of its own
        inner = thread
        while owner is not None and not owner.map_run:
            thread, owner = owner.thread, owner.thread.owner
        if owner is not None and thread is not inner:
            give_up(run, thread, told=False)
    if owner is None:
        end_badly(run, failure)
    else:
        child_failed(run, thread, failure)
