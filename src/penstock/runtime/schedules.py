"""The agent that keeps the schedules: it hears that one is due, appends its events, and sets the timer of the next due time.

All of that is one commit (C3), and the timer is durable, so a due time fires once whatever crashes. Where a schedule is lies in
the agent's values, under the schedule's name. One that the app does not declare any more is due once more, and then never.
"""

import asyncio
import logging
from collections.abc import Collection, Mapping
from hashlib import blake2b
from typing import NamedTuple, Protocol

from msgspec.structs import replace

from penstock.core.agents.declaration import Agent, Options, declare
from penstock.core.agents.journal import decode_value
from penstock.core.agents.policy import Retry
from penstock.core.events.envelope import run_id
from penstock.core.events.event import Event
from penstock.core.events.partitions import partition_of
from penstock.core.timing.firings import ScheduleState, begun, came_due, paused, resumed
from penstock.core.timing.plans import Plan
from penstock.core.timing.schedule_events import (
    ScheduleBegan,
    ScheduleDue,
    SchedulePaused,
    ScheduleResumed,
    ScheduleTriggered,
)
from penstock.core.timing.timers import When, moment_text, named_timer_id
from penstock.errors import Missing
from penstock.ports.store import Store
from penstock.runtime.appending import Appender
from penstock.runtime.context import Context
from penstock.runtime.delays import Delayed, chain_id
from penstock.runtime.outcomes import reason_of
from penstock.runtime.topology import Topology

NAME = "schedules"
NEXT = "next"  # the timer of a schedule
STATE = "state"
_ENDED = ("succeeded", "failed", "cancelled")
_log = logging.getLogger("penstock")


class Sender(Protocol):
    """The front door, as far as schedules use it."""

    @property
    def appender(self) -> Appender: ...
    async def send(self, event: Event, *, tenant: str) -> str: ...


class KeptSchedule(NamedTuple):
    """A schedule of the app, and where it is."""

    plan: Plan
    state: ScheduleState


class Values(Protocol):
    """Where the states lie."""

    async def values(self, tenant: str, agent: str, key: str) -> Mapping[str, bytes]: ...


async def state_of(plan: Plan, values: Values) -> ScheduleState:
    """Return where a schedule is, as the store knows it."""
    body = (await values.values(plan.tenant, NAME, plan.name)).get(STATE)
    return ScheduleState() if body is None else decode_value(body, ScheduleState)


