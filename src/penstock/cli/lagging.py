"""`penstock lag`: how much waits, in the broker and for each agent, beside the app that is running."""

import asyncio
import json
from collections import Counter
from typing import TYPE_CHECKING

from penstock.brokers import behind, carried_topics
from penstock.cli.arguments import AppFile, Json, Store
from penstock.cli.conforming import Log
from penstock.cli.loading import loaded_app
from penstock.cli.tables import screen_width, table_lines
from penstock.layers.brokered_store import AGENT
from penstock.settings import Settings, settings, store_url
from penstock.wiring import opened_desk, topology_of

if TYPE_CHECKING:
    from penstock.app import App

Lag = dict[tuple[str, str, int], int]  # agent, topic, partition


def lag(file: AppFile, store: Store = None, log: Log = None, as_json: Json = False) -> None:
    """Say how many events wait: in the broker (agent penstock-broker), and in the log for each agent.

    It works beside the app that is running. What grows and does not fall again asks for more workers, or a quicker handler.
    """
    app = loaded_app(file)
    found = asyncio.run(lag_of(app, settings({"store": store, "log": log})))
    if as_json:
        rows = [
            {"agent": agent, "topic": topic, "partition": partition, "lag": count}
            for (agent, topic, partition), count in sorted(found.items())
        ]
        print(json.dumps(rows))
        return
    sums, partitions = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for (agent, topic, _), count in found.items():
        sums[agent, topic] += count
        partitions[agent, topic] += count > 0
    shown = [
        {
            "agent": agent,
            "topic": topic,
            "lag": str(count),
            "partitions behind": str(partitions[agent, topic]),
            "note": "",
        }
        for (agent, topic), count in sorted(sums.items())
    ]
    names = ("agent", "topic", "lag", "partitions behind")
    for line in table_lines([names, names[:3]], shown, screen_width(), note="note"):
        print(line)


async def lag_of(app: "App", chosen: Settings) -> Lag:
    """Return how much waits for each agent of an app, and for each topic in its broker."""
    topology = topology_of(app.declared)
    async with opened_desk(store_url(chosen, app.name)) as desk:
        done, ends = await desk.progress(), await desk.ends()
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
        received = {(topic, each): at.low for (agent, topic, each), at in done.items() if agent == AGENT}
        waiting = await behind(chosen.log, carried_topics(topology), received)
        found |= {(AGENT, *lane): count for lane, count in waiting.items()}
    return found
