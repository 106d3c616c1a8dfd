"""docs/benchmarks-vectors.md, and its pictures: what was measured, on what, and what each figure includes. Values in, text out."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vector_measures import COMMIT_BYTES
from vector_plots import plot

Result = dict[str, Any]

OURS = "penstock"
BUSY = 0.25  # of the cores: above that, something else was running
PICTURES = {
    "build": ("Build, CPU seconds", "build_cpu_s"),
    "latency": ("Search of all vectors, p50, ms", "all_p50_ms"),
    "tenant": ("Search of one tenant of 1,000, p50, ms", "tenant_p50_ms"),
    "memory": ("Memory of the process that searches, MB", "rss_mb"),
}
COLUMNS = (
    ("build s (CPU s)", "build"),
    ("build, memory MB", "build_mb"),
    ("disk MB", "disk_mb"),
    ("open s", "open_s"),
    ("memory MB", "rss_mb"),
    ("all, ms (recall)", "all"),
    ("tenant", "tenant"),
    ("1 % of time", "range"),
    ("both", "both"),
    ("write, ms", "upsert"),
    ("until found", "seen"),
    ("all, beside writes", "beside"),
    ("wrong", "wrong"),
    ("found after a kill", "kill"),
)
COMPARED = (
    ("build, CPU", "build_cpu_s"),
    ("open", "open_s"),
    ("memory", "rss_mb"),
    ("all p50", "all_p50_ms"),
    ("all p99", "all_p99_ms"),
    ("tenant p50", "tenant_p50_ms"),
    ("1 % of time p50", "range_p50_ms"),
    ("both p50", "both_p50_ms"),
    ("beside writes p99", "beside_p99_ms"),
)
# Of a million vectors: what, its figure, at most (or at least, where it says so), unit.
GOALS = (
    ("all vectors, p50", "all_p50_ms", 3.0, "ms"),
    ("all vectors, p99", "all_p99_ms", 5.0, "ms"),
    ("all vectors, recall@10", "all_recall", -0.95, ""),
    ("one tenant of 1,000, p99", "tenant_p99_ms", 1.0, "ms"),
    ("one tenant of 1,000, recall", "tenant_recall", -1.0, ""),
    ("1 % of the time, p99", "range_p99_ms", 5.0, "ms"),
    ("tenant and time, p99", "both_p99_ms", 0.5, "ms"),
    ("text in, durable, until found by vector and by word, p99", "seen_p99_ms", 10.0, "ms"),
    ("open, with the first search", "open_s", 1.0, "s"),
    ("resident memory", "rss_mb", 600.0, "MB"),
    ("embedded on one core, short passages (60 characters) a second", "short_a_second", -30_000.0, ""),
    ("embedded and indexed while the next two are measured, passages a second", "ingested_a_second", -2_970.0, ""),
    ("text in, durable, until found, amid that, p99", "strong_p99_ms", 20.0, "ms"),
)

HEAD = """\
# Vectors: the embedded index beside other engines

Written by `make bench-vectors`; do not edit it by hand. Distinct real texts (docstrings, manuals and documentation on the machine; two pieces of one
source each, {chars:.0f} characters), embedded by the default embedder at 256 dimensions. Questions are first sentences of docstrings that were taken out of
the texts. Recall@10 is against exact answers.

{processor}, {cores} cores, {memory_gib} GiB, {filesystem}, Python {python}, commit {commit}, load before {load_before}; {minutes} minutes.
{busy}"""

INCLUDES = """\
## What the figures include

- **Penstock** takes text and metadata with each vector, indexes words too, and is searched at each moment of its build. What it acknowledges is synced to the
  disk. It runs as `penstock run` sets the interpreter. A write is one passage: embedding, analysis, both indexes and the sync.
- **The others** take vectors and two fields of metadata; libraries (usearch, faiss) vectors only, kept in memory and saved as a whole. What they acknowledge is as
  durable as each makes it by default. Effort (ef, nprobe) is the least of 32, 64, 128, 256, 512 with which recall@10 of all vectors is 0.95, else 512.
- **Builds** may use all cores, and hold all that an engine wants done before it is searched (training, optimising). Penstock
  needs no such step; that it ends merging its parts is waited for, also when it was opened again: the kill may have left what was missing for a merge.
- **Open** is in a new process, up to the answer of the first search. **Memory** is what is resident in that process after some thousand searches, the
  interpreter and mapped files included; of a build, what is no mapped file, at most. Files are in the page cache for all.
- **Tenant**: one of 1,000, by equality. **1 % of time**: a range of numbers. **Both**: mostly no hit or one. Times are p50 / p99.
- **Wrong**: answers after a write, a write of the same number and a delete that did not show it. **Found after a kill**: of the writes acknowledged before
  the process was killed amid them. Penstock is killed amid a load as well.
