"""The page of `make bench-vectors`, and its pictures: build time, latency and memory from the smallest size to the largest."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

PICTURES = {
    "build": ("Build time, CPU seconds", "build_cpu_s"),
    "latency": ("Search of all vectors, p50, ms", "all_p50_ms"),
    "tenant": ("Search of one tenant of 1,000, p50, ms", "tenant_p50_ms"),
    "memory": ("Memory, MB (not mapped files)", "anon_mb"),
}
COLOURS = ("#4c78a8", "#f58518", "#54a24b", "#b279a2", "#e45756", "#72b7b2", "#9d755d", "#79706e")
WIDE, TALL, LEFT, TOP = 520, 300, 64, 44

COLUMNS = (
    ("engine", "engine"),
    ("build, CPU s", "build_cpu_s"),
    ("open s", "open_s"),
    ("memory MB", "anon_mb"),
    ("disk MB", "disk_mb"),
    ("all p50 / p99 ms (recall)", "all"),
    ("tenant", "tenant"),
    ("1 % of time", "range"),
    ("both", "both"),
    ("upsert p50 / p99 ms", "upsert"),
    ("until seen", "seen"),
)


def page(
    results: Sequence[dict[str, Any]], machine: dict[str, Any], embedded: dict[str, float], document: Path
) -> dict[Path, str]:
    """The document and its pictures, by path."""
    pictures = {
        document.with_name(f"vectors-{name}.svg"): plot(title, key, results) for name, (title, key) in PICTURES.items()
    }
    sizes = sorted({each["size"] for each in results})
    lines = [
        "# Vectors: the embedded index beside other engines",
        "",
        "Made by `make bench-vectors`. Distinct real texts (docstrings, manuals and documentation on the machine; two pieces of one source",
        f"each, {embedded['chars']:.0f} characters), embedded by the default embedder at 256 dimensions; {embedded['a_second']:.0f} of these texts a second, on this machine as busy as it was.",
        "Questions are first sentences of docstrings that were taken out of the texts. Tenants: 1,000. Recall@10 is against exact answers.",
        "",
        f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gib']} GiB, Python {machine['python']}, load before {machine['load_before']}, commit {machine['commit']}.",
        "**The machine was shared**: read ratios, and the 99th percentiles as upper bounds.",
        "",
        "Penstock writes text, metadata, words and vectors, durable to loss of power, and is searchable at each moment of its build; the others get vectors and two",
        "fields, and their writes are durable to what each does by default. Memory is what is not a mapped file; for penstock `resident` counts mapped files too.",
    ]
    for size in sizes:
        lines += [
            "",
            f"## {size:,} vectors",
            "",
            *_table([each for each in results if each["size"] == size]),
            *_ours(results, size),
        ]
    lines += [
        "",
        "## How cost grows",
        "",
        *(f"![{PICTURES[path.stem.removeprefix('vectors-')][0]}]({path.name})" for path in pictures),
    ]
    return {document: "\n".join([*lines, ""]), **pictures}


def _table(results: Sequence[dict[str, Any]]) -> list[str]:
    rows = [f"| {' | '.join(title for title, _ in COLUMNS)} |", f"|{' --- |' * len(COLUMNS)}"]
    rows += [f"| {' | '.join(_cell(each, key) for _, key in COLUMNS)} |" for each in results if "failed" not in each]
    return rows + [f"\nNot measured: {each['engine']}: {each['failed']}" for each in results if "failed" in each]


def _cell(result: dict[str, Any], key: str) -> str:
    if f"{key}_p50_ms" in result:
        recall = result.get(f"{key}_recall")
        return f"{result[f'{key}_p50_ms']:.2f} / {result[f'{key}_p99_ms']:.2f}" + (
            "" if recall is None else f" ({recall:.3f})"
        )
    return str(result.get(key, "-"))


def _ours(results: Sequence[dict[str, Any]], size: int) -> list[str]:
    mine = next((each for each in results if each["size"] == size and "rss_mb" in each), None)
    if mine is None:
        return []
    return [
        "",
        f"Penstock alone: resident {mine['rss_mb']} MB, with the vectors that the measuring itself maps; a question by words {_cell(mine, 'words')} ms; killed amid single writes: {mine['after_kill']} of {mine['acknowledged']}",
        f"acknowledged were found after opening; answers that were wrong after an upsert, update or delete: {mine['wrong']}. While embedding and indexing",
        f"{mine['ingested_a_second']} passages a second in batches: a single write until found {_cell(mine, 'strong')} ms, a search {_cell(mine, 'beside')} ms.",
    ]


def plot(title: str, key: str, results: Sequence[dict[str, Any]]) -> str:
    """Lines over sizes, both axes logarithmic."""
    lines: dict[str, list[tuple[int, float]]] = {}
    for each in results:
        if each.get(key):
            lines.setdefault(each["engine"], []).append((each["size"], max(float(each[key]), 1e-3)))
    points = [point for line in lines.values() for point in line]
    if not points:
        return '<svg xmlns="http://www.w3.org/2000/svg"/>\n'
    sizes, values = [size for size, _ in points], [value for _, value in points]
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)) + 1e-9)
    first, last = math.log10(min(sizes)), max(math.log10(max(sizes)), math.log10(min(sizes)) + 1e-9)

    def place(size: float, value: float) -> tuple[float, float]:
        across = (math.log10(size) - first) / (last - first)
        up = (math.log10(value) - low) / max(1, high - low)
        return LEFT + across * WIDE, TOP + TALL * (1 - up)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDE + 150}" height="{TOP + TALL + 40}" font-family="system-ui, sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="#ffffff"/>',
        f'<text x="{LEFT}" y="24" font-size="15" font-weight="600">{title}</text>',
    ]
    for power in range(low, high + 1):
        _, y = place(min(sizes), 10.0**power)
        parts.append(f'<line x1="{LEFT}" y1="{y:.1f}" x2="{LEFT + WIDE}" y2="{y:.1f}" stroke="#dddddd"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{10.0**power:g}</text>')
    for size in sorted(set(sizes)):
        x, _ = place(size, 10.0**low)
        parts.append(f'<text x="{x:.1f}" y="{TOP + TALL + 20}" text-anchor="middle">{size:,}</text>')
    for number, (engine, line) in enumerate(lines.items()):
        colour = COLOURS[number % len(COLOURS)]
        placed = [place(*point) for point in sorted(line)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in placed)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in placed]
        parts.append(f'<text x="{LEFT + WIDE + 12}" y="{TOP + 14 + 18 * number}" fill="{colour}">{engine}</text>')
    return "\n".join([*parts, "</svg>", ""])
