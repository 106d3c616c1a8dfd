"""Bars in groups, as SVG: one group for each figure, one bar for each way of getting it."""

from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

BAR, GAP, BETWEEN = 46, 6, 44
LEFT, TOP, TALL, BELOW = 48, 64, 220, 58
TICKS = 5
COLOURS = ("#4c78a8", "#f58518", "#54a24b", "#b279a2", "#e45756", "#72b7b2")

Groups = Mapping[str, Mapping[str, float]]


def bars(title: str, groups: Groups, *, unit: str = "", top: float | None = None) -> str:
    """Return a chart: `groups` are name -> bar -> height. `top` is the end of the scale (default: the highest bar)."""
    names = list(dict.fromkeys(bar for group in groups.values() for bar in group))
    highest = top or max((height for group in groups.values() for height in group.values()), default=1.0) or 1.0
    group_width = len(names) * (BAR + GAP) + BETWEEN
    width = max(LEFT + group_width * len(groups) + BETWEEN, 420)
    size = f'width="{width}" height="{TOP + TALL + BELOW}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="system-ui, sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="#ffffff"/>',
        _text(LEFT, 24, title, 'font-size="15" font-weight="600"'),
        *_legend(names),
        *_scale(highest, width, unit),
    ]
    for number, (group, heights) in enumerate(groups.items()):
        parts += _group(LEFT + BETWEEN // 2 + number * group_width, group, heights, (names, highest))
    return "\n".join([*parts, "</svg>", ""])


def _legend(names: Sequence[str]) -> list[str]:
    parts: list[str] = []
    left = LEFT
    for name, colour in zip(names, _colours(len(names)), strict=True):
        parts.append(f'<rect x="{left}" y="36" width="11" height="11" fill="{colour}"/>')
        parts.append(_text(left + 16, 46, name))
        left += 34 + 8 * len(name)
    return parts


def _scale(highest: float, width: int, unit: str) -> list[str]:
    parts: list[str] = []
    for tick in range(TICKS + 1):
        y = TOP + TALL - TALL * tick / TICKS
        parts.append(f'<line x1="{LEFT}" x2="{width - 12}" y1="{y:.1f}" y2="{y:.1f}" stroke="#e0e0e0"/>')
        parts.append(_text(LEFT - 6, y + 4, f"{highest * tick / TICKS:.3g}{unit}", 'text-anchor="end" fill="#666666"'))
    return parts


def _group(left: float, name: str, heights: Mapping[str, float], scale: tuple[Sequence[str], float]) -> list[str]:
    names, highest = scale
    parts: list[str] = []
    for number, (bar, colour) in enumerate(zip(names, _colours(len(names)), strict=True)):
        if bar not in heights:
            continue
        tall = TALL * min(1.0, heights[bar] / highest)
        x = left + number * (BAR + GAP)
        parts.append(
            f'<rect x="{x:.1f}" y="{TOP + TALL - tall:.1f}" width="{BAR}" height="{tall:.1f}" fill="{colour}"/>'
        )
        parts.append(_text(x + BAR / 2, TOP + TALL - tall - 5, _short(heights[bar]), 'text-anchor="middle"'))
    middle = left + len(names) * (BAR + GAP) / 2
    parts.append(_text(middle, TOP + TALL + 22, name, 'text-anchor="middle" font-weight="600"'))
    return parts


def _colours(count: int) -> list[str]:
    return [COLOURS[number % len(COLOURS)] for number in range(count)]


def _text(x: float, y: float, text: str, style: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" {style}>{escape(text)}</text>'


def _short(value: float) -> str:
    return f"{value:.3f}" if value < 1 else f"{value:.3g}"


BINS = 25


def histogram(title: str, lots: Mapping[str, Sequence[float]], *, at: float) -> str:
    """Return how values from 0 to 1 lie, as shares of each lot, one line a lot; `at` marks a place with a line."""
    names = [name for name, values in lots.items() if values]
    shares = {name: _shares(lots[name]) for name in names}
    highest = max((share for each in shares.values() for share in each), default=1.0) or 1.0
    wide, size = 560, f'width="640" height="{TOP + TALL + BELOW}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="system-ui, sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="#ffffff"/>',
        _text(LEFT, 24, title, 'font-size="15" font-weight="600"'),
        *_legend([f"{name} ({len(lots[name]):,})" for name in names]),
        *_scale(100 * highest, 640, " %"),
    ]
    for name, colour in zip(names, _colours(len(names)), strict=True):
        points = " ".join(
            f"{LEFT + wide * (number + 0.5) / BINS:.1f},{TOP + TALL * (1 - share / highest):.1f}"
            for number, share in enumerate(shares[name])
        )
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
    x = LEFT + wide * at
    parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{TOP + TALL}" stroke="#444" stroke-dasharray="4"/>')
    for tick in range(TICKS + 1):
        x = LEFT + wide * tick / TICKS
        parts.append(_text(x, TOP + TALL + 20, f"{tick / TICKS:g}", 'text-anchor="middle" fill="#666666"'))
    return "\n".join([*parts, "</svg>", ""])


def _shares(values: Sequence[float]) -> list[float]:
    counts = [0] * BINS
    for value in values:
        counts[min(BINS - 1, max(0, int(value * BINS)))] += 1
    return [count / len(values) for count in counts]
