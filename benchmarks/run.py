"""`make bench`: durable turns (W1) of penstock, of durable peers and of a loop by hand, interleaved in one run.

- In each round one side runs after the other, so that what else the machine does falls on all of them.
- A side that cannot be set up or run is said loudly, in the document too, and the exit code is 1.
"""

import argparse
import json
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import sides
from document import FIGURES, Comparison, machine, markdown, table
from sides import REPOSITORY, Load, NotMeasured, Side

PEERS = {"restate": "Restate", "dbos": "DBOS"}
DOCUMENT = REPOSITORY / "docs" / "benchmarks.md"
ROUNDS_MAX = 20


def main() -> int:
    given = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that what was started is ended too
    comparison = Comparison(given.rounds, [Load(each, given.seconds, given.warmup) for each in given.in_flight], [])
    comparison.machine = machine()
    comparison.sides = _sides(given.without, comparison.missing)
    for load in comparison.loads:
        _compare(comparison, load)
    for load in comparison.loads:
        _say(f"\n{load.in_flight} in flight\n" + "\n".join(table(comparison, load.in_flight)))
    for name, reason in comparison.missing.items():
        _say(f"\nNOT MEASURED: {name}: {reason}")
    if given.document is not None:
        given.document.write_text(markdown(comparison), encoding="utf-8")
        _say(f"\nwritten: {given.document.name}")
    if given.json:
        sys.stdout.write(json.dumps(_figures(comparison)) + "\n")
    return 1 if comparison.missing else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--in-flight", type=_numbers, help="turns in flight, such as 1,64,512 (default: 1,64)")
    parser.add_argument("--seconds", type=float, help="the window that is measured (default: 5)")
    parser.add_argument("--warmup", type=float, default=1.5, help="seconds before it that do not count (default: 1.5)")
    parser.add_argument("--rounds", type=int, help="how often each side runs (default: 3)")
    parser.add_argument(
        "--without", choices=[*PEERS, "reference"], action="append", default=[], help="leave a side out"
    )
    parser.add_argument("--document", type=Path, help="write the page there (default: docs/benchmarks.md)")
    parser.add_argument("--quick", action="store_true", help="1 round of 1.5 s, 64 in flight, and no document")
    parser.add_argument("--json", action="store_true", help="print all figures as one JSON object, as the last line")
    given = parser.parse_args()
    given.in_flight = given.in_flight or ([64] if given.quick else [1, 64])
    given.seconds = given.seconds or (1.5 if given.quick else 5.0)
    given.rounds = given.rounds or (1 if given.quick else 3)
    given.document = given.document or (None if given.quick else DOCUMENT)
    if not (1 <= given.rounds <= ROUNDS_MAX and given.seconds > 0 and given.warmup >= 0):
        parser.error(f"give 1 to {ROUNDS_MAX} rounds, and times that are not negative")
    return given


def _numbers(text: str) -> list[int]:
    numbers = [int(part) for part in text.split(",")]
    if not all(1 <= number <= 1024 for number in numbers):
        raise argparse.ArgumentTypeError("give numbers from 1 to 1024")
    return numbers


def _sides(without: list[str], missing: dict[str, str]) -> list[Side]:
    """Return who takes part, ours between the peers; who cannot is in `missing`."""
    peers: list[Callable[[], Side]] = [
        lambda name=name, title=title: sides.peer(name, title) for name, title in PEERS.items() if name not in without
    ]
    found = [sides.ours(each_step=False)]
    for name, make in zip([each for each in PEERS if each not in without], peers, strict=True):
        _say(f"setting up {name} (minutes, the first time)")
        try:
            found.append(make())
        except NotMeasured as reason:
            _say(f"NOT MEASURED: {name}: {reason}")
            missing[name] = str(reason)
    found.insert(2, sides.ours(each_step=True))
    if "reference" not in without:
        found.append(sides.yardstick())
    return found


def _compare(comparison: Comparison, load: Load) -> None:
    found = comparison.found.setdefault(load.in_flight, {})
    for number in range(1, comparison.rounds + 1):
        for side in comparison.sides:
            if side.name in comparison.missing:
                continue
            try:
                figures = sides.run(side, load)
            except NotMeasured as reason:
                comparison.missing[side.name] = str(reason)
                _say(f"NOT MEASURED: {side.name}: {reason}")
                continue
            found.setdefault(side.name, []).append(figures)
            wrong = f", {figures['errors']} ERRORS: {figures['first_error']}" if figures["errors"] else ""
            _say(
                f"{load.in_flight} in flight, round {number} of {comparison.rounds}: {side.name:<20}"
                f" {figures['turns_per_s']:>9,.1f} turns/s {figures['cpu_ms_per_turn']:>8.3f} ms CPU a turn{wrong}"
            )


def _figures(comparison: Comparison) -> dict[str, Any]:
    own = [side.name for side in comparison.sides if side.is_ours]
    others = [side.name for side in comparison.sides if not side.is_ours]
    return {
        "machine": comparison.machine,
        "missing": comparison.missing,
        "rounds": comparison.rounds,
        "loads": {
            str(load.in_flight): {
                "medians": {side.name: comparison.medians(load.in_flight, side.name) for side in comparison.sides},
                "ratios": {  # of ours to theirs
                    mine: {
                        name: {each: comparison.ratio(load.in_flight, mine, name, each) for each in FIGURES[:4]}
                        for name in others
                    }
                    for mine in own
                },
                "runs": comparison.found[load.in_flight],
            }
            for load in comparison.loads
        },
    }


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
