"""Bars of several groups as SVG: how much each side carries, and how long an event takes."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

COLOURS = {"penstock": "#4c78a8", "FastStream": "#f58518", "by hand": "#79706e"}
WIDE, LEFT, TOP, BAR, GAP = 430, 250, 48, 18, 20


class Bar(NamedTuple):
    """One side. `mark`: a second value that is shown as a line, a 99th percentile perhaps."""

    title: str
    who: str
    value: float
    mark: float | None = None


def bars(title: str, note: str, groups: Mapping[str, Sequence[Bar]], *, logarithmic: bool = False) -> str:
    """Return the picture."""
    values = [value for group in groups.values() for bar in group for value in (bar.value, bar.mark) if value]
    if not values:
        return '<svg xmlns="http://www.w3.org/2000/svg"/>\n'
    low, high = (10 ** math.floor(math.log10(min(values))), max(values)) if logarithmic else (0.0, max(values))

    def across(value: float) -> float:
        if not logarithmic:
            return value / high * WIDE
        return (math.log10(max(value, low)) - math.log10(low)) / max(1e-9, math.log10(high) - math.log10(low)) * WIDE

    parts: list[str] = []
    y = TOP
    for name, group in groups.items():
        parts.append(f'<text x="{LEFT - 8}" y="{y + 12}" text-anchor="end" font-weight="600">{name}</text>')
        y += BAR
        for bar in group:
            parts += _row(bar, y, across)
            y += BAR + 3
        y += GAP
    head = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDE + 130}" height="{y}" font-family="system-ui, sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="#ffffff"/>',
        f'<text x="12" y="20" font-size="15" font-weight="600">{title}</text>',
        f'<text x="12" y="37" fill="#555555">{note}</text>',
    ]
    return "\n".join([*head, *parts, "</svg>", ""])


def _row(bar: Bar, y: float, across) -> list[str]:
    wide = max(1.0, across(bar.value))
    shown = f"{bar.value:,.0f}" if bar.value >= 10 else f"{bar.value:.1f}"
    row = [
        f'<text x="{LEFT - 8}" y="{y + 13}" text-anchor="end">{bar.title}</text>',
        f'<rect x="{LEFT}" y="{y}" width="{wide:.1f}" height="{BAR}" fill="{COLOURS[bar.who]}"/>',
    ]
    end = wide
    if bar.mark is not None:
        end = max(wide, across(bar.mark))
        shown += f" / {bar.mark:,.0f}" if bar.mark >= 10 else f" / {bar.mark:.1f}"
        middle = y + BAR / 2
        row.append(
            f'<path d="M{LEFT + wide:.1f} {middle}H{LEFT + end:.1f}M{LEFT + end:.1f} {y + 3}V{y + BAR - 3}" stroke="#333333" fill="none"/>'
        )
    return [*row, f'<text x="{LEFT + end + 6:.1f}" y="{y + 13}">{shown}</text>']
