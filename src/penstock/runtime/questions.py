"""What waits for people: steps whose outcome nobody knows, and approvals; and what they decide.

A question is a mark in the journal of its run, which is `asking` meanwhile. A decision is an event; it is noted by the commit
that is done with that event, and used up by the commit that records what became of the step: no restart loses either. The
first decision that is one counts; who waits says which are.
"""

import asyncio
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Literal, NamedTuple, Protocol

import msgspec
from msgspec import Struct

from penstock.core.agents.approvals import NAME, Answered, approval_id, findings_of_answer, told_answer
from penstock.core.agents.attempts import OPEN, Asking, OpenStep, open_questions
from penstock.core.agents.journal import StepRecord, decode_value, standing
from penstock.core.agents.run_journal import named_in
from penstock.core.agents.unit import RunChange
from penstock.errors import Invalid, Missing, PenstockError, Refused
from penstock.ports.retention import ENDED
from penstock.ports.state import RunFilter, StoredRun
from penstock.runtime.committer import Committer
from penstock.runtime.memory import Memory
from penstock.runtime.notes import Notes

Outcome = Literal["done", "retry", "fail"]
_ROUND = re.compile(r"^\d+~")  # of a run that continued, before the step
RESUMED_WITHIN_S = 2.0
LOOKED_AT_MAX = 10_000  # runs that ask, in one listing


class Decision(Struct, frozen=True):
    """What a person said. Of a call: it was done, and returned `value`; is to be tried again; or has failed."""

    outcome: Literal["done", "retry", "fail", "approve", "reject"]
    value: Any = None
    by: str = ""
    reason: str = ""
    at_ms: int = 0

    @property
    def answered(self) -> Answered:
        """Return it as the answer to an approval."""
        return Answered(self.outcome == "approve", self.value, self.by, self.reason, self.at_ms)


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


class AskedApproval(Struct, frozen=True):
    """An approval that waits for an answer."""

    id: str
    run_id: str
    step: str
    agent: str
    tenant: str
    title: str
    asked_ms: int
    payload: Any = None
    options: list[Any] | None = None  # the value is one of them
    schema: dict[str, Any] | None = None  # the value is of this type, in JSON schema
    due_ms: int | None = None  # when it ends without an answer
    reason: str = ""  # why the last answer was none


Check = Callable[[Decision], None]


def of_a_call(decision: Decision) -> None:
    """Raise `Refused` for what is no decision about a call."""
    _require_kind(None, decision)


