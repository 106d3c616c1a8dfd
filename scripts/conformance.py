"""`make conformance`: run `penstock conformance` on every tier whose servers can be had here, and write docs/conformance.md.

make conformance                          the page
make conformance ARGS="--tier kafka+redis --json"
"""

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
for each in ("brokers", "postgres"):
    sys.path.insert(0, str(ROOT / "tests" / "services" / each))
os.environ["PENSTOCK_REQUIRE_SERVICES"] = "1"  # a server that cannot be had is said, not skipped

import _pytest.outcomes
from kafka_server import required_kafka
from nats_server import required_nats
from postgres_server import postgres_server
from redis_server import required_redis

PAGE = ROOT / "docs" / "conformance.md"
# The name of a tier -> the server of its log, of its state, and the host.
TIERS = {
    "sqlite": ("", "sqlite", "local"),
    "postgres": ("", "postgres", "local"),
    "kafka+sqlite": ("kafka", "sqlite", "local"),
    "kafka+redis": ("kafka", "redis", "local"),
    "kafka+postgres": ("kafka", "postgres", "local"),
    "nats+postgres": ("nats", "postgres", "local"),
    "redis+postgres": ("redis", "postgres", "local"),
    "redis": ("redis", "redis", "local"),
    "sqlite, ray": ("", "sqlite", "ray"),
    "postgres, ray": ("", "postgres", "ray"),
    "kafka+redis, ray": ("kafka", "redis", "ray"),
    "kafka+postgres, ray": ("kafka", "postgres", "ray"),
    "nats+postgres, ray": ("nats", "postgres", "ray"),
    "redis, ray": ("redis", "redis", "ray"),
    "kafka, flink": ("kafka", "", "flink"),
}
WITHIN_S = 180


class Servers:
    """Servers that are started when they are first asked for."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._addresses: dict[str, str] = {"": "", "sqlite": ""}

    def address(self, name: str) -> str:
        """Return the address of a server; `LookupError` where it cannot be had."""
        if name not in self._addresses:
            try:
                server = self._stack.enter_context(STARTERS[name]())
            except (_pytest.outcomes.Failed, OSError, RuntimeError) as error:
                raise LookupError(f"no {name} here: {error}") from error
            self._addresses[name] = server.dsn if name == "postgres" else server.address
        return self._addresses[name]


STARTERS: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    "postgres": lambda: postgres_server(fsync=True),
    "kafka": required_kafka,
    "nats": required_nats,
    "redis": required_redis,
}


def tried(tier: str, servers: Servers, kills: int) -> dict[str, Any]:
    """Run the command on one tier, and return its report, or why there is none."""
    log, store, host = TIERS[tier]
    if host != "local":
        return {"reason": f"not tried: the app of this test does not run on {host} yet"}
    try:
        addresses = {"--log": servers.address(log), "--store": servers.address(store) if store else ""}
    except LookupError as error:
        return {"reason": str(error)}
    flags = [part for name, value in addresses.items() if value for part in (name, value)]
    command = [sys.executable, "-m", "penstock.cli", "conformance", "--json", "--kills", str(kills), *flags]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=WITHIN_S + 120, check=False, cwd=ROOT)
    if ended.returncode not in (0, 1) or not ended.stdout.strip():
        said = ended.stderr.strip().splitlines()
        reason = " ".join(each.strip() for each in said[-2:])
        return {"reason": reason[-300:]}
    return json.loads(ended.stdout)


def page(reports: dict[str, dict[str, Any]]) -> str:
    """Return docs/conformance.md."""
    names = [row["guarantee"] for report in reports.values() for row in report.get("rows", {})]
    names = list(dict.fromkeys(names))
    lines = [
        "# Conformance",
        "",
        "Made by `make conformance`; do not edit. One app (agents, workflows in Python and in the States Language, timers, signals,",
        "sessions, knowledge, dead letters; `penstock.testing.conformance`) runs on every tier, with processes that are killed by SIGKILL",
        "and frozen by SIGSTOP, and what must hold is counted from outside. Run it on your own servers: `penstock conformance --help`.",
        "",
        "The outcome is a digest of all answers, sessions and results: equal digests mean equal outcomes.",
        "",
        "| tier | " + " | ".join(names) + " | outcome | seconds |",
        "| --- | " + " | ".join("---" for _ in names) + " | --- | ---: |",
    ]
    for tier, report in reports.items():
        if "rows" not in report:
            lines.append(f"| {tier} | " + " | ".join("" for _ in names) + f" | {report['reason']} | |")
            continue
        results = {row["guarantee"]: row["result"] for row in report["rows"]}
        cells = " | ".join(results.get(each, "") for each in names)
        lines.append(f"| {tier} | {cells} | `{report['outcome']}` | {report['seconds']:g} |")
    for tier, report in reports.items():
        if "rows" in report:
            lines += ["", f"## {tier}", "", "| guarantee | result | counted |", "| --- | --- | --- |"]
            for row in report["rows"]:
                counts = ", ".join(f"{name} {value:g}" for name, value in row["counts"].items())
                lines.append(f"| {row['guarantee']} {row['name']} | {row['result']} | {counts} |")
            found = [f"- {row['guarantee']}: {each}" for row in report["rows"] for each in row["findings"]]
            lines += ["", *found] if found else []
    first = next((report for report in reports.values() if "rows" in report), {"rows": []})
    lines += ["", "## What is tried", ""]
    lines += [f"- **{row['guarantee']} {row['name']}**: {row['tried']}." for row in first["rows"]]
    lines += ["", f"Machine: {machine()}. Commit: {commit()}."]
    return "\n".join(lines) + "\n"


def machine() -> str:
    return f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"


def commit() -> str:
    found = subprocess.run(
        ["git", "rev-parse", "--short=10", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return found.stdout.strip() or "unknown"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tier", action="append", choices=list(TIERS), help="only this one")
    parser.add_argument("--kills", type=int, default=4, help="lives that end by SIGKILL (4)")
    parser.add_argument("--json", action="store_true", help="print the reports as JSON, and write no page")
    chosen = parser.parse_args()
    reports: dict[str, dict[str, Any]] = {}
    with ExitStack() as stack:
        servers = Servers(stack)
        for tier in chosen.tier or TIERS:
            reports[tier] = report = tried(tier, servers, chosen.kills)
            said = report.get("reason") or ("holds" if report["holds"] else "NOT ALL HOLDS")
            print(f"{tier:22} {said}", file=sys.stderr, flush=True)
            for row in report.get("rows", ()):
                for finding in row["findings"]:
                    print(f"    {row['guarantee']}: {finding}", file=sys.stderr, flush=True)
    if chosen.json:
        print(json.dumps({"machine": machine(), "commit": commit(), "tiers": reports}, indent=2))
    else:
        text = page(reports)
        if not chosen.tier:
            PAGE.write_text(text, encoding="utf-8")
        print(text)
    return 0 if all(report.get("holds", True) for report in reports.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
