"""`make soak`: the simulation over fresh seeds for hours, each with a store alone and over a broker.

What fails is printed with the command that runs it again.

make soak                          an hour
make soak ARGS="--hours 8"         a night
make soak ARGS="--seeds 20000"     so many seeds, however long it takes
"""

import argparse
import logging
import secrets
import sys
import traceback
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from itertools import count, product
from pathlib import Path
from time import monotonic

ROOT = Path(__file__).resolve().parent.parent
CHUNK = 50  # seeds that a process tries before it reports
FAILURES_MAX = 20


def tried(seeds: range) -> list[tuple[int, str]]:
    """Try seeds in this process, and return those that failed, with what went wrong."""
    sys.path.insert(0, str(ROOT / "tests" / "simulation"))
    from test_simulation import check

    logging.getLogger("penstock").disabled = True
    failed = []
    for seed, over_broker in product(seeds, (False, True)):
        try:
            check(seed, over_broker=over_broker)
        except Exception:  # noqa: BLE001 - whatever it is, the seed has failed
            failed.append((seed, traceback.format_exc(limit=-3)))
    return failed


def chunks(first: int, seeds: int | None) -> Iterator[range]:
    for at in count(first, CHUNK):
        if seeds is not None and at >= first + seeds:
            return
        yield range(at, at + CHUNK if seeds is None else min(at + CHUNK, first + seeds))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=1.0, help="how long to go on (1)")
    parser.add_argument("--seeds", type=int, help="stop after so many, rather than after some hours")
    parser.add_argument("--first", type=int, help="the first seed (a fresh one)")
    parser.add_argument("--workers", type=int, default=2, help="processes (2)")
    chosen = parser.parse_args()
    first = secrets.randbelow(2**40) if chosen.first is None else chosen.first
    until = None if chosen.seeds is not None else monotonic() + chosen.hours * 3600
    waiting = chunks(first, chosen.seeds)
    done, failed = 0, 0
    print(f"seeds from {first} on")
    with ProcessPoolExecutor(chosen.workers) as pool:
        under_way = {
            pool.submit(tried, seeds): len(seeds) for _, seeds in zip(range(chosen.workers), waiting, strict=False)
        }
        while under_way:
            ended, _ = wait(under_way, return_when=FIRST_COMPLETED)
            for each in ended:
                done += under_way.pop(each)
                for seed, why in each.result():
                    failed += 1
                    print(f"\nFAILED: seed {seed}\n{why}again: PENSTOCK_SEED={seed} make test ARGS=tests/simulation\n")
                more = (until is None or monotonic() < until) and failed < FAILURES_MAX
                if more and (seeds := next(waiting, None)) is not None:
                    under_way[pool.submit(tried, seeds)] = len(seeds)
            print(f"\r{done} seeds, {failed} failed", end="", flush=True)
    print()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