class Waiter(NamedTuple):
    """A run in memory that waits for a decision."""

    tenant: str
    check: Check
    future: "asyncio.Future[None]"


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
        self._waiting: dict[str, dict[str, Waiter]] = {}
        self._coming: dict[str, asyncio.Event] = {}  # runs that an answer came for before they asked
        self.goes_on: Callable[[str], bool] = _never  # whether a run is executed here
        self.on_asking: Callable[[str, bool], None] = _nobody  # a run began to wait for people, or goes on

    async def decision(
        self, tenant: str, run_id: str, step: str, check: Check = of_a_call, *, within_s: float | None = None
    ) -> Decision | None:
        """Return what was decided, now or before, or None when the time is up.

        The caller records in the same commit what follows from it. `check` raises for what is none.
        """
        notes = await Notes(tenant, run_id, self._memory, self._committer).hold()
        name = f"{step}/decided"
        try:
            with suppress(TimeoutError):  # somebody may have been as quick
                async with asyncio.timeout(within_s):
                    while notes.find(name) is None:
                        waiter = Waiter(tenant, check, asyncio.get_running_loop().create_future())
                        await self._arrival(waiter, run_id, step)
            body = notes.find(name)
            notes.write(name, None)
        finally:
            notes.let_go()
        return None if body is None else msgspec.msgpack.decode(body, type=Decision)

    async def decide(self, tenant: str, run_id: str, step: str, decision: Decision) -> None:
        """Note a decision with the commit that is being collected; the first one counts."""
        if step not in self._waiting.get(run_id, {}):
            await self._committer.durable()  # an earlier decision may have been used up, and the store not show it yet
            await self.require_asked(tenant, run_id, step, decision)  # asked by a process before this one
            if await self._resumed(run_id, step, decision) and step not in self._waiting.get(run_id, {}):
                await self._committer.durable()  # its time may have been up meanwhile
                await self.require_asked(tenant, run_id, step, decision)
        notes = await Notes(tenant, run_id, self._memory, self._committer).hold()
        waiting = self._waiting.get(run_id, {}).get(step)
        try:
            if waiting is not None and waiting.tenant != tenant:
                raise _nothing_asked(run_id, step)
            before = notes.find(f"{step}/decided")
            if before is not None:
                raise _decided_already(run_id, step, before)
            if waiting is not None:
                waiting.check(decision)
            notes.write(f"{step}/decided", msgspec.msgpack.encode(decision))
        finally:
            notes.let_go()
        if waiting is not None and not waiting.future.done():
            waiting.future.set_result(None)

    async def _resumed(self, run_id: str, step: str, decision: Decision) -> bool:
        """Wait a little for a run that is being resumed to come to what it asks: it says what an answer must be.

        False when it does not go on here.
        """
        if decision.outcome not in ("approve", "reject") or not self.goes_on(run_id):
            return False
        with suppress(TimeoutError):
            async with asyncio.timeout(RESUMED_WITHIN_S):
                while step not in self._waiting.get(run_id, {}) and self.goes_on(run_id):
                    coming = self._coming.setdefault(run_id, asyncio.Event())
                    coming.clear()
                    await coming.wait()
        self._coming.pop(run_id, None)
        return True

    async def withdraw(self, tenant: str, run_id: str, step: str) -> None:
        """Nobody waits for a decision any more: one that is noted, and was not used up, goes."""
        notes = await Notes(tenant, run_id, self._memory, self._committer).hold()
        notes.write(f"{step}/decided", None)
        notes.let_go()

    def abandon(self, run_id: str) -> None:
        """The attempt that asks has ended beside its questions: the next one asks them again."""
        for waiting in self._waiting.get(run_id, {}).values():
            waiting.future.cancel()

    async def require_asked(self, tenant: str, run_id: str, step: str, decision: Decision | None = None) -> RunChange:
        """Return the run of a step that waits for a decision; `Missing` when none does, `Refused` when it has one.

        What can be said of the decision without the code that asked is said too.
        """
        stored = await self._store.run(run_id)
        if stored is None or stored.change.tenant != tenant:
            raise _nothing_asked(run_id, step)
        bare = _ROUND.sub("", step)
        known = None if stored.change.status in ENDED else open_questions(stored.records).get(bare)
        if known is None or (known.asking is not None and named_in(stored.records, bare) != step):
            raise _not_asked_any_more(stored, step)
        notes = await Notes(tenant, run_id, self._memory, self._committer).hold()
        decided = notes.find(f"{step}/decided")
        notes.let_go()
        if decided is not None:
            raise _decided_already(run_id, step, decided)
        if decision is not None:
            _require_kind(known.asking, decision)
            findings = [] if known.asking is None else findings_of_answer(decision.answered, known.asking.options)
            if findings:
                raise Invalid("the answer", tuple(findings))
        return stored.change

    async def listed(self, *, tenant: str | None = None, limit: int = 50) -> list[Question]:
        """Return the steps of which nobody knows whether they happened."""
        return await questions_of(self._store, tenant=tenant, limit=limit)

    async def approvals(self, *, tenant: str | None = None, limit: int = 50) -> list[AskedApproval]:
        """Return the approvals that wait for an answer."""
        return await approvals_of(self._store, tenant=tenant, limit=limit)

    async def _arrival(self, waiter: Waiter, run_id: str, step: str) -> None:
        waiting = self._waiting.setdefault(run_id, {})
        waiting[step] = waiter
        self.on_asking(run_id, True)
        if run_id in self._coming:
            self._coming[run_id].set()
        try:
            await waiter.future
        finally:
            del waiting[step]
            if not waiting:
                del self._waiting[run_id]
                self.on_asking(run_id, False)


