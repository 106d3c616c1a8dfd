"""What one session takes on the disk over 10,000 turns of W1, with retention as by default and off. Prints one JSON object.

    python benchmarks/storage.py --folder .penstock/storage

The clock of the app is set forward by three days after each 500 turns, so that the 10,000 turns take 60 days; then the
janitor goes round, which it does each hour by itself. What is counted are the pages of the SQLite file, free ones included.
"""

import argparse
import asyncio
import json
import sqlite3
from pathlib import Path

from penstock import Running
from penstock.adapters.clock.system import SystemClock
from penstock.bench import workload
from penstock.bench.turns import SPACE, Preload, Reply, Turn, passages_index, turns_app
from penstock.core.agents.retention import DEFAULT_RETENTION, FOREVER, Retention
from penstock.runtime.janitor import Janitor
from penstock.runtime.process import run_tuned
from penstock.runtime.tasks import Tasks
from penstock.runtime.vector_batch import VectorBatch
from penstock.settings import Settings

TURNS = 10_000
PART = 500
DAYS_A_PART = 3
DAY_MS = 24 * 3600 * 1000
SESSION = "one"
RETENTIONS = {"default": DEFAULT_RETENTION, "off": Retention(events=FOREVER, journals_days=None, runs_days=None)}


class SetForward(SystemClock):
    """The machine's clock, which can be set forward."""

    def __init__(self) -> None:
        super().__init__()
        self.ahead_ms = 0

    def now_ms(self) -> int:
        return super().now_ms() + self.ahead_ms


async def main(folder: Path, turns: int) -> dict[str, object]:
    found = {name: await grown(folder / f"{name}.db", retention, turns) for name, retention in RETENTIONS.items()}
    return {"turns": list(range(0, turns + 1, PART)), "days_a_part": DAYS_A_PART, "bytes": found}


async def grown(file: Path, retention: Retention, turns: int) -> list[int]:
    """Return how many bytes the store has at first, and after each part."""
    clock = SetForward()
    async with asyncio.TaskGroup() as group:
        batch = VectorBatch(await passages_index(), SPACE, Tasks(group))
        app = turns_app(batch.nearest, retention=retention)
        async with app.running(Settings(store=f"sqlite:{file}"), clock=clock) as running:
            await running.send(Preload(session_id=SESSION))
            await running.engine.caught_up("preload")
            sizes = [size_of(file)]
            for number in range(turns):
                await running.ask(Turn(session_id=SESSION, text=workload.text_of(number)), Reply)
                if number % PART == PART - 1:
                    clock.ahead_ms += DAYS_A_PART * DAY_MS
                    await tidied(running, clock)
                    sizes.append(size_of(file))
    return sizes


async def tidied(running: Running, clock: SetForward) -> None:
    parts = running.engine.parts
    assert parts.household is not None
    await Janitor(parts.store, clock, parts.household, running.engine).tidy()


def size_of(file: Path) -> int:
    """Return the size of a database, whatever of it is in the write-ahead log still."""
    connection = sqlite3.connect(f"file:{file}?mode=ro", uri=True)
    try:
        (pages,), (page_bytes,) = (
            connection.execute(f"PRAGMA {each}").fetchone() for each in ("page_count", "page_size")
        )
    finally:
        connection.close()
    return pages * page_bytes


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="storage.py")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--turns", type=int, default=TURNS)
    given = parser.parse_args()
    print(json.dumps(run_tuned(main(given.folder, given.turns))), flush=True)
