"""One workflow run in memory: its journal, what it waits for, and how it is made to end.

- A run that is cancelled gets `CancelledError` where it waits, once. Which operations that cut off is recorded, so that a run
  that is resumed while it cleans up is cut off at the same place, and its clean-up finds its own records again.
- A run whose code does not fit its journal halts: nothing of it is written any more, and what comes for it is kept.
"""

import asyncio
from collections.abc import Callable
from typing import Any, NoReturn

from msgspec import Struct
from msgspec.structs import replace

from penstock.core.agents.declaration import Agent
from penstock.core.agents.exposing import Exposing
from penstock.core.agents.journal import decode_value
from penstock.core.agents.run_journal import CANCEL, CONTINUED, CUT, Continued, RunJournal
from penstock.core.agents.unit import RunChange, Status
from penstock.core.events.envelope import Envelope

SHIELDED = "shielded#"


class Ending(Struct):
    """Why a run is made to end, how it then ended, and which of its operations that cut off."""

    reason: str
    cut: list[str]
    status: Status = "cancelled"


class WorkflowRun:
    """A run that has begun and not ended. Its journal here is the one that counts; the store follows it."""

    __slots__ = (
        "_awaited",
        "_reached",
        "_waiters",
        "agent",
        "attempt",
        "bound",
        "cause",
        "closed",
        "deaths",
        "delivered",
        "ending",
        "executing",
        "exposing",
        "halted",
        "journal",
        "known",
        "lives",
        "on_arrival",
        "open",
        "parked",
        "refused",
        "resumed",
        "run_id",
        "takes",
        "task",
        "under_way",
        "warned",
    )

    def __init__(self, run_id: str, agent: Agent, cause: Envelope, journal: RunJournal) -> None:
        self.run_id = run_id
        self.agent = agent
        self.cause = cause
        if (begins := journal.find(CONTINUED)) is not None:
            continued = decode_value(begins, Continued)
            self.cause = replace(cause, type=continued.type, data=continued.data)
        self.journal = journal
        self.attempt = 1
        self.task: asyncio.Task[Any] | None = None
        found = journal.find(CANCEL)
        self.ending: Ending | None = None if found is None else decode_value(found, Ending)
        self.delivered = False  # whether the code has been told that the run ends
        self.closed = False  # no operation begins any more
        self.bound: asyncio.Task[None] | None = None  # ends it when its time is up
        self.parked = False  # it has no place among the living yet
        self.lives = False  # it has one
        self.resumed = False  # an earlier process had begun it
        self.deaths = 0  # how many processes died of it
        self.known: RunChange | None = None  # what was written of it last
        self.executing: dict[str, asyncio.Future[None] | None] = {}  # steps under way, and who waits for their end
        self.halted = ""  # why the code does not fit the journal
        self.warned = False
        self.refused = 0  # operations that were asked for after the end
        self.under_way: dict[str, None] = {}  # operations that have begun and not ended
        self.open: dict[str, str] = journal.open_calls() if len(journal) else {}
        self.exposing = Exposing()
        for step in () if self.ending is None else self.ending.cut:
            if not step.endswith("/result"):  # they were told with the cancellation itself
                self.open.pop(step, None)
        self.on_arrival: Callable[[str], None] | None = None  # told of each record that others make
        self.takes: Callable[[int], bool] | None = None  # whether a task of a state machine waits for who has its token
        self._waiters: dict[str, dict[str, asyncio.Future[str]]] = {}
        self._awaited: dict[str, list[asyncio.Future[None]]] = {}
        self._reached: set[str] = set()

    async def arrival(self, step: str) -> None:
        """Wait until a record that others make is in the journal."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = self._awaited.setdefault(step, [])
        waiting.append(future)
        try:
            await future
        finally:
            waiting.remove(future)
            if not waiting:
                self._awaited.pop(step, None)

    def arrived(self, step: str) -> None:
        """The step was recorded: whoever waits for it goes on."""
        if self.on_arrival is not None:
            self.on_arrival(step)
        for future in self._awaited.get(step, ()):
            if not future.done():
                future.set_result(None)

    def waiters(self, signal: str) -> "dict[str, asyncio.Future[str]]":
        """Return the operations that wait for a signal, in their order."""
        return self._waiters.setdefault(signal, {})

    def is_cut(self, step: str) -> bool:
        """Whether an operation was cut off in an earlier life, by the end of the run or by who waited for it."""
        return (self.ending is not None and step in self.ending.cut) or self.journal.find(f"{step}{CUT}") is not None

    async def stay_cut(self, step: str) -> NoReturn:
        """Wait to be cut off, as this operation was before."""
        ending = self.ending
        if ending is not None and not self.delivered and step in ending.cut:
            self._reached.add(step)
            if self._reached.issuperset(ending.cut):
                self.deliver()
        await asyncio.get_running_loop().create_future()
        raise AssertionError(step)

    def deliver(self) -> None:
        """Tell the code that the run ends."""
        if not self.delivered and self.task is not None:
            self.delivered = True
            self.task.cancel()

    def close(self) -> None:
        """Let no operation begin any more, and end what is under way."""
        self.closed = True
        if self.task is not None:
            self.task.cancel()

    def halt(self, reason: str) -> None:
        """Stop: the code does not fit the journal."""
        if not self.halted:
            self.halted = reason
            self.close()
