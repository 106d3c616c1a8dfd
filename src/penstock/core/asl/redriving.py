"""A run that did not succeed goes on: the states that failed, or were cut off, are done again, and what had ended stays.

Where a state failed, all that its failure ended is known (`Run.left`): the threads beside it, and what was to be done for
them. Each does its present state again, with all its retries. Children of a distributed Map whose failure was tolerated stay.
"""

from penstock.core.asl.events import tell
from penstock.core.asl.run import Run, Thread
from penstock.core.asl.threads import start_timer
from penstock.core.asl.timestamps import iso


def redrive(run: Run) -> None:
    """Go on with a run that failed, timed out, or was stopped; one that did not is left alone."""
    if run.status in ("RUNNING", "SUCCEEDED") or run.root is None:
        return
    run.status, run.failure = "RUNNING", None
    execution = run.base["Execution"]
    count = execution["RedriveCount"] + 1
    run.base = {**run.base, "Execution": {**execution, "RedriveCount": count, "RedriveTime": iso(run.now_ms)}}
    tell(run, run.root, "ExecutionRedriven", {"redriveCount": count})
    if run.program.timeout_s is not None:
        start_timer(run, run.now_ms + round(run.program.timeout_s * 1000), None, "run")
    left, pending = run.left, run.pending
    run.left, run.pending = [], {}
    for thread in left:
        _revive(thread, has_failed=thread is left[0])
        what, value = pending.get(thread, ("work", None))
        run.queue.append((what, thread, value))


def _revive(thread: Thread, *, has_failed: bool) -> None:
    """Have a thread, and those around it, go on."""
    thread.retries = [0] * len(thread.step.retry)
    thread.work = None
    while True:
        thread.over = False
        fan = thread.owner
        if fan is None:
            return
        fan.children[thread.index] = thread
        if has_failed and fan.map_run:
            fan.failures -= 1
        thread = fan.thread
        thread.work = fan
