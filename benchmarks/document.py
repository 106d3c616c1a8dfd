"""docs/benchmarks.md: what was measured, on what, and what each figure includes. Values in, text out."""

import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from sides import REPOSITORY, Load, Side

FIGURES = ("turns_per_s", "p50_ms", "p99_ms", "cpu_ms_per_turn", "rss_mb", "bytes_per_turn")
BUSY = 0.25  # of the cores: above that, something else was running

INCLUDES = """\
- **The workload** (W1): an event {session_id, text}; 1,000 sessions with 20 messages each; five steps, whose results are
  recorded: embed (256 float32 from a hash), retrieve (exact top 5 of 10,000 vectors), load the last 20 messages and build the
  prompt, a fixed answer in place of a model, add both messages to the session and reply. A closed loop: each client sends its
  next turn when the last one was answered. Every side computes the steps with the same functions and retrieves in batches.
- **Durable** means for all sides: fsync is on, and the reply leaves after everything that it follows from is on the disk.
- **What waits** differs, and is in the table. Restate and DBOS make every step wait until the one before is recorded.
  In penstock a handler says what needs that: `ctx.step`, for calls that change something outside, waits; `ctx.read`, for calls
  that change nothing, does not. After a crash a `read` whose record was not written yet is executed again. The first four steps
  of W1 change nothing, and the fifth is the end of the turn; so both rows are shown. Compare `ctx.step` with the peers to
  compare engines under the same rule, and `ctx.read` to see what a user gains who says that a step changes nothing.
- **Processes**: penstock, DBOS and the loop by hand run in the client's process, and their figures hold no network. Restate is
  a server and an endpoint, which the client reaches over HTTP on this machine: its figures hold that, and cannot be had
  without. Put HTTP in front of penstock (`penstock serve`) before you compare the two as servers.
- **Processor time a turn** is that of all processes of a side, with the client. It suffers least from a busy machine, but it does suffer.
- **Bytes a turn** are what the files grew by: SQLite's after a checkpoint, Restate's as its server left them.
- **Not measured**: several machines, replication, models, recovery time, memory over hours.
- **Settings of the peers**: the best that were found in earlier measurements on two cores. Restate: one partition (24 as
  shipped) and granian. DBOS: SQLite with a write-ahead log and synchronous=FULL (a rollback journal as shipped). Other settings,
  and DBOS on Postgres, are not measured here. Tell us of better ones.
- **The spread** in brackets is from the slowest to the fastest round. Where it is wide, the figure says little.
"""


@dataclass(slots=True)
class Comparison:
    """All runs: side name -> the figures of its rounds, for each load."""

    rounds: int
    loads: list[Load]
    sides: list[Side]
    found: dict[int, dict[str, list[dict[str, Any]]]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    machine: dict[str, Any] = field(default_factory=dict)

    def medians(self, in_flight: int, side: str) -> dict[str, float | None]:
        """The median of each figure over the rounds."""
        rounds = self.found[in_flight].get(side, [])
        return {name: _median([each.get(name) for each in rounds]) for name in FIGURES}

    def spread(self, in_flight: int, side: str) -> str:
        """The slowest and the fastest round's turns a second, as text; empty when there were fewer than two."""
        rates = [each["turns_per_s"] for each in self.found[in_flight].get(side, [])]
        return f" ({_shown(min(rates))} to {_shown(max(rates))})" if len(rates) > 1 else ""

    def ratio(self, in_flight: int, one: str, other: str, figure: str) -> float | None:
        """The median, over the rounds, of one side's figure divided by the other's in the same round."""
        found = self.found[in_flight]
        pairs = zip(found.get(one, []), found.get(other, []), strict=False)
        return _median([mine[figure] / theirs[figure] for mine, theirs in pairs if theirs[figure]])


def machine() -> dict[str, Any]:
    """What the figures were measured on, without the names of anybody or anything on it."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "filesystem": _filesystem(),
        "load_before": round(os.getloadavg()[0], 2),
        "commit": _commit(),
    }


def markdown(comparison: Comparison) -> str:
    """Return the page."""
    on = comparison.machine
    page = ["# Benchmarks", "", "Written by `make bench`; do not edit it by hand.", ""]
    if on["load_before"] > BUSY * on["cores"]:
        page += [
            f"**The machine was busy**: load average {on['load_before']} on {on['cores']} cores before the first run.",
            "The absolute figures are too low; ratios and processor time are steadier.",
            "",
        ]
    for name, reason in comparison.missing.items():
        page += [f"**Not measured: {name}.** {reason}", ""]
    for load in comparison.loads:
        page += [f"## {load.in_flight} in flight", "", *table(comparison, load.in_flight), ""]
    page += [
        f"Medians of {comparison.rounds} rounds of {comparison.loads[0].seconds:g} s each, in which one side ran after the other;",
        "ratios are medians of the rounds' ratios.",
        "",
    ]
    page += ["## What the figures include", "", INCLUDES]
    page += ["## On what", "", *_machine_lines(on), *_version_lines(comparison), ""]
    return "\n".join(page)


def table(comparison: Comparison, in_flight: int) -> list[str]:
    """Return the lines of one load's table. Its last columns say how many times as fast ours are, by either rule."""
    own = [side for side in comparison.sides if side.is_ours]
    head = [
        "",
        "waits for the disk",
        "turns/s (rounds)",
        "p50 ms",
        "p99 ms",
        "CPU ms a turn",
        "RSS MiB",
        "bytes a turn",
    ]
    head += [f"{side.title}: times as fast" for side in own]
    lines = [_line(head), _line(["---"] * len(head))]
    for side in comparison.sides:
        of = comparison.medians(in_flight, side.name)
        ratios = [
            "" if side.is_ours else _shown(comparison.ratio(in_flight, each.name, side.name, "turns_per_s"))
            for each in own
        ]
        rate, *others = (_shown(of[name]) for name in FIGURES)
        spread = comparison.spread(in_flight, side.name)
        lines.append(_line([side.title, side.steps, rate + spread, *others, *ratios]))
    return lines


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _shown(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None


def _machine_lines(on: Mapping[str, Any]) -> list[str]:
    return [
        f"- {on['processor']}, {on['cores']} cores, {on['memory_gib']} GiB; {on['system']}; {on['filesystem']}",
        f"- penstock at commit {on['commit']}; Python {on['python']}",
    ]


def _version_lines(comparison: Comparison) -> list[str]:
    newest = comparison.found[comparison.loads[0].in_flight]
    lines = []
    for side in comparison.sides:
        if rounds := newest.get(side.name):
            of = rounds[-1].get("versions", {}) | rounds[-1].get("settings", {})
            lines.append(f"- {side.title}: {', '.join(f'{name} {value}' for name, value in of.items())}")
    return lines


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _filesystem() -> str:
    from penstock.bench.machine import filesystem

    return filesystem(REPOSITORY) or "an unknown file system"


def _commit() -> str:
    def git(*words: str) -> str:
        done = subprocess.run(["git", *words], cwd=REPOSITORY, capture_output=True, text=True, check=False)
        return done.stdout.strip()

    changed = " with changes in src" if git("status", "--porcelain", "--", "src") else ""
    return (git("rev-parse", "--short=12", "HEAD") or "unknown") + changed
