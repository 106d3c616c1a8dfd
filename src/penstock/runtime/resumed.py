"""Workflow runs that go on in another process than before: those that kill it again and again are counted, and bounded (C6).

What a run does first when it is resumed is what the process before may have died of: its way through the journal, and the
steps that were under way. So each run is marked, durably, before its code is called again, and no suspect any more once it has
come past that: all of it waits, it has ended, or those steps have. Most do within a few ticks of the loop, so that an app which
is killed soon after each start, for whatever reason, gives up none that waits. The mark is the attempt of the run's own row:
nothing is kept that grows with restarts. A run that begins in this process costs nothing.

As with handlings of events, the more often a run died, the fewer such are under way at once.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress

from msgspec.structs import replace

from penstock.core.agents.unit import RunChange
from penstock.runtime.services import Services
from penstock.runtime.suspects import DEATHS_MAX
from penstock.runtime.tasks import Tasks
from penstock.runtime.workflow_run import WorkflowRun

QUIET_TICKS = 8  # of the loop in which a run asks for nothing new: it has come to the end of its journal
LOOK_S = 1.0  # how often those are looked at that execute steps then


class _Marked:
    """A run that goes on again."""

    __slots__ = ("asked", "first", "run", "turn")

    def __init__(self, run: WorkflowRun, turn: asyncio.Semaphore | None) -> None:
        self.run = run
        self.turn = turn
        self.asked = -1  # operations, when it was looked at last
        self.first: frozenset[str] | None = (
            None  # the steps that it executes when it has come to the end of its journal
        )


class Resumed:
    """Those of an engine."""

    def __init__(self, services: Services, tasks: Tasks) -> None:
        self._services = services
        self._tasks = tasks
        self._marked: dict[str, _Marked] = {}
        self._watched = False
        self._news = asyncio.Event()  # a run was marked
        self.waiting = 0  # runs that wait for their turn to go on
        self.turns: Mapping[int, asyncio.Semaphore] = {}  # deaths -> places, shared with handlings of events

    async def may_go_on(self, run: WorkflowRun) -> bool:
        """Mark a run before its code is called again; False when the process died of it too often."""
        if run.deaths >= DEATHS_MAX:
            return False
        turn = self.turns.get(min(run.deaths, max(self.turns, default=0)))
        if turn is not None:
            self.waiting += 1
            await turn.acquire()
            self.waiting -= 1
        if run.closed:  # it was ended, or given to another worker, while it waited for its turn
            _let_go(turn)
            return True
        self._marked[run.run_id] = _Marked(run, turn)
        self._write(run, run.deaths + 1)
        try:
            await self._services.committer.durable()
        except asyncio.CancelledError:
            _let_go(turn)
            raise
        self._news.set()
        if not self._watched:
            self._watched = True
            self._tasks.start(self._watch())
        return True

    def acquitted(self, run: WorkflowRun) -> None:
        """A run has ended, halts, or waits for a person: what is written of it next says that it is no suspect."""
        marked = self._marked.pop(run.run_id, None)
        run.deaths = 0
        if marked is not None:
            _let_go(marked.turn)

    def interrupted(self, run: WorkflowRun) -> None:
        """A run goes on elsewhere: that this process leaves it is not its fault."""
        marked = self._marked.pop(run.run_id, None)
        if marked is not None:
            self._write(run, run.deaths)
            _let_go(marked.turn)

    async def acquit(self) -> None:
        """The process ends as it should: what it cuts off is not to blame."""
        marked = list(self._marked.values())
        for each in marked:
            self.interrupted(each.run)
        if marked:
            await self._services.committer.durable()

    async def _watch(self) -> None:
        while self._marked:
            self._news.clear()
            for _ in range(QUIET_TICKS):
                await asyncio.sleep(0)
            if not self._looked() and not self._news.is_set():
                with suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_S):
                        await self._news.wait()
        self._watched = False

    def _looked(self) -> bool:
        """Acquit those who came past what they did first; whether some are still on their way there."""
        on_the_way = False
        for each in list(self._marked.values()):
            run = each.run
            if each.first is None:
                if each.asked != run.journal.asked:
                    each.asked, on_the_way = run.journal.asked, True
                    continue
                each.first = frozenset(run.executing)
            if each.first.isdisjoint(run.executing):
                self.acquitted(run)
                self._write(run, 0)
        return on_the_way

    def _write(self, run: WorkflowRun, deaths: int) -> None:
        """Write how many processes died of a run, should this one do so too."""
        assert run.known is not None, run.run_id
        run.known = replace(run.known, attempt=run.attempt + deaths)
        self._services.committer.add().runs.append(run.known)


def deaths_of(change: RunChange) -> int:
    """Return how many processes died of a run that is under way."""
    return max(0, change.attempt - 1)


def _let_go(turn: asyncio.Semaphore | None) -> None:
    if turn is not None:
        turn.release()
