"""`make conformance`: run `penstock conformance` on every tier whose servers can be had here, and write docs/conformance.md.

make conformance                                the page
make conformance ARGS="--only ray"              the rows whose names have it; no page
make conformance ARGS="--tier kafka+redis --json"
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from conformance_rows import TIERS, rows
from made_on import commit, machine, made_on

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "conformance.md"


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
        "On Ray, its handlers are executed by actors, of which some are killed too. On Flink, its agents are a job, with its checkpoints:",
        "what a job is known not to keep whole does not hold, and what it has not is not there; why is said below.",
        "",
        "The outcome is a digest of all answers, sessions and results: equal digests mean equal outcomes. That of agents alone, where",
        "there is nothing else, has an `a` before it.",
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
        outcome = report["outcome"] or f"a {report['outcome_of_agents']}"
        lines.append(f"| {tier} | {cells} | `{outcome}` | {report['seconds']:g} |")
    for tier, report in reports.items():
        if "rows" in report:
            lines += section(tier, report)
    first = next((report for report in reports.values() if "rows" in report), {"rows": []})
    lines += ["", "## What is tried", ""]
    lines += [f"- **{row['guarantee']} {row['name']}**: {row['tried']}." for row in first["rows"]]
    lines += ["", made_on()]
    return "\n".join(lines) + "\n"


def section(tier: str, report: dict[str, Any]) -> list[str]:
    """Return what was counted on a tier."""
    lines = ["", f"## {tier}", "", "| guarantee | result | counted |", "| --- | --- | --- |"]
    for row in report["rows"]:
        counts = ", ".join(f"{name} {value:g}" for name, value in row["counts"].items())
        why = row["absent"] or row["limit"]
        result = f"{row['result']}: {why}" if why and not row["findings"] else row["result"]
        lines.append(f"| {row['guarantee']} {row['name']} | {result} | {counts} |")
    found = [f"- {row['guarantee']}: {each}" for row in report["rows"] for each in row["findings"]]
    return [*lines, "", f"Agents alone came to `{report['outcome_of_agents']}`.", *(["", *found] if found else [])]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tier", action="append", choices=list(TIERS), help="only this one")
    parser.add_argument(
        "--only", action="append", metavar="PART", help="only those with this in their names: ray, kafka, ..."
    )
    parser.add_argument("--kills", type=int, default=4, help="lives that end by SIGKILL (4)")
    parser.add_argument("--json", action="store_true", help="print the reports as JSON, and write no page")
    parser.add_argument(
        "--in-the-network-of-ray", default="", help=argparse.SUPPRESS
    )  # a Python: how rows on Ray are run
    chosen = parser.parse_args()
    names = [each for each in TIERS if chosen_by(each, chosen.tier or (), chosen.only or ())]
    if not names:
        parser.error(f"no tier has {' or '.join(chosen.only)} in its name: {'; '.join(TIERS)}")
    if chosen.in_the_network_of_ray:
        for each in rows(names, chosen.kills, ray_python=chosen.in_the_network_of_ray):
            print(json.dumps(each), flush=True)
        return 0
    reports: dict[str, dict[str, Any]] = {}
    for tier, report in rows(names, chosen.kills):
        reports[tier] = report
        tell(tier, report)
    reports = {each: reports[each] for each in TIERS if each in reports}
    if chosen.json:
        print(json.dumps({"machine": machine(), "commit": commit(), "tiers": reports}, indent=2))
    else:
        text = page(reports)
        if len(names) == len(TIERS):
            PAGE.write_text(text, encoding="utf-8")
        print(text)
    return 0 if all(report.get("is_as_said", True) for report in reports.values()) else 1


def chosen_by(name: str, tiers: list[str], parts: list[str]) -> bool:
    """Whether a tier was asked for; without a word, all are."""
    return name in tiers or any(each in name for each in parts) or not (tiers or parts)


def tell(tier: str, report: dict[str, Any]) -> None:
    """Say at once what came of a tier."""
    said = report.get("reason") or (
        "holds" if report["holds"] else "is as it is said" if report["is_as_said"] else "NOT ALL HOLDS"
    )
    took = f" ({report['seconds']:g} s)" if "seconds" in report else ""
    print(f"{tier:22} {said}{took}", file=sys.stderr, flush=True)
    for row in report.get("rows", ()):
        for finding in row["findings"]:
            print(f"    {row['guarantee']}: {finding}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
