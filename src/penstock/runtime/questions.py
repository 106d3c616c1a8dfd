"""Steps whose outcome nobody knows, and people who decide what it was.

A question is a mark in the journal of its run, which is `asking` meanwhile. A decision is an event; it is noted by the commit
that is done with that event, and used up by the commit that records what became of the step: no restart loses either.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol

import msgspec
from msgspec import Struct

from penstock.core.agents.attempts import open_questions
from penstock.core.agents.run_journal import named_in
from penstock.core.agents.unit import RunChange
from penstock.errors import Missing, Refused
from penstock.ports.state import RunFilter, StoredRun
from penstock.runtime.committer import Committer
from penstock.runtime.memory import Memory
from penstock.runtime.notes import Notes

Outcome = Literal["done", "retry", "fail"]


class Decision(Struct, frozen=True):
    """What a person said: it was done, and returned `value`; it is to be tried again; it has failed."""

    outcome: Outcome
    value: Any = None
    by: str = ""


class Question(Struct, frozen=True):
    """A step that waits for a decision."""

    run_id: str
    step: str
    agent: str
    tenant: str
    call: str  # the tool with its arguments
    reason: str  # why nobody knows
    idempotency_key: str
    asked_ms: int


class Asked(Protocol):
    """Where questions are found."""

    async def runs(self, which: RunFilter) -> Sequence[RunChange]: ...
    async def run(self, run_id: str) -> StoredRun | None: ...


class Questions:
    """The questions of an engine."""

    def __init__(self, memory: Memory, committer: Committer, store: Asked) -> None:
        self._memory = memory
        self._committer = committer
        self._store = store
        self._waiting: dict[str, dict[str, asyncio.Future[None]]] = {}
        self.on_asking: Callable[[str, bool], None] = _nobody  # a run began to wait for people, or goes on

    async def decision(self, tenant: str, run_id: str, step: str) -> Decision:
        """Return what was decided, now or before; the caller records in the same commit what follows from it."""
        notes = await Notes(tenant, run_id, self._memory, self._committer).hold()
        name = f"{step}/decided"
        try:
            while (body := notes.find(name)) is None:
                await self._arrival(run_id, step)
            notes.write(name, None)
        finally:
            notes.let_go()
        return msgspec.msgpack.decode(body, type=Decision)

    async def decide(self, tenant: str, run_id: str, step: str, decision: Decision) -> None:
        """Note a decision with the commit that is being collected; the first one counts."""
        if step not in self._waiting.get(run_id, {}):
            await self._committer.durable()  # an earlier decision may have been used up, and the store not show it yet
            await self.require_asked(tenant, run_id, step)  # asked by a process before this one
        notes = await Notes(tenant, run_id, self._memory, self._committer).hold()
        try:
            if notes.find(f"{step}/decided") is not None:
                raise Refused(f"step {step} of run {run_id} is decided already", "nothing is left to do")
            notes.write(f"{step}/decided", msgspec.msgpack.encode(decision))
        finally:
            notes.let_go()
        waiting = self._waiting.get(run_id, {}).get(step)
        if waiting is not None and not waiting.done():
            waiting.set_result(None)

    def abandon(self, run_id: str) -> None:
        """The attempt that asks has ended beside its questions: the next one asks them again."""
        for future in self._waiting.get(run_id, {}).values():
            future.cancel()

    async def require_asked(self, tenant: str, run_id: str, step: str) -> RunChange:
        """Return the run of a step that waits for a decision; `Missing` when none does, `Refused` when it has one."""
        stored = await self._store.run(run_id)
        if stored is None or stored.change.tenant != tenant or step not in open_questions(stored.records):
            raise Missing(f"a question about step {step!r} of run {run_id!r}", "see `penstock questions list`")
        notes = await Notes(tenant, run_id, self._memory, self._committer).hold()
        decided = notes.find(f"{step}/decided")
        notes.let_go()
        if decided is not None:
            raise Refused(f"step {step} of run {run_id} is decided already", "nothing is left to do")
        return stored.change

    async def listed(self, *, tenant: str | None = None, limit: int = 50) -> list[Question]:
        """Return the steps that wait for people."""
        return await questions_of(self._store, tenant=tenant, limit=limit)

    async def _arrival(self, run_id: str, step: str) -> None:
        waiting = self._waiting.setdefault(run_id, {})
        waiting[step] = asyncio.get_running_loop().create_future()
        if len(waiting) == 1:
            self.on_asking(run_id, True)
        try:
            await waiting[step]
        finally:
            del waiting[step]
            if not waiting:
                del self._waiting[run_id]
                self.on_asking(run_id, False)


async def questions_of(store: Asked, *, tenant: str | None = None, limit: int = 50) -> list[Question]:
    """Return the steps that wait for people, those of the newest runs first."""
    found: list[Question] = []
    for change in await store.runs(RunFilter(tenant, None, "asking", limit)):
        stored = await store.run(change.run_id)
        records = () if stored is None else stored.records
        for step, known in open_questions(records).items():
            key = f"{change.run_id}/{named_in(records, step)}"
            found.append(
                Question(
                    change.run_id, step, change.agent, change.tenant, known.call, known.reason, key, known.asked_ms
                )
            )
    return found[:limit]


def _nobody(run_id: str, asking: bool) -> None:  # noqa: FBT001 - the callback's own form
    """Stand in for an engine that is not running yet."""
