"""What every operation of a workflow goes through: it is asked for in its turn, found in the journal, or begun.

Operations of branches that run side by side are told apart by their scope. Whether an operation comes in the order of its
branch is told by the task: one that the workflow started by itself, beside the branch, keeps no order.
"""

import asyncio
import logging
from collections.abc import Awaitable, Mapping
from contextvars import ContextVar
from typing import Any, NoReturn, Protocol, TypeVar

from msgspec import Raw

from penstock.core.agents.declaration import Agent
from penstock.core.agents.listening import Listening
from penstock.core.agents.run_journal import (
    BYTES_MAX,
    BYTES_NOTED,
    CUT,
    RECORDS_MAX,
    RECORDS_NOTED,
    WARNING_SHARE,
    branch_of,
)
from penstock.core.events.event import Event
from penstock.errors import Diverged, Invalid, LimitReached, Refused
from penstock.runtime.services import Services
from penstock.runtime.steps import WorkflowSteps, scope
from penstock.runtime.workflow_run import SHIELDED, WorkflowRun

T = TypeVar("T")
REFUSED_MAX = 100
CONTINUE = "go on with a journal that begins anew, now and then: await ctx.continue_as(event)"
owner: ContextVar["asyncio.Task[Any] | None"] = ContextVar("penstock_owner", default=None)
_log = logging.getLogger("penstock")


class Calls(Protocol):
    """How a run reaches others."""

    @property
    def stopping(self) -> bool:
        """Whether the engine ends: what a run did not record is done at the next start."""
        ...

    @property
    def agents(self) -> Mapping[str, Agent]:
        """Return the agents of the app."""
        ...

    def taker(self, agent: str, event: Event) -> Agent:
        """Return the agent of that name; `Missing` or `Refused` when it cannot be called with this event."""
        ...

    def send(self, run: WorkflowRun, step: str, agent: str, event: Event) -> None:
        """Emit an event whose handling by `agent` answers step `step` of the run, and record that it was sent."""
        ...

    def start(self, run: WorkflowRun, step: str, agent: str, event: Event, on_end: str) -> None:
        """Emit an event that begins a run of `agent`, and record it: the run may wait for its end later."""
        ...

    def called(self, run: WorkflowRun, step: str) -> str:
        """Return the id of the run that a call or a start of this step leads to."""
        ...

    def emit(self, run: WorkflowRun, step: str, event: Event, key: str | None) -> None:
        """Emit an event, and record the step."""
        ...

    def go_on_as(self, run: WorkflowRun, event: Event) -> None:
        """Have the run go on with another event and a journal that begins anew; `Refused` when it does not take the event."""
        ...

    def listen(self, run: WorkflowRun, each: Listening) -> None:
        """Have the run hear events that come from now on."""
        ...

    def listen_no_more(self, run: WorkflowRun, each: Listening) -> None:
        """Have it hear them no more."""
        ...

    def expose(self, run: WorkflowRun, name: str, body: bytes) -> None:
        """Let others see a value of the run."""
        ...

    def abandon(self, run: WorkflowRun, step: str) -> None:
        """Cancel the handling that a call led to, since nobody waits for it any more."""
        ...


