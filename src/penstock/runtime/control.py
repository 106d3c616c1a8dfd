"""The agent that hears what is said to runs, in order per run."""

from penstock.core.agents.control import CONTROL, CallAnswered, Cancel, CancelTimer, Decide, Signal
from penstock.core.agents.declaration import Agent, Options, declare
from penstock.runtime.context import Context
from penstock.runtime.questions import Decision

NAME = CONTROL


def control() -> Agent:
    """Return the agent for signals, cancellations and decisions."""
    return declare(hear, NAME, Options())


async def hear(said: Signal | Cancel | Decide | CallAnswered | CancelTimer, ctx: Context) -> bool | None:
    """Hand it to the run; one that does not exist (any more) leaves it in the dead letters. Of a timer, say whether it waited."""
    if isinstance(said, CancelTimer):
        return await ctx.runs.cancel_timer(said.timer_id, ctx.tenant)
    if await ctx.runs.passing_on.passed_on(said.run_id, ctx.events[0]):
        return None
    match said:
        case Signal():
            await ctx.runs.signal(said.run_id, ctx.tenant, said.name, said.payload)
        case Cancel():
            await ctx.runs.cancel(said.run_id, ctx.tenant, said.reason)
        case CallAnswered():
            await ctx.runs.answered(said.run_id, said.step, said.by)
        case Decide():
            decision = Decision(said.outcome, said.value, said.by)
            await ctx.questions.decide(ctx.tenant, said.run_id, said.step, decision)
    return None