- **Beside writes**: one searches while another writes, 50 a second.
"""


def page(
    results: Sequence[Result], machine: dict[str, Any], embedded: dict[str, float], minutes: float, document: Path
) -> dict[Path, str]:
    """The document and its pictures, by path."""
    pictures = {
        document.with_name(f"vectors-{name}.svg"): plot(title, key, results) for name, (title, key) in PICTURES.items()
    }
    busy = machine["load_before"] > BUSY * machine["cores"]
    text = [HEAD.format(**machine, **embedded, minutes=minutes, busy=_busy() if busy else "")]
    sizes = sorted({each["size"] for each in results})
    text += [_goals(embedded | _one(results, OURS, sizes[-1]))] if sizes else []
    for size in sizes:
        here = [each for each in results if each["size"] == size]
        text += [f"## {size:,} vectors\n", _table(here), _compared(here), _alone(_one(results, OURS, size))]
    text += [INCLUDES, "## How cost grows\n"]
    text += [f"![{PICTURES[path.stem.removeprefix('vectors-')][0]}]({path.name})" for path in pictures]
    return {document: "\n".join(part for part in text if part).rstrip() + "\n", **pictures}


def _busy() -> str:
    return "**The machine was busy**: read ratios; p99s are upper bounds.\n"


def _one(results: Sequence[Result], engine: str, size: int) -> Result:
    return next((each for each in results if (each["engine"], each["size"]) == (engine, size)), {})


def _goals(ours: Result) -> str:
    if "all_p50_ms" not in ours:
        return ""
    rows = [f"## Penstock's goals at {ours['size']:,}\n", "| | goal | measured | |", "| --- | --- | --- | --- |"]
    if ours["size"] < 1_000_000:
        rows[0] = rows[0].replace("goals at", "goals for a million, at")
    for what, key, bound, unit in GOALS:
        if key not in ours:
            continue
        met = ours[key] <= bound if bound >= 0 else ours[key] >= -bound
        goal = f"{'at most' if bound >= 0 else 'at least'} {abs(bound):g} {unit}".rstrip()
        rows.append(f"| {what} | {goal} | {f'{ours[key]:g} {unit}'.rstrip()} | {'met' if met else '**missed**'} |")
    if "long_a_second" in ours:
        rows.append(
            f"\nWhole texts of {ours['chars']:.0f} characters: {ours['long_a_second']:,.0f} embedded a second on one core."
        )
    return "\n".join([*rows, ""])


def _table(results: Sequence[Result]) -> str:
    rows = [f"| engine | {' | '.join(title for title, _ in COLUMNS)} |", f"|{' --- |' * (len(COLUMNS) + 1)}"]
    rows += [
        f"| {each['engine']} | {' | '.join(_cell(each, key) for _, key in COLUMNS)} |"
        for each in results
        if "build_s" in each
    ]
    for each in results:
        if reason := each.get("failed", each.get("skipped")):
            rows.append(f"\nNot measured{' to its end' if 'build_s' in each else ''}: {each['engine']}: {reason}.")
        elif times := each.get("hung"):
            rows.append(
                f"\n{each['engine']} did not answer any more in {times} of {times + 1} attempts, and was ended and begun again."
            )
    return "\n".join([*rows, ""])


def _cell(result: Result, key: str) -> str:
    if key == "build" and "build_s" in result:
        return f"{result['build_s']:g} ({result['build_cpu_s']:g})"
    if key == "kill" and "acknowledged" in result and "after_kill" in result:
        return f"{result['after_kill']} of {result['acknowledged']}"
    if f"{key}_p50_ms" in result:
        recall = result.get(f"{key}_recall")
        shown = f"{result[f'{key}_p50_ms']:.2f} / {result[f'{key}_p99_ms']:.2f}"
        return shown if recall is None else f"{shown} ({recall:.3f})"
    return str(result.get(key, "-"))


def _compared(results: Sequence[Result]) -> str:
    """Each figure of the others over ours; and where they are ahead, in words."""
    ours = _one(results, OURS, results[0]["size"]) if results else {}
    others = [each for each in results if each["engine"] != OURS and "all_p50_ms" in each]
    if "all_p50_ms" not in ours or not others:
        return ""
    rows = [
        "Figures of the others over penstock's: above 1 penstock is quicker or smaller, below 1 the other is.\n",
        f"| engine | {' | '.join(title for title, _ in COMPARED)} |",
        f"|{' --- |' * (len(COMPARED) + 1)}",
    ]
    ahead: list[str] = []
    for each in others:
        ratios = [_ratio(each, ours, key) for _, key in COMPARED]
        rows.append(f"| {each['engine']} | {' | '.join('-' if r is None else f'{r:.2f}' for r in ratios)} |")
        better = [title for (title, _), ratio in zip(COMPARED, ratios, strict=True) if ratio is not None and ratio < 1]
        if better:
            ahead.append(f"{each['engine']} ({', '.join(better)})")
    if ahead:
        rows.append(f"\nAhead of penstock here: {'; '.join(ahead)}.")
    return "\n".join([*rows, ""])


def _ratio(other: Result, ours: Result, key: str) -> float | None:
    return other[key] / ours[key] if ours.get(key) and other.get(key) is not None else None


def _alone(ours: Result) -> str:
    if "ingested_a_second" not in ours:
        return ""
    said = (
        f"Penstock alone: a question by words {_cell(ours, 'words')} ms. While it embeds and indexes {ours['ingested_a_second']:,} passages a second in\n"
        f"batches: text in, durable, until found {_cell(ours, 'strong')} ms; a search {_cell(ours, 'amid')} ms; resident {ours['loaded_mb']} MB in the end.\n"
    )
    if "merging_s" in ours:
        said += (
            f"Once opened it made one part of several, for {ours['merging_s']} s: a search amid that {_cell(ours, 'merging')} ms, resident {ours['merging_mb']} MB\n"
            "at most. What is above was measured after it.\n"
        )
    if "sync_p50_ms" not in ours:
        return said
    return (
        f"{said}The disk's part of a write: {COMMIT_BYTES:,} bytes at the end of a file and their sync, by themselves, took {_cell(ours, 'sync')} ms between\n"
        f"the single writes, and {_cell(ours, 'sync_amid')} ms amid that load.\n"
    )
