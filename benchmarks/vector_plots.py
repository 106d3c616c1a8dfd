"""Lines over sizes as SVG, both axes logarithmic."""

import math
from collections.abc import Sequence
from typing import Any

COLOURS = ("#4c78a8", "#f58518", "#54a24b", "#b279a2", "#e45756", "#72b7b2", "#9d755d", "#79706e")
WIDE, TALL, LEFT, TOP = 520, 300, 64, 44


def plot(title: str, key: str, results: Sequence[dict[str, Any]]) -> str:
    """One picture: a line for each engine that has any such figure."""
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
