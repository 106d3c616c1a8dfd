"""`penstock lag`: how much waits, in the broker and for each agent, beside the app that is running."""

import json
from collections import Counter

from penstock.cli.arguments import AppFile, Json, Store
from penstock.cli.conforming import Log


def lag(file: AppFile, store: Store = None, log: Log = None, as_json: Json = False) -> None:
    """Say how many events wait: in the broker (agent penstock-broker), and in the log for each agent.

    It works beside the app that is running. What grows and does not fall again asks for more workers, or a quicker handler.
    """
    import asyncio

    from penstock.cli.lags import lag_of
    from penstock.cli.loading import loaded_app
    from penstock.cli.tables import screen_width, table_lines
    from penstock.settings import settings

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
