"""The agent that forgets, in order per subject; and whether an app says whom its events are about."""

from typing import Any

import msgspec

from penstock.core.agents.declaration import Agent, Options, declare
from penstock.core.agents.forgetting import FORGETTER, ForgetSubject
from penstock.core.agents.policy import Retry
from penstock.core.knowledge.events import KnowledgeEvent
from penstock.runtime.context import Context
from penstock.runtime.topology import Topology

WITHIN_S = 3600.0  # a log of millions of events is looked through, and its file made anew
RETRY = Retry(attempts_max=200, delay_max_s=60)  # some three hours: a store or an index may be away


def forgetter() -> Agent:
    """Return the agent."""
    return declare(hear, FORGETTER, Options(timeout_s=WITHIN_S, retry=RETRY))


async def hear(said: ForgetSubject, ctx: Context) -> dict[str, Any]:
    """Forget, and return the receipt. What a process that died has done already is done again, to the same end."""
    return msgspec.to_builtins(await ctx.forgetting.forget(ctx.tenant, said.name, ctx.event))


def declares_subjects(topology: Topology) -> bool:
    """Whether an event of the app says whom it is about. Those of knowledge may, by their metadata."""
    mine = (KnowledgeEvent, ForgetSubject)
    return any(each.event.subject_ and each.event not in mine for each in topology.kinds.values())
