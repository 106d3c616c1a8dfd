"""A thread on its way: what its expressions see, how it leaves a state, and what it gives up when nobody waits for it."""

from typing import Any, Final

import msgspec

from penstock.core.asl import definition as asl
from penstock.core.asl.events import tell
from penstock.core.asl.happenings import CancelTask, CancelTimer, StartTimer
from penstock.core.asl.language import Exit
from penstock.core.asl.run import Failure, Fan, Run, Thread, Work
from penstock.core.asl.scope import Scope, SeededChance
from penstock.core.asl.timestamps import iso
from penstock.core.asl.values import Json

PAYLOAD_BYTES_MAX: Final = 262_144
"""The most that a state's input or output may have, as JSON in UTF-8 (Step Functions' quota of 256 KiB)."""

_RETRIED: Final = (asl.Task, asl.Parallel, asl.Map)
# Types of which the history tells that they were given up.
_ABORTED: Final = (asl.Task, asl.Wait, asl.Parallel, asl.Map)


def scope_of(run: Run, thread: Thread) -> Scope:
    """Return what the expressions of the thread's present state see; `$` is its raw input.

    It is one for all fields of a state: its time is that of the entry, and no two of them draw the same chance.
    """
    if thread.scope is None:
        thread.scope = _scope(run, thread)
    return thread.scope


def _scope(run: Run, thread: Thread) -> Scope:
    step, tries = thread.step, sum(thread.retries)
    state: dict[str, Any] = {"Name": step.name, "EnteredTime": iso(thread.entered_ms)}
    if isinstance(step.state, _RETRIED):
        state["RetryCount"] = tries
    context = {**run.base, "State": state, **thread.context}
    chance = SeededChance(f"{run.name}/{run.number}/{thread.index}/{thread.entered}/{tries}")
    return Scope(thread.raw, context, chance, thread.variables, now_ms=thread.entered_ms)


def leave(run: Run, thread: Thread, exit: Exit, result: Json, next: str | None) -> None:
    """Go from the present state to the next one, or to the end."""
    output, assigned = exit.left(scope_of(run, thread), thread.effective, result)
    require_small(thread, output)
    details: dict[str, Any] = {"name": thread.step.name, "output": output}
    if assigned:
        thread.variables = {**thread.variables, **assigned}
        details["assigned"] = assigned
    tell(run, thread, f"{thread.step.state.type}StateExited", details)
    thread.work = None
    thread.context.pop("Task", None)
    if next is None:
        run.queue.append(("ended", thread, output))
        return
    thread.step = thread.program.steps[next]
    thread.raw = output
    run.queue.append(("enter", thread, None))


def require_small(thread: Thread, value: Json) -> None:
    if too_large(value):
        name = thread.step.name
        cause = f"The state/task '{name}' returned a result with a size exceeding the maximum number of bytes service limit."
        raise TooLarge(Failure("States.DataLimitExceeded", cause))


def too_large(value: Json) -> bool:
    return len(msgspec.json.encode(value)) > PAYLOAD_BYTES_MAX


class TooLarge(Exception):
    """What a state leaves is larger than a run may carry."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.cause)
        self.failure = failure


def start_timer(run: Run, at_ms: int, work: Work | None, purpose: str) -> int:
    """Have a timer fire for a work, or for the run itself; return its number."""
    number = run.next_id()
    run.timers[number] = (work, purpose)
    if work is not None:
        work.timers[purpose] = number
    run.commands.append(StartTimer(id=number, at_ms=at_ms))
    return number


def begin_work(run: Run, thread: Thread, kind: str) -> Work:
    """Have a thread wait for something outside."""
    work = Work(run.next_id(), kind, thread)
    run.works[work.id] = work
    thread.work = work
    return work


def end_work(run: Run, work: Work) -> None:
    """Wait no longer for it, nor for its timers."""
    run.works.pop(work.id, None)
    for number in work.timers.values():
        if run.timers.pop(number, None) is not None:
            run.commands.append(CancelTimer(id=number))
    work.timers.clear()
    work.thread.work = None


def give_up(run: Run, thread: Thread, *, told: bool) -> None:
    """End a thread where it is, with all that it waits for."""
    thread.over = True
    waiting = thread.work
    if isinstance(waiting, Work) or thread in run.pending:
        run.left.append(thread)
    if isinstance(waiting, Work):
        if waiting.kind in ("task", "read", "write"):
            run.commands.append(CancelTask(id=waiting.id))
        end_work(run, waiting)
    elif isinstance(waiting, Fan):
        give_up_children(run, waiting, told=told)
    if told and isinstance(thread.step.state, _ABORTED):
        tell(run, thread, f"{thread.step.state.type}StateAborted")


def give_up_children(run: Run, fan: Fan, *, told: bool) -> None:
    """End all threads of a Parallel or a Map that still run."""
    for child in fan.children.values():
        if not child.over:
            give_up(run, child, told=told)
            if told and isinstance(fan.thread.step.state, asl.Map) and not fan.map_run:
                tell(run, child, "MapIterationAborted", iteration(child))
    fan.children.clear()


def iteration(child: Thread) -> dict[str, Any]:
    """Return what the events of a Map's iteration say of it."""
    assert child.owner is not None, "an iteration is a Map's"
    return {"name": child.owner.thread.step.name, "index": child.index}
