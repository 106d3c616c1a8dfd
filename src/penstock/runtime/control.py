"""The agent that hears what is said to runs, in order per run."""

from typing import Any

import msgspec

from penstock.core.agents.approvals import refusal_of
from penstock.core.agents.control import (
    CONTROL,
    AnswerTask,
    CallAnswered,
    Cancel,
    CancelTimer,
    Decide,
    EventHeard,
    RunFollowed,
    RunListens,
    RunListensNoMore,
    Signal,
    StopMachine,
)
from penstock.core.agents.declaration import Agent, Options, declare
from penstock.core.agents.forgetting import SubjectGoes
from penstock.core.agents.listening import Listening
from penstock.errors import Invalid, Missing, Refused
from penstock.runtime.context import Context
from penstock.runtime.questions import Decision

NAME = CONTROL


def control() -> Agent:
    """Return the agent for signals, cancellations and decisions."""
    return declare(hear, NAME, Options())


ToRun = Signal | Cancel | Decide | CallAnswered | EventHeard
ToMachine = StopMachine | AnswerTask
ToPartition = RunListens | RunListensNoMore | RunFollowed | SubjectGoes


async def hear(said: ToRun | ToMachine | ToPartition | CancelTimer, ctx: Context) -> bool | str | dict[str, Any] | None:
    """Hand it to the run; one that does not exist (any more) leaves it in the dead letters.

    Of a timer, say whether it waited; of an answer, why it is none: who gave it waits for that.
    """
    if isinstance(said, CancelTimer):
        return await ctx.runs.cancel_timer(said.timer_id, ctx.tenant)
    if isinstance(said, ToPartition):
        await _note(said, ctx)
        return None
    if await ctx.runs.passing_on.passed_on(said.run_id, ctx.events[0]):
        return None
    if isinstance(said, ToMachine):
        return await ctx.runs.to_machine(said, ctx.tenant)
    match said:
        case Signal():
            await ctx.runs.signal(said.run_id, ctx.tenant, said.name, said.payload)
        case Cancel():
            await ctx.runs.cancel(said.run_id, ctx.tenant, said.reason)
        case EventHeard():
            await ctx.runs.heard(said, ctx.tenant)
        case CallAnswered():
            await ctx.runs.answered(said.run_id, said.step, said.by)
        case Decide():
            return await _decide(said, ctx)
    return None


async def _decide(said: Decide, ctx: Context) -> dict[str, Any] | None:
    decision = Decision(said.outcome, said.value, said.by, said.reason, ctx.event.time_ms)
    try:
        await ctx.questions.decide(ctx.tenant, said.run_id, said.step, decision)
    except (Invalid, Missing, Refused) as error:
        if said.outcome in ("approve", "reject"):
            return refusal_of(error)
        raise
    return None


async def _note(said: ToPartition, ctx: Context) -> None:
    """Note what is said to the owner of a partition: who listens to it, say."""
    listeners, partition = ctx.runs.listeners, ctx.events[0].position.partition
    match said:
        case RunListens():
            listeners.add(partition, msgspec.convert(said.listening, Listening))
        case RunListensNoMore():
            listeners.remove(partition, f"{said.run_id}{said.channel}")
        case RunFollowed():
            ctx.runs.followed(said.run_id)
        case SubjectGoes():
            await ctx.forgetting.let_go(ctx.tenant, said.name)
