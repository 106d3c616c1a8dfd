"""`make chaos`: kill processes at every write point on every backend, and write docs/chaos.md.

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
sys.path.insert(0, str(ROOT / "tests" / "services" / "postgres"))

from postgres_server import NoServerError, postgres_server

from penstock.runtime.write_points import WritePoint
from penstock.testing.chaos.trial import ORDERS, TRIPS, Outcome, Trial

PAGE = ROOT / "docs" / "chaos.md"
BACKENDS = ("sqlite", "postgres")
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


def page(outcomes: dict[str, list[Outcome]]) -> str:
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
    lines += ["", *findings, *([""] if findings else []), f"Machine: {machine()}. Commit: {commit()}."]
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
    parser.add_argument("--json", action="store_true", help="print the outcomes as JSON, and write no page")
    chosen = parser.parse_args()
    points = [WritePoint(each) for each in chosen.point or WritePoint]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="penstock-chaos-")))
        stores = stores_of(chosen.backend or list(BACKENDS), stack)
        outcomes = asyncio.run(trials(points, stores, chosen.kills, folder))
    plain = {backend: [asdict(row) for row in rows] for backend, rows in outcomes.items()}
    if chosen.json:
        print(json.dumps({"machine": machine(), "commit": commit(), "outcomes": plain}, indent=2))
    else:
        whole = not (chosen.point or chosen.backend) and set(outcomes) == set(BACKENDS)
        text = page(outcomes)
        print(text)
        if whole:
            PAGE.write_text(text, encoding="utf-8")
    return 0 if outcomes and all(row.holds for rows in outcomes.values() for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
