"""`python -m penstock.bench`: the benchmark without the command line's framework, for scripts."""

import argparse
import sys
from pathlib import Path

from penstock.bench.load import Plan
from penstock.bench.turns import Options, run, show
from penstock.errors import PenstockError


def command() -> int:
    parser = argparse.ArgumentParser(prog="python -m penstock.bench", description="Durable turns per second (W1).")
    parser.add_argument("--in-flight", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--warmup", type=float, default=2.0)
    parser.add_argument("--store", help="sqlite:PATH or memory: (default: a new file in the working folder)")
    parser.add_argument("--each-step", action="store_true", help="every step waits until the one before is durable")
    parser.add_argument("--profile", type=Path, help="write what cProfile saw to this file")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    given = parser.parse_args()
    plan = Plan(given.in_flight, given.seconds, given.warmup)
    options = Options(plan, given.store or "", given.each_step, given.profile, bar=sys.stderr.isatty())
    try:
        return show(run(options), json=given.json)
    except PenstockError as error:
        sys.stderr.write(f"{error}\n")
        return 2


if __name__ == "__main__":
    sys.exit(command())
