"""One workflow run in memory: its journal, and what it waits for."""

import asyncio
from typing import Protocol

from penstock.core.agents.declaration import Agent
from penstock.core.agents.journal import Journal
from penstock.core.events.envelope import Envelope
from penstock.core.events.event import Event


class WorkflowRun:
    """A run that has begun and not ended. Its journal here is the one that counts; the store follows it."""

    __slots__ = ("_awaited", "agent", "attempt", "cancelled", "cause", "journal", "run_id", "task")

    def __init__(self, run_id: str, agent: Agent, cause: Envelope, journal: Journal) -> None:
        self.run_id = run_id
        self.agent = agent
        self.cause = cause
        self.journal = journal
        self.attempt = 1
        self.cancelled = ""  # why it was cancelled
        self.task: asyncio.Task[None] | None = None
        self._awaited: dict[str, asyncio.Future[None]] = {}

    async def arrival(self, step: str) -> None:
        """Wait until a step that others record is in the journal."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._awaited[step] = future
        try:
            await future
        finally:
            self._awaited.pop(step, None)

    def arrived(self, step: str) -> None:
        """The step was recorded: whoever waits for it goes on."""
        future = self._awaited.get(step)
        if future is not None and not future.done():
            future.set_result(None)

    def next_signal(self, name: str) -> str:
        """Return the step under which the next signal of this name is recorded."""
        number = 0
        while self.journal.find(f"signal:{name}#{number}") is not None:
            number += 1
        return f"signal:{name}#{number}"


class Calls(Protocol):
    """How a run reaches others."""

    def taker(self, agent: str, event: Event) -> Agent:
        """Return the agent of that name; `Missing` or `Refused` when it cannot be called with this event."""
        ...

    def send(self, run: WorkflowRun, step: str, agent: str, event: Event) -> None:
        """Emit an event whose handling by `agent` answers step `step` of the run, and record that it was sent."""
        ...

    def emit(self, run: WorkflowRun, step: str, event: Event, key: str | None) -> None:
        """Emit an event, and record the step."""
        ...
