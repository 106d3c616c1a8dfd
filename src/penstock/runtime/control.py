"""The agent that hears what is said to workflow runs, in order per run."""

from penstock.core.agents.control import Cancel, Signal
from penstock.core.agents.declaration import Agent, Options, declare
from penstock.runtime.context import Context

NAME = "runs"


def control() -> Agent:
    """Return the agent for signals and cancellations."""
    return declare(hear, NAME, Options())


async def hear(said: Signal | Cancel, ctx: Context) -> None:
    """Hand it to the run; one that does not exist (any more) leaves it in the dead letters."""
    match said:
        case Signal():
            ctx.runs.signal(said.run_id, said.name, said.payload)
        case Cancel():
            ctx.runs.cancel(said.run_id, said.reason)
