"""One life of a state machine's run: what comes for it goes to the reducer, and what that wants done is done.

- What has happened is in the journal before the reducer sees it, in the same order and with the same time. So a run that is
  resumed is made again from its journal: the same history, and the same commands; those that nobody answered are carried out.
- Its timers need no record until they fire: when they are due follows from what has happened.
- A task that nobody waits for any more is recorded as given up with the cancellation of what it led to, and is not begun again.
"""

import asyncio
import heapq
from collections import deque
from typing import Any

from penstock.core.agents.journal import encode_value
from penstock.core.agents.machine_records import (
    CALL,
    NOTHING,
    SIGNALLED,
    TASK,
    TIMER,
    Awaited,
    Outcome,
    happening_of,
    note,
    replayed,
    waits_for_token,
)
from penstock.core.agents.run_journal import CANCEL
from penstock.core.agents.unit import Status
from penstock.core.asl.happenings import (
    AnyCommand,
    CancelTask,
    CancelTimer,
    Failed,
    Started,
    StartTimer,
    Succeeded,
)
from penstock.core.asl.program import Program
from penstock.core.asl.reducer import advance
from penstock.core.asl.values import Json
from penstock.runtime.machine_work import MachineWork
from penstock.runtime.operations import Operations
from penstock.runtime.outcomes import REASON_CHARS_MAX
from penstock.runtime.workflow_run import Ending

LOOK_AGAIN_S = 60.0  # how often the clock on the wall is looked at while a timer is far off
EARLY_S = 1e-6


