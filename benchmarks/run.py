"""`make bench`: penstock, durable peers and a loop by hand, on the same workloads, interleaved in one run.

- In each round one side runs after the other, so that what else the machine does falls on all of them.
- A side that cannot be set up or run is said loudly, in the document too, and the exit code is 1.
- The document is written when all workloads and all peers are measured, or where `--document` says.
"""

import argparse
import asyncio
import json
import signal
import sys
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

import alone
import sides
from comparison import Comparison, key_of
from document import markdown, shown, table
from machine import machine
from sides import REPOSITORY, NotMeasured, Side
from workloads import OURS_ALONE, WORKLOADS, Load

sys.path.insert(0, str(REPOSITORY / "tests" / "services" / "postgres"))

PEERS: dict[str, tuple[str, dict[str, Any]]] = {
    "restate": ("Restate", {}),
    "dbos": ("DBOS", {}),
    "langgraph": ("LangGraph", {}),
    "temporal": ("Temporal", {"waits": "the reply"}),
    "llamaindex": ("LlamaIndex on DBOS", {"least_s": 15.0}),
}
DOCUMENT = REPOSITORY / "docs" / "benchmarks.md"
ROUNDS_MAX = 20
ALL = (*WORKLOADS, *OURS_ALONE)


def main() -> int:
    given = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that what was started is ended too
    began_s = monotonic()
    comparison = Comparison(given.rounds, _loads(given), [], machine=machine())
    with ExitStack() as stack:
        comparison.sides = _sides(given, comparison, stack)
        for load in comparison.loads:
            _compare(comparison, load)
    _alone(given, comparison)
    for load in comparison.loads:
        _say(f"\n{load.workload.heading(load.in_flight)}\n" + "\n".join(table(comparison, load)))
    for name, reason in comparison.missing.items():
        _say(f"\nNOT MEASURED: {name}: {reason}")
    if given.document is not None:
        given.document.write_text(markdown(comparison), encoding="utf-8")
        _say(f"\nwritten: {given.document.name}")
    _say(f"{(monotonic() - began_s) / 60:.1f} minutes")
    if given.json:
        sys.stdout.write(json.dumps(comparison.figures()) + "\n")
    return 1 if comparison.missing else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--workloads", type=_names(ALL), help=f"some of {','.join(ALL)} (default: all)")
    parser.add_argument(
        "--peers", type=_names((*PEERS, "none")), help=f"some of {','.join(PEERS)}, or none (default: all)"
    )
    parser.add_argument("--in-flight", type=_numbers, help="in W1 and W3, such as 1,64,512 (default: 1,64)")
    parser.add_argument("--seconds", type=float, help="the window that is measured (default: 4; W2, W3: half of it)")
    parser.add_argument(
        "--warmup", type=float, default=1.0, help="seconds before it that do not count, in W1 (default: 1)"
    )
    parser.add_argument("--rounds", type=int, help="how often each side runs (default: 3)")
    parser.add_argument("--no-postgres", action="store_true", help="leave out penstock on Postgres")
    parser.add_argument("--document", type=Path, help="write the page there")
    parser.add_argument("--no-document", action="store_true", help="write no page, and no pictures")
    parser.add_argument("--quick", action="store_true", help="1 round of 1.5 s, 64 in flight, and no document")
    parser.add_argument("--json", action="store_true", help="print all figures as one JSON object, as the last line")
    given = parser.parse_args()
    whole = not (given.workloads or given.peers or given.in_flight or given.quick or given.no_postgres)
    given.workloads = given.workloads or ALL
    given.peers = tuple(PEERS) if given.peers is None else tuple(each for each in given.peers if each != "none")
    given.in_flight = given.in_flight or ([64] if given.quick else None)
    given.seconds = given.seconds or (1.5 if given.quick else 4.0)
    given.rounds = given.rounds or (1 if given.quick else 3)
    given.document = None if given.no_document else given.document or (DOCUMENT if whole else None)
    if not (1 <= given.rounds <= ROUNDS_MAX and given.seconds > 0 and given.warmup >= 0):
        parser.error(f"give 1 to {ROUNDS_MAX} rounds, and times that are not negative")
    return given


def _names(known: tuple[str, ...]) -> "partial[tuple[str, ...]]":
    return partial(_names_of, known)


