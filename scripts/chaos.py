"""`make chaos`: kill processes at every write point on every backend, have brokers fail, and write docs/chaos.md.

make chaos                             the page
make chaos ARGS="--kills 50 --json"    more of it, as JSON, and no page
make chaos ARGS="--point 'after effect' --backend sqlite"
"""

import argparse
import asyncio
import json
import os
import platform
import secrets
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
for each in ("postgres", "brokers", "proxy", "faults"):
    sys.path.insert(0, str(ROOT / "tests" / "services" / each))

from broker_faults import CLUSTER_FAULT, FAULTS, broker_behind_a_proxy, tried
from fault_trial import FaultOutcome
from own_process import NoServerError as NoBrokerError
from postgres_server import NoServerError, postgres_server

from penstock.runtime.write_points import WritePoint
from penstock.testing.chaos.trial import BESIDE, ORDERS, TRIPS, Outcome, Trial

PAGE = ROOT / "docs" / "chaos.md"
BACKENDS = ("sqlite", "postgres")
BROKERS = ("kafka", "nats", "redis")
AT_ONCE = 2
KILLS_MAX = 5  # of one store: an event in whose handling six processes have died is given up, as it should be


async def trials(
    points: list[WritePoint], stores: dict[str, str], kills: int, folder: Path
) -> dict[str, list[Outcome]]:
    """Run all trials, some at once, and return the outcomes of each backend in the order of the points."""
    places = asyncio.Semaphore(AT_ONCE)

    async def one(backend: str, point: WritePoint, seed: int, kills: int) -> Outcome:
        async with places:
            name = f"{point.name.lower()}_{seed}"
            place = folder / backend / name
            place.mkdir(parents=True)
            store = stores[backend].format(place=place, schema=f"chaos_{name}_{secrets.token_hex(3)}")
            return await Trial(point, store, place / "outside", kills, seed=seed).outcome()

    async def all_of(backend: str, point: WritePoint) -> Outcome:
        some = [min(KILLS_MAX, kills - done) for done in range(0, kills, KILLS_MAX)]
        outcomes = await asyncio.gather(*(one(backend, point, seed, each) for seed, each in enumerate(some)))
        outcome = sum(outcomes[1:], outcomes[0])
        print(f"{backend:9} {outcome}", file=sys.stderr)
        return outcome

    found = {backend: await asyncio.gather(*(all_of(backend, point) for point in points)) for backend in stores}
    return {backend: list(outcomes) for backend, outcomes in found.items()}


async def broker_trials(
    points: list[WritePoint], brokers: list[str], kills: int, folder: Path
) -> dict[str, list[Outcome]]:
    """Kill workers of apps whose events go over a broker, with SQLite behind it, one broker after the other."""
    found: dict[str, list[Outcome]] = {}
    for broker in brokers:
        (folder / f"broker-{broker}").mkdir()
        async with broker_behind_a_proxy(broker, folder / f"broker-{broker}") as (log, _, _):
            places = asyncio.Semaphore(AT_ONCE)

            async def one(broker: str, point: WritePoint, log: str, places: asyncio.Semaphore) -> Outcome:
                async with places:
                    place = folder / broker / point.name.lower()
                    place.mkdir(parents=True)
                    address = f"{log}{point.name.lower()}-"  # the prefix stands last
                    store = f"sqlite:{place}/shop.db"
                    outcome = await Trial(point, store, place / "outside", kills, log=address).outcome()
                    print(f"{broker}+sqlite {outcome}", file=sys.stderr)
                    return outcome

            outcomes = [one(broker, point, log, places) for point in points if point in BESIDE]
            found[f"{broker}+sqlite"] = list(await asyncio.gather(*outcomes))
    return found


async def faults(brokers: list[str], folder: Path) -> list[FaultOutcome]:
    """Have each broker, and the way to it, fail in each way, one after the other."""
    outcomes: list[FaultOutcome] = []
    wanted = [(broker, fault) for broker in brokers for fault in FAULTS]
    for broker, fault in [*wanted, *([("kafka", CLUSTER_FAULT)] if "kafka" in brokers else [])]:
        place = folder / f"{broker}-{fault.replace(' ', '-')}"
        place.mkdir()
        outcomes.append(await tried(broker, fault, place))
        print(outcomes[-1], file=sys.stderr)
    return outcomes


def fault_lines(outcomes: list[FaultOutcome]) -> list[str]:
    """Return the part of the page that is about brokers."""
    lines = [
        "## Brokers that fail",
        "",
        "Two workers (`penstock run --workers 2`, SQLite) and who sends 400 orders of 8 customers go on while their broker, or the way to",
        "it, fails: killed (SIGKILL, started again after 1 s on the same data), frozen (4 s), behind a TCP proxy that cuts all connections",
        "(3 s), holds them up (3 s) or makes each piece late (50 ms); a worker is killed; a third worker joins and leaves four times",
        "(storm); one of three nodes of Kafka is lost. **pause**: the longest time in which nothing of one customer was shipped.",
        "",
        "| broker | fault | orders | lost | doubled | out of order | repeated with the same key | pause, s | seconds |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {each.broker} | {each.fault} | {each.orders} | {each.lost} | {each.doubled} | {each.out_of_order} "
        f"| {each.repeated} | {each.pause_s:g} | {each.seconds:g} |"
        for each in outcomes
    ]
    return [*lines, "", *(f"- {each.broker}, {each.fault}: {found}" for each in outcomes for found in each.findings)]