class Operations:
    """The operations of one life of one run."""

    __slots__ = ("calls", "journal", "run", "services", "steps")

    def __init__(self, run: WorkflowRun, calls: Calls, services: Services) -> None:
        self.run = run
        self.calls = calls
        self.services = services
        self.journal = run.journal
        self.steps = WorkflowSteps(run.run_id, run.journal, run.cause, services, run.executing)

    def enter(self) -> None:
        """Let an operation begin, unless the run is over, or too large (C9)."""
        run, journal = self.run, self.journal
        if run.closed or self.calls.stopping:
            run.refused += 1
            if run.refused > REFUSED_MAX:  # code that takes no notice of being cancelled would go round for ever
                raise Refused(f"run {run.run_id} is over", "let CancelledError pass")
            raise asyncio.CancelledError
        task = asyncio.current_task()
        journal.ordered = owner.get() is task
        if run.delivered and task is run.task and task is not None and task.cancelling():
            task.uncancel()  # it was told: what cleans up may use time-outs and groups again
        if journal.size_bytes > BYTES_NOTED or len(journal) > RECORDS_NOTED:
            self._require_room()

    def _require_room(self) -> None:
        """Warn of a journal that is nearly full, and raise `LimitReached` for one that is."""
        run, journal = self.run, self.journal
        if len(journal) > RECORDS_MAX or journal.size_bytes > BYTES_MAX:
            what = "records" if len(journal) > RECORDS_MAX else "bytes"
            now, most = (len(journal), RECORDS_MAX) if what == "records" else (journal.size_bytes, BYTES_MAX)
            raise LimitReached(f"the journal of run {run.run_id}, in {what},", now, most, CONTINUE)
        if not run.warned and journal.share > WARNING_SHARE:
            run.warned = True
            _log.warning(
                "the journal of run %s is %.0f %% full: " + CONTINUE,
                run.run_id,
                journal.share * 100,
            )

    def ask(self, name: str) -> str:
        """Return the id of the operation that is asked for now; a run whose code does not fit its journal halts."""
        self.upcoming(name)
        return self.journal.next_step(scope.get() + name)

    def upcoming(self, name: str) -> tuple[str, bool]:
        """Return the id of the operation that is about to be asked for, and whether the journal has it."""
        self.enter()
        journal = self.journal
        step = journal.upcoming_step(scope.get() + name)
        if journal.is_new:
            return step, False
        try:
            journal.check(step)
        except Diverged as error:
            self.halt(error.reason)
        return step, journal.settled(step) and not self._is_cut_now(step)

    def _is_cut_now(self, step: str) -> bool:
        """Whether the end of the run, which has still to be told to the code, cut this operation off in an earlier life."""
        ending = self.run.ending
        return ending is not None and not self.run.delivered and step in ending.cut

    def halt(self, reason: str) -> NoReturn:
        """Stop the run where it is: its code does not fit its journal."""
        self.run.halt(reason)
        raise asyncio.CancelledError

    def misfit(self, step: str, error: Invalid) -> NoReturn:
        """Stop the run: what is recorded is not of the type that the code expects."""
        self.halt(f"what {step!r} returned does not fit any more ({'; '.join(map(str, error.findings))})")

    async def found(self, step: str) -> Raw | None:
        """Return what the journal has of an operation; None when it may begin now."""
        if self._is_cut_now(step):
            await self.run.stay_cut(step)
        found = self.journal.find(step)
        if found is None and not self.may_begin(step):
            await self.rest(step)
        return found

    def may_begin(self, step: str) -> bool:
        """Whether an operation that is not in the journal is to be begun now."""
        run = self.run
        if not self.journal.is_new and run.is_cut(step):
            return False
        return run.ending is None or run.delivered or SHIELDED in branch_of(step)

    async def rest(self, step: str) -> NoReturn:
        """Wait for what becomes of the run, instead of doing something: it is cut off here, or about to end."""
        run = self.run
        if run.is_cut(step):
            await run.stay_cut(step)
        run.deliver()
        await asyncio.get_running_loop().create_future()
        raise AssertionError(step)

    async def under_way(self, step: str, work: Awaitable[T]) -> T:
        """Do it, known as something that the end of the run would cut off."""
        run = self.run
        run.under_way[step] = None
        try:
            traces = self.services.traces
            return await (work if traces is None else traces.waited(step, work, self.services.clock.now_ms))
        except asyncio.CancelledError:
            self.cut_off(step)
            raise
        finally:
            run.under_way.pop(step, None)

    def cut_off(self, step: str) -> None:
        """Something was cut off where it waited: unless the run or the engine ends, nobody waits for it any more."""
        run = self.run
        if not (run.delivered or run.closed or self.calls.stopping):
            self.give_up(step)

    def give_up(self, step: str) -> None:
        """Record that the workflow does not wait for an operation any more, so that it is never begun again."""
        cut = f"{step}{CUT}"
        if self.journal.find(step) is None and self.journal.find(cut) is None:
            self.steps.record(cut, True)
            if step in self.run.open:
                self.calls.abandon(self.run, step)

    def give_up_below(self, prefix: str) -> None:
        """Give up all that is under way in some branches."""
        for step in [each for each in self.run.under_way if each.startswith(prefix)]:
            self.give_up(step)
        self.journal.forgive(prefix)

    def record(self, step: str, value: Any) -> None:
        """Have the next commit record an operation."""
        self.steps.record(step, value)
