"""docs/benchmarks.md: what was measured, on what, and what each figure includes. Values in, text out."""

from collections.abc import Mapping, Sequence
from typing import Any

from comparison import Comparison
from workloads import Load

BUSY = 0.25  # of the cores: above that, something else was running
IDLE = (("app", "an app with one agent on SQLite"), ("knowledge", "the same with a collection, its embedder loaded"))

INCLUDES = """\
- **Durable** means for all sides: fsync is on, and the result leaves after everything that it follows from is on the disk. Every
  side computes the steps with the same functions and retrieves in batches.
- **What waits** differs, and is in the tables. In the peers a step waits until the one before is recorded; Temporal's local
  activities are recorded together, when the workflow waits for something else or ends. In penstock a handler says what needs
  that: `ctx.step`, for calls that change something outside, waits; `ctx.read`, for calls that change nothing, does not. After a
  crash a `read` whose record was not written yet is executed again. The first four steps of W1 change nothing, and the fifth is
  the end of the turn; so both rows are shown. Compare `ctx.step` with the peers to compare engines under the same rule, and
  `ctx.read` to see what a user gains who says that a step changes nothing.
- **The child of W2** is a child run in Restate, DBOS and Temporal, a graph within the task in LangGraph, two steps that events go
  through in LlamaIndex. In penstock `ctx.map` takes any async function: in the first two rows it does two steps, as branches of
  the run do, and in "child runs" it calls an agent that does them, which is a run of its own with a key, retries and a record.
- **Processes**: penstock, LangGraph, DBOS, LlamaIndex and the loop by hand run in the client's process, and their figures hold no
  network. Restate is a server and an endpoint, which the client reaches over HTTP on this machine; Temporal is a server, which
  the client and the worker, one process, reach over gRPC: their figures hold that, and cannot be had without. Put HTTP in front
  of penstock (`penstock serve`) before you compare it with them as servers.
- **Two workers** are two processes on one store, each with half of the clients. Its sessions are sent to the worker that owns them,
  as a router by key does; "sent to either" is without such a router: half of the turns go over to the other one by the store.
- **Postgres** is one of its own on this machine, with fsync on and otherwise as shipped; its processor time is not in the figures
  of penstock's rows.
- **Processor time** is that of all processes of a side, with the client. It suffers least from a busy machine, but it does suffer.
- **Bytes** are what the files grew by: SQLite's after a checkpoint, but for Temporal, whose server keeps its file open; Restate's
  as its server left them.
- **Not measured**: several machines, replication, models, recovery time, memory over hours.
- **Settings of the peers**: the best that were found on two cores. Restate: one partition (24 as shipped) and granian. DBOS and
  LangGraph: SQLite with a write-ahead log and synchronous=FULL (DBOS as shipped: a rollback journal), LangGraph with
  durability="sync". Temporal: its development server on SQLite with the same settings, local activities, no sandbox.
  LlamaIndex: its DBOS runtime on SQLite with the same settings, with a poll each 10 ms instead of 1 s; it is so slow here that it
  is measured in one round, with a longer window. The peers on Postgres are not measured here. Tell us of better settings.
- **The spread** in brackets is from the lowest to the highest round. Where it is wide, the figure says little.
"""


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
    shown: set[str] = set()
    for load in comparison.loads:
        page += [f"## {load.workload.heading(load.in_flight)}", ""]
        if load.workload.name not in shown:
            page += [load.workload.what, ""]
            shown.add(load.workload.name)
        page += [*table(comparison, load), ""]
    page += [
        f"Medians of {comparison.rounds} rounds, in which one side ran after the other; the window is in the last part of",
        'this page. "Times as fast" is the median of the rounds\' ratios.',
        "",
    ]
    page += _alone(comparison.alone)
    page += ["## What the figures include", "", INCLUDES]
    page += ["## On what", "", *_machine_lines(on), *_window_lines(comparison), *_version_lines(comparison), ""]
    return "\n".join(page)