def stores_of(backends: list[str], stack: ExitStack) -> dict[str, str]:
    """Return the address of a new store of each backend; those whose server cannot be had are left out."""
    stores = {}
    if "sqlite" in backends:
        stores["sqlite"] = "sqlite:{place}/shop.db"
    if "postgres" in backends:
        try:
            dsn = stack.enter_context(postgres_server()).dsn
        except NoServerError as error:
            print(f"NOT TRIED ON POSTGRES: {error}", file=sys.stderr)
        else:
            stores["postgres"] = f"{dsn}{'&' if '?' in dsn else '?'}schema={{schema}}"
    return stores


def page(outcomes: dict[str, list[Outcome]], failed: list[FaultOutcome]) -> str:
    """Return docs/chaos.md."""
    lines = [
        "# Chaos",
        "",
        "Made by `make chaos`; do not edit. Real processes of an app are killed with SIGKILL at each named write point of the",
        "engine (`penstock.testing.WritePoint`), again and again, each time at another moment; the next process goes on on the",
        f"same store. {ORDERS} orders and {TRIPS} workflow runs are to come through. What steps do is noted outside of the store, one",
        "line per execution, and is compared with what clients were told and what lies on the disk after each kill.",
        "",
        "- **acknowledged**: events whose `send` had returned, and answers that clients had been told, before a kill.",
        "- **lost**: of them, what is not on the disk after the kill, or is answered differently at the end; and orders without an end.",
        "- **duplicated**: steps executed although their record was durable, or under a second key; orders counted twice.",
        "- **out of order**: effects of one key, against the order of the log.",
        "- **repeated with the same key**: executed again because the kill came between the execution and its durable record",
        "  (C4: the outcome is unknown, and the policy is to call again with the same idempotency key). The receiver can tell.",
        "",
        "| backend | killed | kills | acknowledged | lost | duplicated | out of order | repeated with the same key | seconds |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for backend, rows in outcomes.items():
        lines += [
            f"| {backend} | {row.point} | {row.kills} | {row.acknowledged} | {row.lost} | {row.duplicated} "
            f"| {row.out_of_order} | {row.repeated} | {row.seconds:.1f} |"
            for row in rows
        ]
        total = [sum(getattr(row, name) for row in rows) for name in NUMBERS]
        lines.append(f"| {backend} | **all** | " + " | ".join(f"**{each:g}**" for each in total) + " |")
    findings = [
        f"- {backend}, {row.point}: {each}"
        for backend, rows in outcomes.items()
        for row in rows
        for each in row.findings
    ]
    lines += [
        "",
        *findings,
        *([""] if findings else []),
        *fault_lines(failed),
        f"Machine: {machine()}. Commit: {commit()}.",
    ]
    lines.append("Postgres runs here with `fsync=off`: its clients are killed, the machine is not.")
    return "\n".join(lines) + "\n"


NUMBERS = ("kills", "acknowledged", "lost", "duplicated", "out_of_order", "repeated", "seconds")


def machine() -> str:
    return f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"


def commit() -> str:
    found = subprocess.run(
        ["git", "rev-parse", "--short=10", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return found.stdout.strip() or "unknown"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=10, help="kills per write point and backend (10)")
    parser.add_argument("--point", action="append", choices=[each.value for each in WritePoint], help="only this one")
    parser.add_argument("--backend", action="append", choices=BACKENDS, help="only this one")
    parser.add_argument("--broker", action="append", choices=[*BROKERS, "none"], help="only this one, or none")
    parser.add_argument("--broker-kills", type=int, default=2, help="kills per write point and broker (2)")
    parser.add_argument("--json", action="store_true", help="print the outcomes as JSON, and write no page")
    chosen = parser.parse_args()
    points = [WritePoint(each) for each in chosen.point or WritePoint]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="penstock-chaos-")))
        stores = stores_of(chosen.backend or ([] if chosen.broker else list(BACKENDS)), stack)
        outcomes = asyncio.run(trials(points, stores, chosen.kills, folder))
        failed: list[FaultOutcome] = []
        brokers = [each for each in chosen.broker or BROKERS if each != "none"]
        try:
            outcomes |= asyncio.run(broker_trials(points, brokers, chosen.broker_kills, folder))
            failed = asyncio.run(faults(brokers, folder))
        except NoBrokerError as error:
            print(f"NOT TRIED ON ALL BROKERS: {error}", file=sys.stderr)
    plain = {backend: [asdict(row) for row in rows] for backend, rows in outcomes.items()}
    if chosen.json:
        print(
            json.dumps(
                {
                    "machine": machine(),
                    "commit": commit(),
                    "outcomes": plain,
                    "faults": [asdict(each) for each in failed],
                },
                indent=2,
            )
        )
    else:
        whole = not (chosen.point or chosen.backend or chosen.broker) and set(BACKENDS) < set(outcomes) and bool(failed)
        text = page(outcomes, failed)
        print(text)
        if whole:
            PAGE.write_text(text, encoding="utf-8")
    held = all(row.holds for rows in outcomes.values() for row in rows) and all(each.holds for each in failed)
    return 0 if outcomes and held else 1


if __name__ == "__main__":
    sys.exit(main())