def _names_of(known: tuple[str, ...], text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    if unknown := [each for each in names if each not in known]:
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: give some of {','.join(known)}")
    return names


def _numbers(text: str) -> list[int]:
    numbers = [int(part) for part in text.split(",")]
    if not all(1 <= number <= 1024 for number in numbers):
        raise argparse.ArgumentTypeError("give numbers from 1 to 1024")
    return numbers


def _loads(given: argparse.Namespace) -> list[Load]:
    return [
        Load(workload, in_flight, given.seconds * workload.share, given.warmup)
        for workload in (WORKLOADS[name] for name in given.workloads if name in WORKLOADS)
        for in_flight in (given.in_flight or workload.in_flight if len(workload.in_flight) > 1 else workload.in_flight)
    ]


def _sides(given: argparse.Namespace, comparison: Comparison, stack: ExitStack) -> list[Side]:
    """Return who takes part; who cannot is in `missing`."""
    found, missing = sides.ours(), comparison.missing
    if "w1" in given.workloads and not given.no_postgres:
        try:
            server = _postgres(stack)
            comparison.machine["postgres"] = asyncio.run(_about(server.dsn))
            found += sides.ours_on_postgres(partial(sides.new_schema, server.dsn))
        except NotMeasured as reason:
            missing["penstock on Postgres"] = str(reason)
    for name in given.peers:
        title, more = PEERS[name]
        _say(f"setting up {name} (minutes, the first time)")
        try:
            found.append(sides.peer(name, title, **more))
        except NotMeasured as reason:
            _say(f"NOT MEASURED: {name}: {reason}")
            missing[name] = str(reason)
    return [*found, *sides.yardsticks()]


def _postgres(stack: ExitStack) -> Any:
    """Start a Postgres that lives as long as the stack, or use the one that PENSTOCK_POSTGRES_DSN names."""
    from postgres_server import NoServerError, postgres_server

    try:
        return stack.enter_context(postgres_server(fsync=True))
    except NoServerError as error:
        raise NotMeasured(str(error)) from error


async def _about(dsn: str) -> str:
    from postgres_server import ask

    names = ("server_version", "fsync", "synchronous_commit")
    wanted = ", ".join(f"current_setting('{name}')" for name in names)
    (values,) = await ask(dsn, f"SELECT {wanted}")
    return ", ".join((values[0], *(f"{name} {value}" for name, value in zip(names[1:], values[1:], strict=True))))


def _compare(comparison: Comparison, load: Load) -> None:
    found = comparison.found.setdefault(key_of(load), {})
    failed: set[str] = set()
    for number in range(1, comparison.rounds + 1):
        for side in comparison.takers(load):
            if side.name in failed or number > side.rounds(comparison.rounds):
                continue
            began_s = monotonic()
            try:
                figures = sides.run(side, replace(load, seconds=max(load.seconds, side.least_s)))
            except NotMeasured as reason:
                what = f"{side.title}, {load.workload.heading(load.in_flight)}"
                comparison.missing[what] = str(reason)
                failed.add(side.name)
                _say(f"NOT MEASURED: {what}: {reason}")
                continue
            found.setdefault(side.name, []).append(figures)
            wrong = f", {figures['errors']} ERRORS: {figures['first_error']}" if figures["errors"] else ""
            rate, heading = load.workload.columns[0]
            _say(
                f"{load.workload.name} {load.in_flight:>3} in flight, round {number} of {comparison.rounds}:"
                f" {side.name:<26} {shown(figures[rate]):>8} {heading:<9} ({monotonic() - began_s:.0f} s){wrong}"
            )


def _alone(given: argparse.Namespace, comparison: Comparison) -> None:
    docs = None if given.document is None else given.document.resolve().parent
    measures = {
        "idle": alone.idle,
        "storage": partial(alone.storage, docs),
        "flame": partial(alone.flame, docs, given.seconds),
    }
    for name in (each for each in measures if each in given.workloads):
        _say(f"penstock alone: {OURS_ALONE[name]}")
        try:
            comparison.alone[name] = measures[name]()
        except NotMeasured as reason:
            comparison.missing[OURS_ALONE[name]] = str(reason)
            _say(f"NOT MEASURED: {name}: {reason}")


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
