"""How much waits for each agent of an app, and in its broker: what `penstock lag` says."""

from typing import TYPE_CHECKING

from penstock.brokers import behind, carried_topics, require_same_partitions
from penstock.layers.brokered_store import AGENT
from penstock.settings import Settings, store_url
from penstock.wiring import opened_desk, topology_of

if TYPE_CHECKING:
    from penstock.app import App

Lag = dict[tuple[str, str, int], int]  # agent, topic, partition


async def lag_of(app: "App", chosen: Settings) -> Lag:
    """Return how much waits for each agent of an app, and for each topic in its broker."""
    topology = topology_of(app.declared.here(chosen))
    async with opened_desk(store_url(chosen, app.name)) as desk:
        done, ends, known = await desk.progress(), await desk.ends(), await desk.partitions()
    found: Lag = {}
    for agent in topology.agents.values():
        for topic in sorted({event.topic_ for event in agent.accepts}):
            for (named, partition), end in sorted(ends.items()):
                if named == topic:
                    progress = done.get((agent.name, topic, partition))
                    handled = (
                        0
                        if progress is None
                        else progress.low + sum(last - first + 1 for first, last in progress.above)
                    )
                    found[agent.name, topic, partition] = max(0, end - handled)
    if chosen.log:
        require_same_partitions(chosen.log, known)
        received = {(topic, each): at.low for (agent, topic, each), at in done.items() if agent == AGENT}
        waiting = await behind(chosen.log, carried_topics(topology), received)
        found |= {(AGENT, *lane): count for lane, count in waiting.items()}
    return found
