"""Stream enrichment on penstock, bytewax and Pathway in one run: the same messages, the same functions, the same outcome.

python benchmarks/streams.py            # writes docs/benchmarks-streams.md
python benchmarks/streams.py --quick    # one short round, writes nothing
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from machine import machine

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "benchmarks-streams.md"
SIDE_S_MAX = 900
SIDES = {
    "penstock, durable": "each message, its line, its window's count and the progress are durable in SQLite, once",
    "penstock, in memory": "the same without a disk",
    "bytewax": "no recovery store: nothing is kept",
    "Pathway": "no persistence: nothing is kept; the whole input is one batch",
}


def command(side: str, count: int, folder: str) -> list[str]:
    if side.startswith("penstock"):
        store = "memory" if "memory" in side else "sqlite"
        return [sys.executable, str(HERE / "stream_ours.py"), str(count), store, folder]
    peer = HERE / "stream_peers" / side.lower()
    made = subprocess.run(
        ["bash", str(HERE / "setup.sh"), str(peer)], capture_output=True, text=True, check=True, timeout=SIDE_S_MAX
    )
    return [f"{made.stdout.strip().splitlines()[-1]}/venv/bin/python", str(peer / "run.py"), str(count)]


def measured(side: str, count: int, folder: str) -> dict[str, Any]:
    done = subprocess.run(
        command(side, count, folder),
        capture_output=True,
        text=True,
        check=False,
        timeout=SIDE_S_MAX,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if not lines:
        raise SystemExit(f"{side} said nothing: {done.stderr[-1000:]}")
    return json.loads(lines[-1])


def page(rounds: dict[str, list[dict[str, Any]]], count: int, on: dict[str, Any]) -> str:
    def median(side: str, figure: str) -> float:
        return statistics.median(each[figure] for each in rounds[side])

    best = max(median(side, "per_s") for side in rounds)
    rows = [
        f"| {side} | {median(side, 'per_s'):,.0f} | {median(side, 'per_s') / best:.2f} | {median(side, 'cpu_ms'):.2f} | "
        f"{median(side, 'memory_mb'):.0f} | {SIDES[side]} |"
        for side in rounds
    ]
    return "\n".join(
        [
            "# Streams: enrichment beside bytewax and Pathway",
            "",
            "Made by `python benchmarks/streams.py`. Each message is cleaned, freed of personal data, tokenised, its language told and its",
            "text embedded (by runs of letters: the same few lines of numpy on all sides); each session's messages are counted in",
            f"windows of a minute of event time. {count:,} messages of 200 sessions; the median of {len(next(iter(rounds.values())))} rounds, in",
            "which sides take turns. **What comes out is the same on all sides**, which the command checks by a hash.",
            "",
            f"{on['processor']}, {on['cores']} cores, {on['memory_gib']} GiB, Python {on['python']}, load before {on['load_before']}.",
            f"Commit {on['commit']}.",
            "Where the load is above 1 the machine was shared: read ratios, and CPU for each message.",
            "",
            "| side | messages/s | to the quickest | CPU ms a message, start included | MB | what a crash leaves |",
            "| --- | --- | --- | --- | --- | --- |",
            *rows,
            "",
            "The others ran in memory alone: a crash loses what they hold, unless a recovery store (bytewax) or persistence (Pathway) is",
            "set up, which was not measured. Penstock pays for a record of each message: it can be looked at,",
            "replayed, and fails by itself into the dead letters.",
            "",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="one round of 2,000 messages; writes nothing")
    parser.add_argument(
        "--folder", default=str(HERE.parent), help="where the durable side writes: on a disk (%(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object for each run")
    given = parser.parse_args()
    count, turns = (2_000, 1) if given.quick else (given.messages, given.rounds)
    on, rounds = machine(), {side: list[dict[str, Any]]() for side in SIDES}
    with tempfile.TemporaryDirectory(dir=given.folder, prefix=".bench-streams-") as folder:
        for _ in range(turns):
            for side in SIDES:
                found = measured(side, count, folder)
                rounds[side].append(found)
                text = (
                    json.dumps({"side": side, **found})
                    if given.json
                    else f"{side:22}{found['per_s']:>10,.0f} messages/s"
                )
                print(text, flush=True)
    outcomes = {each["came_out"] for found in rounds.values() for each in found}
    if len(outcomes) != 1:
        raise SystemExit(f"they came to different outcomes: {rounds}")
    if not given.quick:
        PAGE.write_text(page(rounds, count, on), encoding="utf-8")


if __name__ == "__main__":
    main()
