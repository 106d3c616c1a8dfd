"""Memory of a process that has an app running on SQLite, and nothing to do. Prints one JSON object.

    python benchmarks/idle.py --folder .penstock/idle [--knowledge]

`--knowledge`: the app declares a collection, so that the embedder that is built in is loaded.
"""

import argparse
import asyncio
import json
from pathlib import Path

from penstock import App, Event
from penstock.settings import Settings

STATUS = Path("/proc/self/status")
SETTLED_S = 1.0


class Asked(Event, key="id"):
    id: str


async def main() -> None:
    parser = argparse.ArgumentParser(prog="idle.py")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--knowledge", action="store_true")
    given = parser.parse_args()
    app = App("idle")

    @app.agent
    async def answer(asked: Asked) -> str:
        return f"hello {asked.id}"

    if given.knowledge:
        app.knowledge("documents")
    async with app.running(Settings(store=f"sqlite:{given.folder / 'idle.db'}")) as running:
        await running.call("answer", Asked(id="world"))
        await asyncio.sleep(SETTLED_S)
        print(json.dumps({"rss_mb": _kib("VmRSS") / 1024, "rss_most_mb": _kib("VmHWM") / 1024}), flush=True)


def _kib(name: str) -> int:
    """Read what the system says of this process."""
    return next(int(line.split()[1]) for line in STATUS.read_text().splitlines() if line.startswith(name))


if __name__ == "__main__":
    asyncio.run(main())