async def questions_of(store: Asked, *, tenant: str | None = None, limit: int = 50) -> list[Question]:
    """Return the steps of which nobody knows whether they happened, those of the newest runs first."""
    found = await _open(store, tenant, limit, is_approval=False)
    return [
        Question(
            change.run_id,
            step,
            change.agent,
            change.tenant,
            known.call,
            known.reason,
            f"{change.run_id}/{named}",
            known.asked_ms,
        )
        for change, step, named, known in found
    ]


async def approvals_of(store: Asked, *, tenant: str | None = None, limit: int = 50) -> list[AskedApproval]:
    """Return the approvals that wait for an answer, those of the newest runs first."""
    return [
        AskedApproval(
            approval_id(change.run_id, named),
            change.run_id,
            step,
            change.agent,
            change.tenant,
            known.asking.title,
            known.asked_ms,
            known.asking.payload,
            known.asking.options,
            known.asking.schema,
            known.asking.due_ms or None,
            known.reason,
        )
        for change, step, named, known in await _open(store, tenant, limit, is_approval=True)
        if known.asking is not None
    ]


async def _open(
    store: Asked, tenant: str | None, limit: int, *, is_approval: bool
) -> list[tuple[RunChange, str, str, OpenStep]]:
    """Return what waits for people: run, step, the step with its round, and what is known.

    Runs that ask for something else are looked at too: there may be many.
    """
    looked_at = limit
    while True:
        changes = await store.runs(RunFilter(tenant, None, "asking", looked_at))
        found: list[tuple[RunChange, str, str, OpenStep]] = []
        for change in changes:
            stored = await store.run(change.run_id)
            records = () if stored is None else stored.records
            for step, known in open_questions(records).items():
                if (known.asking is not None) == is_approval:
                    found.append((change, step, named_in(records, step), known))
            if len(found) >= limit:
                return found[:limit]
        if len(changes) < looked_at or looked_at >= LOOKED_AT_MAX:
            return found
        looked_at = min(2 * looked_at + 100, LOOKED_AT_MAX)


def _require_kind(asking: Asking | None, decision: Decision) -> None:
    """Refuse an answer to another kind of question."""
    if (asking is not None) != (decision.outcome in ("approve", "reject")):
        hint = "done, retry or fail" if asking is None else "approve or reject it"
        raise Refused(f"{decision.outcome!r} is no answer to what is asked", hint)


def _decided_already(run_id: str, step: str, body: bytes) -> PenstockError:
    decision = msgspec.msgpack.decode(body, type=Decision)
    if decision.outcome in ("approve", "reject"):
        return _answered_already(run_id, step, decision.answered)
    return Refused(f"step {step} of run {run_id} is decided already", "nothing is left to do")


def _answered_already(run_id: str, step: str, answered: Answered) -> PenstockError:
    return Refused(f"approval {run_id}/{step} is answered already ({told_answer(answered)})", "nothing is left to do")


def _not_asked_any_more(stored: StoredRun, step: str) -> PenstockError:
    """Return what to say of a step that does not wait: it was never asked, has its answer, or was withdrawn."""
    known: dict[str, StepRecord] = {each.step: each for each in standing(stored.records)}
    run_id, named = stored.change.run_id, step
    step = _ROUND.sub("", named)
    if step.rpartition("/")[2].startswith(f"{NAME}#") and named_in(stored.records, step) != named:
        return Refused(f"approval {run_id}/{named} is withdrawn: its run has continued", "nothing is left to do")
    opened = known.get(f"{step}{OPEN}")
    if opened is None or decode_value(opened.value, OpenStep).asking is None:
        return _nothing_asked(run_id, step)
    if step in known:
        return _answered_already(run_id, step, decode_value(known[step].value, Answered))
    why = f"its run is {stored.change.status}" if stored.change.status in ENDED else "its run waits for it no more"
    return Refused(f"approval {run_id}/{step} is withdrawn: {why}", "nothing is left to do")


def _nothing_asked(run_id: str, step: str) -> PenstockError:
    hint = "see `penstock questions list`, and `penstock approvals list`"
    return Missing(f"a question about step {step!r} of run {run_id!r}", hint)


def _nobody(run_id: str, asking: bool) -> None:  # noqa: FBT001 - the callback's own form
    """Stand in for an engine that is not running yet."""


def _never(run_id: str) -> bool:
    """Stand in for an engine that is not running yet."""
    return not run_id
