"""How many passages a second the default embedder embeds on one core: short ones, in batches. In a process of its own."""

import asyncio
import json
import os
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path
from typing import Any

from penstock.adapters.embedders.static import open_static_embedder

PASSAGES = 50_000
SHORT_CHARS = 60  # some 13 tokens
BATCH = 64
ROUNDS = 3


def embedding(folder: Path) -> dict[str, Any]:
    """Short passages and whole texts of a folder, in a second of one core: the best of some rounds. Nothing where it failed."""
    done = subprocess.run([sys.executable, __file__, str(folder)], capture_output=True, check=False)
    return json.loads(done.stdout) if done.returncode == 0 else {}


async def _measured(texts: list[str]) -> float:
    embedder = open_static_embedder()
    await embedder.embed(["to begin with"])
    best = 0.0
    for _ in range(ROUNDS):
        began = time.process_time()  # what else runs on the core does not count
        for start in range(0, len(texts), BATCH):
            await embedder.embed(texts[start : start + BATCH])
        best = max(best, len(texts) / (time.process_time() - began))
    return round(best)


def _main(folder: Path) -> None:
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    with (folder / "texts.jsonl").open(encoding="utf-8") as lines:
        texts = [json.loads(line) for line in islice(lines, PASSAGES)]
    short = [text[:SHORT_CHARS] for text in texts]
    print(json.dumps({"short_a_second": asyncio.run(_measured(short)), "long_a_second": asyncio.run(_measured(texts))}))


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