def table(comparison: Comparison, load: Load) -> list[str]:
    """Return the lines of one load's table. Its last columns say how many times as fast ours are."""
    takers = comparison.takers(load)
    own = [side for side in takers if side.compared]
    (_, rate), *others = load.workload.columns
    head = ["", "waits for the disk", f"{rate} (rounds)", *(heading for _, heading in others)]
    head += [f"{side.title}: times as fast" for side in own]
    lines = [_line(head), _line(["---"] * len(head))]
    for side in takers:
        of = comparison.medians(load, side.name)
        first, *more = (shown(of[name]) for name, _ in load.workload.columns)
        ratios = ["" if side.is_ours else shown(comparison.times_as_fast(load, each.name, side.name)) for each in own]
        lines.append(_line([side.title, side.waits, first + _spread(comparison, load, side.name), *more, *ratios]))
    return lines


def shown(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _spread(comparison: Comparison, load: Load, side: str) -> str:
    spread = comparison.spread(load, side)
    return "" if spread is None else f" ({shown(spread[0])} to {shown(spread[1])})"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _alone(found: Mapping[str, Any]) -> list[str]:
    page: list[str] = []
    if "idle" in found:
        page += ["## An app that does nothing", "", _line(["", "RSS MiB"]), _line(["---", "---"])]
        page += [_line([title, shown(found["idle"][name])]) for name, title in IDLE if name in found["idle"]]
        page += [""]
    if "storage" in found:
        sizes, turns = found["storage"]["bytes"], found["storage"]["turns"]
        first, second = _half_growth(sizes["off"])
        told = (
            f"What one session takes on the disk over {turns[-1]:,} turns of W1, {found['storage']['days_a_part']} days for each"
            f" {turns[1]:,} of them: {shown(sizes['off'][-1] / 1e6)} MB when nothing is ever removed (the first half takes"
            f" {shown(first)} bytes a turn, the second {shown(second)}), {shown(sizes['default'][-1] / 1e6)} MB with"
            " retention as by default."
        )
        page += [
            "## Storage",
            "",
            told,
            "",
            "![bytes on the disk over the turns of one session](storage.svg)",
            "",
        ]
    if "flame" in found:
        page += [
            "## Where a turn's time goes",
            "",
            f"[Flame graph](flame.svg) of W1 at 64 in flight, {found['flame']}.",
            "",
        ]
    return page


def _half_growth(sizes: Sequence[int]) -> tuple[float, float]:
    """Return the bytes a turn of the first and of the second half."""
    from storage import PART

    middle = len(sizes) // 2
    return (
        (sizes[middle] - sizes[0]) / (PART * middle),
        (sizes[-1] - sizes[middle]) / (PART * (len(sizes) - 1 - middle)),
    )


def _machine_lines(on: Mapping[str, Any]) -> list[str]:
    return [
        f"- {on['processor']}, {on['cores']} cores, {on['memory_gib']} GiB; {on['system']}; {on['filesystem']}",
        f"- penstock at commit {on['commit']}; Python {on['python']}",
        *([f"- Postgres {on['postgres']}"] if "postgres" in on else []),
    ]


def _window_lines(comparison: Comparison) -> list[str]:
    windows = {load.workload.title: load.seconds for load in comparison.loads}
    return [f"- window: {', '.join(f'{title} {seconds:g} s' for title, seconds in windows.items())}"]


def _version_lines(comparison: Comparison) -> list[str]:
    lines: list[str] = []
    mine: list[dict[str, str]] = []
    for side in comparison.sides:
        runs = [run for load in comparison.loads for run in comparison.runs(load, side.name)]
        told = next((run for run in runs if "versions" in run), None)
        if told is None:
            continue
        of = told["versions"] | told.get("settings", {})
        if side.is_ours:
            if of in mine:
                continue  # as one before
            mine.append(of)
        lines.append(f"- {side.title}: {', '.join(f'{name} {value}' for name, value in of.items())}")
    return lines
