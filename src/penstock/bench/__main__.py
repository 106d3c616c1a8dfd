"""`python -m penstock.bench`: the benchmarks without the command line's framework, for scripts."""

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from penstock.bench import runs, turns
from penstock.bench.load import Plan
from penstock.errors import PenstockError


def command() -> int:
    parser = argparse.ArgumentParser(prog="python -m penstock.bench", description="Durable work per second.")
    parser.add_argument("--workload", choices=("w1", "w2", "w3"), default="w1", help="turns, fan-out, empty steps")
    parser.add_argument("--in-flight", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--warmup", type=float, default=2.0, help="of turns; the others begin with a small batch")
    parser.add_argument("--store", default="", help="an address (default: a new file in the working folder)")
    parser.add_argument("--log", default="", help="a broker that the events of turns go over (default: none)")
    parser.add_argument("--each-step", action="store_true", help="every step waits until the one before is durable")
    parser.add_argument("--child-runs", action="store_true", help="in w2, each item is a run of its own")
    parser.add_argument("--profile", type=Path, help="write what cProfile saw to this file")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    given = parser.parse_args()
    try:
        if given.workload == "w1":
            plan = Plan(given.in_flight, given.seconds, given.warmup)
            options = turns.Options(
                plan, given.store, given.each_step, given.profile, bar=sys.stderr.isatty(), log=given.log
            )
            return turns.show(turns.run(options), json=given.json)
        of = runs.RunOptions(
            given.seconds, given.in_flight, given.store, given.each_step, given.child_runs, given.profile
        )
        return _show(runs.fan_out(of) if given.workload == "w2" else runs.steps(of), as_json=given.json)
    except PenstockError as error:
        sys.stderr.write(f"{error}\n")
        return 2


def _show(found: Mapping[str, Any], *, as_json: bool) -> int:
    lines = [json.dumps(found)] if as_json else [f"{name}: {value}" for name, value in found.items()]
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(command())