class Schedules:
    """The schedules of an app."""

    def __init__(self, plans: Mapping[str, Plan]) -> None:
        self.plans = plans
        self.begun = asyncio.Event()  # each schedule has been told of its plan
        self._store: Store
        self._topology: Topology

    def agent(self) -> Agent:
        """Return the agent that keeps them."""
        return declare(self.hear, NAME, Options(retry=Retry(attempts_max=8)))

    def over(self, store: Store, topology: Topology) -> None:
        """Keep them in a store from now on."""
        self._store, self._topology = store, topology

    async def begin(self, front: Sender, partitions: Collection[int]) -> None:
        """Have each schedule follow its plan, where it does not yet: those in partitions that were just taken over."""
        for plan in self.plans.values():
            partition = partition_of(plan.tenant, plan.name, front.appender.partitions)
            if partition not in partitions:
                continue
            state = await state_of(plan, self._store)
            timer_id = named_timer_id(plan.tenant, NAME, plan.name, NEXT)
            waits = state.next_ms == 0 or await self._store.timer(timer_id) is not None
            if (state.fingerprint != plan.fingerprint or not waits) and partition in front.appender.owned:
                await front.send(ScheduleBegan(schedule=plan.name), tenant=plan.tenant)
        self.begun.set()

    async def kept(self) -> list[KeptSchedule]:
        """Return all of them with where they are."""
        return [KeptSchedule(plan, await state_of(plan, self._store)) for plan in self.plans.values()]

    def require(self, name: str) -> Plan:
        """Return a plan by its name; `Missing` when the app declares none of that name."""
        plan = self.plans.get(name)
        if plan is None:
            raise Missing(f"the schedule {name!r}", f"this app has {', '.join(self.plans) or 'none'}")
        return plan

    async def hear(
        self, said: ScheduleBegan | ScheduleDue | SchedulePaused | ScheduleResumed | ScheduleTriggered, ctx: Context
    ) -> None:
        plan = self.plans.get(said.schedule)
        if plan is None or plan.tenant != ctx.tenant:
            if isinstance(said, ScheduleBegan | ScheduleDue):
                # The app does not declare it any more. Should it come back, it counts from then.
                gone = await ctx.values.get(STATE, ScheduleState(), to=ScheduleState)
                await ctx.values.set(STATE, replace(gone, fingerprint="", next_ms=0))
                return
            raise Missing(f"the schedule {said.schedule!r}", f"this app has {', '.join(self.plans) or 'none'}")
        before = await ctx.values.get(STATE, ScheduleState(), to=ScheduleState)
        now_ms = ctx.now_ms()
        match said:
            case ScheduleBegan():
                state = begun(plan, before, now_ms)
            case SchedulePaused():
                state = paused(before)
            case ScheduleResumed():
                state = resumed(plan, before, now_ms)
            case ScheduleDue():
                state = await self._fired(plan, before, said.due_ms, ctx)
            case ScheduleTriggered():
                state = _appended(plan, before, now_ms, f"{plan.chain(now_ms)}/{_digest(ctx.run_id)}", ctx)
        if state.next_ms != before.next_ms or isinstance(said, ScheduleBegan):
            _wait_for(plan, state, ctx)
        if state != before:
            await ctx.values.set(STATE, state)

    async def _fired(self, plan: Plan, before: ScheduleState, due_ms: int, ctx: Context) -> ScheduleState:
        is_busy = plan.overlap == "skip" and await self._is_busy(before.last_event)
        state, firings = came_due(plan, before, due_ms, ctx.now_ms(), is_busy=is_busy)
        if state.note_ms != before.note_ms:
            _log.warning("schedule %s: %s", plan.name, state.note)
        for each in firings:
            state = _appended(plan, state, each, plan.chain(each), ctx)
        return state

    async def _is_busy(self, event_id: str) -> bool:
        """Whether a run of the event that fired last has not ended."""
        recorded = await self._store.event(event_id) if event_id else None
        kind = None if recorded is None else self._topology.of_type(recorded.event.type)
        for agent in () if kind is None else self._topology.takers(kind.event):
            stored = await self._store.run(run_id(event_id, agent.name))
            if not agent.options.batch and stored is not None and stored.change.status not in _ENDED:
                return True
        return False


def _appended(plan: Plan, state: ScheduleState, due_ms: int, chain: str, ctx: Context) -> ScheduleState:
    """Emit the event of a due time; one that cannot be made is told, and stops nothing."""
    try:
        event = plan.event_at(due_ms)
        if not isinstance(event, Event):  # pyright: ignore[reportUnnecessaryIsInstance] - users without a type checker
            raise TypeError(f"{type(event).__name__} is no event")  # noqa: TRY301 - told as what the function raises is
    except Exception as error:  # noqa: BLE001 - it is the user's code: it may raise anything
        note = f"no event was made for {moment_text(due_ms)}: {reason_of(error)}"
        _log.warning("schedule %s: %s", plan.name, note)
        return replace(state, note=note, note_ms=ctx.now_ms())
    ctx.later.add(Delayed(event, None, None, chain=chain))
    return replace(state, last_event=chain_id(ctx.tenant, chain))


def _wait_for(plan: Plan, state: ScheduleState, ctx: Context) -> None:
    if state.next_ms == 0:
        ctx.cancel_timer(NEXT)
        return
    due = ScheduleDue(schedule=plan.name, due_ms=state.next_ms)
    # Whatever is waited for anew has another id than what was waited for before.
    chain = f"{plan.chain(state.next_ms)}/due/{_digest(ctx.run_id)}"
    ctx.later.add(Delayed(due, None, When(at_ms=plan.fires_ms(state.next_ms)), NEXT, chain))


def _digest(run: str) -> str:
    return blake2b(run.encode(), digest_size=8).hexdigest()
