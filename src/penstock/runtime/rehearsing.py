"""Leading workflow runs through their journals by the code of now, without doing anything, to see whether they would go on.

- An operation that the journal has returns what was recorded. One that it has not is never begun: there the run rests.
- Nothing is written, sent, told or executed. What a workflow does by itself between its operations is done, as it is each time
  that a run is resumed.
- A run is at rest when it asks for nothing new within some ticks of the loop.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn, TypeVar, cast

from penstock.core.agents.again import unwrapped
from penstock.core.agents.declaration import Agent
from penstock.core.agents.journal import decode_value
from penstock.core.agents.listening import Listening
from penstock.core.agents.rehearsed import History, Outcome, Rehearsed, advice_for
from penstock.core.agents.run_journal import VERSION, RunJournal
from penstock.core.agents.unit import RunChange
from penstock.core.events.event import Event
from penstock.runtime.appending import Appender
from penstock.runtime.arrivals import takes
from penstock.runtime.decoding import decoded_by, decoders_of
from penstock.runtime.listeners import Listeners
from penstock.runtime.machine_rehearsals import led_again
from penstock.runtime.machines import machine_of
from penstock.runtime.operations import Operations, owner
from penstock.runtime.outcomes import body_of, is_users, reason_of, require_annotated
from penstock.runtime.run_calls import RunCalls
from penstock.runtime.services import Services
from penstock.runtime.tasks import Tasks
from penstock.runtime.topology import Topology
from penstock.runtime.workflow_context import WorkflowContext
from penstock.runtime.workflow_run import WorkflowRun

T = TypeVar("T")
QUIET_TICKS = 12
PATIENCE_S = 1.0  # for code that waits for something else than its operations
CLOSED_WITHIN_S = 5.0
ENDED = ("succeeded", "failed", "cancelled")


class _NoCalls(RunCalls):
    """Reaches nobody."""

    def __init__(self, topology: Topology, services: Services, appender: Appender) -> None:
        super().__init__(topology, services, appender, Tasks(asyncio.TaskGroup()))

    def send(self, run: WorkflowRun, step: str, agent: str, event: Event) -> None: ...
    def start(self, run: WorkflowRun, step: str, agent: str, event: Event, on_end: str) -> None: ...
    def emit(self, run: WorkflowRun, step: str, event: Event, key: str | None) -> None: ...
    def listen(self, run: WorkflowRun, each: Listening) -> None: ...
    def listen_no_more(self, run: WorkflowRun, each: Listening) -> None: ...
    def expose(self, run: WorkflowRun, name: str, body: bytes) -> None: ...
    def abandon(self, run: WorkflowRun, step: str) -> None: ...
    def go_on_as(self, run: WorkflowRun, event: Event) -> None: ...


class _Rehearsal(Operations):
    """The operations of a run that is only led as far as its journal goes."""

    __slots__ = ("place", "resting", "stays_cut")

    def __init__(self, run: WorkflowRun, calls: _NoCalls, services: Services) -> None:
        super().__init__(run, calls, services)
        self.resting: list[str] = []  # operations that would begin now
        self.stays_cut = False  # something ended a wait that ends by the clock: how it goes on is not known here
        self.place = ""  # where the code asked for what the journal has not

    def may_begin(self, step: str) -> bool:  # noqa: ARG002 - nothing begins
        return False

    async def rest(self, step: str) -> NoReturn:
        run = self.run
        if run.is_cut(step):
            self.stays_cut = True
            await run.stay_cut(step)
        if run.ending is not None:
            run.deliver()
        self.resting.append(step)
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            self.resting.remove(step)  # another branch was first
        raise AssertionError(step)

    async def under_way(self, step: str, work: Awaitable[T]) -> T:
        """Wait for a time that was recorded, unless it has come; all else rests before it is under way."""
        cast("Coroutine[Any, Any, T]", work).close()
        found = self.journal.find(step)
        due_ms = 0 if found is None else decode_value(found, int)
        if due_ms > self.services.clock.now_ms() and not self.journal.owes(step):
            await self.rest(step)
        return cast("T", None)

    def give_up(self, step: str) -> None: ...

    def record(self, step: str, value: Any) -> None: ...

    def halt(self, reason: str) -> NoReturn:
        self.place = self.place or _place_of_caller()
        super().halt(reason)


async def rehearsed(history: History, topology: Topology, services: Services) -> Rehearsed:
    """Lead one run through its journal, and say what it would come to. `services` are those of a scratch engine."""
    change = history.change
    journal = RunJournal(history.records, recalled=True)
    found = journal.find(VERSION)
    version = 1 if found is None else decode_value(found, int)

    def verdict(outcome: Outcome, **more: Any) -> Rehearsed:
        return Rehearsed(
            change.run_id, change.agent, change.status, outcome, version, records=len(history.records), **more
        )

    if change.status == "queued":
        return verdict("skipped", reason="it has not begun")
    if change.status in ENDED and not len(journal):
        return verdict("skipped", reason="its journal is gone")
    gone = "gone" if change.status not in ENDED else "skipped"
    agent = topology.agents.get(change.agent)
    if agent is None or not agent.options.workflow:
        reason = f"the app has no workflow {change.agent!r} any more"
        return verdict(gone, reason=reason, advice="declare it again, or cancel its runs while the app has it")
    cause = unwrapped(history.event).event
    pinned = agent.of_version(version)
    run = None if pinned is None else WorkflowRun(change.run_id, pinned, cause, journal)
    if pinned is None or run is None or not takes(pinned, run.cause.type):
        what = f"version {version} of {agent.name!r}" if run is None else f"type {run.cause.type} for {agent.name!r}"
        advice = f"declare it beside the new one: the app does not start without it ({what})"
        return verdict(gone, reason=f"the app has {what} no more", advice=advice)
    if (machine := machine_of(agent)) is not None:
        outcome, more = led_again(machine, change, cause, history.records)
        return verdict(outcome, **more)
    appender = Appender(
        "rehearsal", topology
    )  # what orders events is said by the agents of the app, not of the scratch engine
    listeners = Listeners(topology, services.committer, services.clock, appender)
    services = replace(services, listeners=listeners)
    operations = _Rehearsal(run, _NoCalls(topology, services, appender), services)
    outcome, more = await _led(run, operations, change)
    if outcome in ("breaks", "fails"):
        more["advice"] = advice_for(agent.name, version, agent.options.version)
    return verdict(outcome, **more)


async def _led(run: WorkflowRun, operations: _Rehearsal, change: RunChange) -> tuple[Outcome, dict[str, Any]]:
    context = WorkflowContext(run, operations.calls, operations.services, 0, operations)
    task = run.task = asyncio.ensure_future(_life(run, context))
    is_at_rest = await _rested(run, operations, task)
    try:
        return _outcome(run, operations, task, change, is_at_rest=is_at_rest)
    finally:
        context.over = True
        run.close()
        await asyncio.wait([task], timeout=CLOSED_WITHIN_S)
        if task.done() and not task.cancelled():
            task.exception()  # looked at: what it raises while it is closed says nothing


async def _life(run: WorkflowRun, context: WorkflowContext) -> bytes:
    owner.set(asyncio.current_task())
    event = decoded_by(decoders_of(run.agent), run.agent, run.cause)
    result = await run.agent.handler(event, context)
    require_annotated(run.agent, result)
    return body_of(result)


async def _rested(run: WorkflowRun, operations: _Rehearsal, task: "asyncio.Future[Any]") -> bool:
    """Wait until the run asks for nothing new; False when its code waits for something that is not known here."""
    began_s = asyncio.get_running_loop().time()
    while not task.done():
        asked = run.journal.asked
        for _ in range(QUIET_TICKS):
            await asyncio.sleep(0)
        if task.done() or run.journal.asked != asked:
            continue
        if run.halted or operations.resting or operations.stays_cut:
            if run.ending is None or run.delivered:
                return True
            run.deliver()
        elif asyncio.get_running_loop().time() - began_s > PATIENCE_S:
            return False
        else:
            await asyncio.wait([task], timeout=0.01)
    return True


def _outcome(
    run: WorkflowRun, operations: _Rehearsal, task: "asyncio.Future[bytes]", change: RunChange, *, is_at_rest: bool
) -> tuple[Outcome, dict[str, Any]]:
    if run.halted:
        return "breaks", {"step": _step_in(run.halted), "reason": run.halted, "place": operations.place}
    if not is_at_rest:
        return "unclear", {"reason": "its code waits for something that is no operation of its context"}
    continues = task.done() and task.cancelled()
    step = operations.resting[0] if operations.resting else "continue_as" if continues else ""
    left = run.journal.unasked() if run.ending is None and not operations.stays_cut else []
    if left:
        goes_on = f"goes on at {step!r}" if step else "ends"
        reason = f"the code {goes_on} without asking for {left[0]!r}, which the journal has"
        return "breaks", {"step": left[0], "reason": reason, "place": _place_of_handler(run.agent)}
    if task.done() and not task.cancelled():
        return _ended(run, task, change)
    if change.status == "succeeded":
        reason = f"the code asks for {step!r}, where the run had ended"
        return "breaks", {"step": step, "reason": reason, "place": _place_of_handler(run.agent)}
    return "fits", {"step": step}


def _ended(run: WorkflowRun, task: "asyncio.Future[bytes]", change: RunChange) -> tuple[Outcome, dict[str, Any]]:
    """Say what it means that the code has come to its end."""
    error = task.exception()
    if error is not None:
        if change.status == "failed" or run.ending is not None:
            return "fits", {}
        return "fails", {"reason": f"the code fails: {reason_of(error)}", "place": place_of(error)}
    if change.status == "succeeded" and task.result() != change.result:
        return "differs", {"reason": "the code returns something else than it had", "result": task.result()}
    return "fits", {"result": task.result()}


def place_of(error: BaseException) -> str:
    """Return file and line of the innermost frame in the user's code."""
    place, trace = "", error.__traceback__
    while trace is not None:
        if is_users(trace.tb_frame.f_code.co_filename):
            place = _shown(trace.tb_frame.f_code.co_filename, trace.tb_lineno)
        trace = trace.tb_next
    return place


def _place_of_caller() -> str:
    """Return file and line of the user's code that is being executed."""
    frame = inspect.currentframe()
    while frame is not None:
        if is_users(frame.f_code.co_filename):
            return _shown(frame.f_code.co_filename, frame.f_lineno)
        frame = frame.f_back
    return ""


def _place_of_handler(agent: Agent) -> str:
    code = getattr(agent.handler, "__code__", None)
    return "" if code is None else _shown(code.co_filename, code.co_firstlineno)


def _shown(file: str, line: int) -> str:
    path, folder = Path(file), Path.cwd()
    return f"{path.relative_to(folder) if path.is_relative_to(folder) else path}:{line}"


def _step_in(reason: str) -> str:
    """Return the operation that a reason names first."""
    return reason.split("'")[1] if reason.count("'") > 1 else ""