class MachineRun:
    """Leads one run."""

    def __init__(self, operations: Operations, program: Program, begins: Started) -> None:
        self._operations = operations
        self._run = operations.run
        self._journal = operations.journal
        self._services = operations.services
        self._inbox: deque[str] = deque()  # records that the reducer has not seen
        self._woken: asyncio.Future[None] | None = None
        self._timers: list[tuple[float, int, int]] = []  # when it is due on the loop's clock, its number, on the wall
        self._awaited: dict[int, Awaited]
        known = self._journal.records() if len(self._journal) > 1 else ()  # a new run has but the record that it began
        self.state, self._awaited = replayed(program, begins, known)
        self._journal.forgive("")  # the order of what it asks for follows from its records
        self._told: set[int] = set()  # tasks whose end was told by who has the token
        self._run.on_arrival, self._run.takes = self.came, self.takes
        self._work = MachineWork(operations, self)

    async def led(self) -> Json:
        """Go on until the run is over, and return its output; one that did not succeed has an ending, and returns why."""
        try:
            self._go_on()
            while not self.state.is_over:
                await self._news()
                self._operations.enter()
                self._catch_up()
        except asyncio.CancelledError:
            if self._run.ending is None or not self._run.delivered or self._journal.find(CANCEL) is None:
                raise
            self._take(CANCEL)
        finally:
            self._run.on_arrival = self._run.takes = None
            self._work.stop()
        return self._ended()

    def came(self, step: str) -> None:
        """Something was recorded that happened to the run."""
        self._inbox.append(step)
        if step.startswith(SIGNALLED):
            ended = happening_of(self._journal.whole(step), self._awaited)
            if isinstance(ended, Succeeded | Failed):
                self._told.add(ended.id)
        self._wake()

    def takes(self, number: int) -> bool:
        """Whether a task waits for what the holder of its token says."""
        self._catch_up()  # what was recorded before may have ended it
        return number not in self._told and waits_for_token(self.state, self._awaited, number)

    def record(self, step: str, value: bytes, at_ms: int | None = None) -> None:
        """Record something that happens now."""
        now_ms = self._services.clock.now_ms() if at_ms is None else at_ms
        self._journal.record(step, value, now_ms)
        self._services.committer.recorded(self._run.run_id, self._journal)
        self.came(step)

    def ends(self, number: int, outcome: Outcome) -> None:
        """Record how a task, a reading or a writing ended."""
        step = f"{TASK}{number}"
        self.record(step, encode_value(outcome, step))

    def _go_on(self) -> None:
        """Carry out what earlier lives left open."""
        for step in [each for each in self._run.open if each.startswith(CALL)]:
            if int(step.rpartition("#")[2]) not in self._awaited:
                self._operations.give_up(step)
        for command in list(self._awaited.values()):
            self._do(command)

    def _catch_up(self) -> None:
        while self._inbox and not self.state.is_over:
            self._take(self._inbox[0])
            self._inbox.popleft()

    def _take(self, step: str) -> None:
        happening = happening_of(self._journal.whole(step), self._awaited)
        if happening is None or self.state.is_over:
            return
        commands = advance(self.state, happening)
        number = getattr(happening, "id", None)
        if number is not None and number not in self.state.works:
            self._awaited.pop(number, None)
        note(self._awaited, commands)
        for command in commands:
            self._do(command)

    def _do(self, command: AnyCommand) -> None:
        match command:
            case StartTimer():
                delay_s = max(0.0, (command.at_ms - self._services.clock.now_ms()) / 1000)
                due_s = asyncio.get_running_loop().time() + delay_s
                heapq.heappush(self._timers, (due_s, command.id, command.at_ms))
            case CancelTimer():
                self._awaited.pop(command.id, None)
            case CancelTask():
                asked = self._awaited.pop(command.id, None)
                if asked is not None:
                    self._work.give_up(asked)
            case _ if command.id in self.state.works:  # it was not given up in the same breath
                self._work.begin(command)
            case _:
                pass

    # waiting

    async def _news(self) -> None:
        """Return when something has happened."""
        while not self._inbox and not self.state.is_over:
            self._work.require_sound()
            alarm = self._alarm()
            self._woken = asyncio.get_running_loop().create_future()
            try:
                await self._woken
            finally:
                self._woken = None
                if alarm is not None:
                    alarm.cancel()
            if self._timers and not self._inbox:
                self._fire()

    def _wake(self) -> None:
        if self._woken is not None and not self._woken.done():
            self._woken.set_result(None)

    def wake(self) -> None:
        """Have the run look whether something went wrong."""
        self._wake()

    def _alarm(self) -> asyncio.TimerHandle | None:
        while self._timers and self._timers[0][1] not in self.state.timers:
            heapq.heappop(self._timers)
        if not self._timers:
            return None
        loop = asyncio.get_running_loop()
        return loop.call_later(min(max(0.0, self._timers[0][0] - loop.time()), LOOK_AGAIN_S), self._wake)

    def _fire(self) -> None:
        """Record the timers that are due: by the loop's clock, if that on the wall was set back, or by that on the wall."""
        now_s, now_ms = asyncio.get_running_loop().time(), self._services.clock.now_ms()
        while self._timers and (self._timers[0][0] <= now_s + EARLY_S or self._timers[0][2] <= now_ms):
            _, number, at_ms = heapq.heappop(self._timers)
            if number in self.state.timers:
                self.record(f"{TIMER}{number}", NOTHING, max(now_ms, at_ms))

    # the end

    def _ended(self) -> Json:
        state, run = self.state, self._run
        if state.status == "SUCCEEDED":
            return state.result
        failure = state.failure
        told: dict[str, Any] = {"status": state.status}
        if failure is not None:
            told |= {"error": failure.error, "cause": failure.cause}
        if run.ending is None:
            run.ending = Ending(reason_of(told), [], _STATUS.get(state.status, "failed"))
            run.delivered = True
        return told


_STATUS: dict[str, Status] = {"ABORTED": "cancelled"}
_UNTOLD = {"TIMED_OUT": "States.Timeout", "ABORTED": "Aborted", "FAILED": "Failed"}


def reason_of(told: dict[str, Any]) -> str:
    """Return why a run did not succeed, as the reason that is kept of any run: `ERROR: CAUSE`."""
    error, cause = told.get("error") or _UNTOLD[told["status"]], told.get("cause") or ""
    return f"{error}: {cause}"[:REASON_CHARS_MAX].encode(errors="backslashreplace").decode()
