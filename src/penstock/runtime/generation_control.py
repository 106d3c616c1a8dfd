"""The agent that hears what is said about generations, in order per collection."""

from typing import Any

from penstock.core.agents.approvals import refusal_of
from penstock.core.agents.declaration import Agent, Options, declare
from penstock.core.knowledge.generation_events import (
    KEEPER,
    BuildGeneration,
    DropGeneration,
    SwitchGeneration,
    VerifyKnowledge,
)
from penstock.core.knowledge.generations import GRACE_MS
from penstock.errors import Invalid, Missing, Refused, TimedOut
from penstock.runtime.context import Context

WITHIN_S = 3600.0  # a comparison of an index of millions with its log takes minutes
Said = BuildGeneration | SwitchGeneration | DropGeneration | VerifyKnowledge


def generation_keeper() -> Agent:
    """Return the agent."""
    return declare(hear, KEEPER, Options(timeout_s=WITHIN_S))


async def hear(said: Said, ctx: Context) -> dict[str, Any]:
    """Do what is said, and return what came of it, or why not: who said it waits for that."""
    try:
        keeper = ctx.keeper(said.collection)
        match said:
            case BuildGeneration():
                return {"generation": (await keeper.build(said, ctx.event.id)).number}
            case SwitchGeneration(generation=number, grace_s=grace_s):
                grace_ms = GRACE_MS if grace_s is None else int(grace_s * 1000)
                return {"generation": (await keeper.switch(number, grace_ms, ctx.event.id)).number}
            case DropGeneration():
                return {"generation": (await keeper.drop(said.generation, said.reason)).number}
            case VerifyKnowledge():
                return await keeper.verify(said)
    except (Invalid, Missing, Refused) as error:
        return refusal_of(error)
    except TimedOut as error:
        return refusal_of(Refused(str(error), "try again when fewer events come"))
