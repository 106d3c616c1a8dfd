"""A picture of a machine as SVG: no script, no font, no address in it, so that it can stand anywhere."""

import itertools
from collections.abc import Iterator
from xml.sax.saxutils import escape, quoteattr

from penstock.core.asl.drawing.layout import LINE_PX, PAD_PX, Box, Line, Picture

MARGIN_PX = 16
FILLS = {
    "": "#ffffff",
    "succeeded": "#d9f2e0",
    "caught": "#fdf0d5",
    "failed": "#fbdcdc",
    "running": "#dbe9fb",
    "stopped": "#e2e8f0",
}
STROKE, TEXT, SOFT, GROUP, CAUGHT = "#4a5568", "#1a202c", "#718096", "#f7fafc", "#b03a3a"
ROUND = ("Start", "End", "Succeed", "Fail")
_STYLE = f"""
text {{ font: 12px system-ui, sans-serif; fill: {TEXT}; text-anchor: middle; }}
.soft {{ fill: {SOFT}; font-size: 11px; }}
path {{ fill: none; stroke: {STROKE}; }}
.catch {{ stroke: {CAUGHT}; stroke-dasharray: 5 3; }}
"""


def svg_text(picture: Picture, title: str = "") -> str:
    """Return the SVG of a picture. The title is what a screen reader says."""
    width, height = picture.width + 2 * MARGIN_PX, picture.height + 2 * MARGIN_PX
    shown = picture.moved(MARGIN_PX, MARGIN_PX)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'width="{width:.0f}" height="{height:.0f}" role="img">'
    )
    arrow = (
        '<defs><marker id="arrow" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" '
        f'orient="auto"><path d="M0 0L8 4L0 8z" style="fill:{STROKE};stroke:none"/></marker></defs>'
    )
    named = f"<title>{escape(title)}</title>" if title else ""
    return "\n".join([head, named, f"<style>{_STYLE}</style>", arrow, *_drawn(shown), "</svg>", ""])


def _drawn(picture: Picture) -> Iterator[str]:
    for line in picture.lines:
        yield _path(line)
    for box in picture.boxes:
        yield from _box(box)
    for line in picture.lines:
        if line.edge.label:
            x, y = line.label_at
            halo = 'style="paint-order:stroke;stroke:#ffffff;stroke-width:4px"'
            yield f'<text class="soft" x="{x:.1f}" y="{y:.1f}" {halo}>{escape(line.edge.label)}</text>'


def _path(line: Line) -> str:
    points = line.points
    drawn = f"M{points[0][0]:.1f} {points[0][1]:.1f}"
    if line.edge.source == line.edge.target or points[0][1] > points[-1][1]:
        drawn += "".join(f"L{x:.1f} {y:.1f}" for x, y in points[1:])
    else:
        for (x0, y0), (x1, y1) in itertools.pairwise(points):
            middle = (y0 + y1) / 2
            drawn += f"C{x0:.1f} {middle:.1f} {x1:.1f} {middle:.1f} {x1:.1f} {y1:.1f}"
    kind = ' class="catch"' if line.edge.kind == "catch" else ""
    return f'<path{kind} d="{drawn}" marker-end="url(#arrow)"/>'


def _box(box: Box) -> Iterator[str]:
    middle = box.x + box.width / 2
    node = box.node
    fill = FILLS.get(node.status, FILLS[""]) if node.status or not box.inside else GROUP
    place = f'x="{box.x:.1f}" y="{box.y:.1f}" width="{box.width:.1f}" height="{box.height:.1f}"'
    radius = box.height / 2 if node.kind in ROUND else 6
    if node.kind == "Choice":
        yield f'<path d="{_hexagon(box)}" style="fill:{fill}"/>'
    else:
        yield f'<rect {place} rx="{radius:.1f}" fill={quoteattr(fill)} stroke="{STROKE}"/>'
    for number, line in enumerate(node.lines):
        y = box.y + PAD_PX / 2 + (number + 0.85) * LINE_PX
        soft = ' class="soft"' if number else ""
        yield f'<text{soft} x="{middle:.1f}" y="{y:.1f}">{escape(line)}</text>'
    for each in box.inside:
        frame = (
            f'x="{each.x - 5:.1f}" y="{each.y - 5:.1f}" width="{each.width + 10:.1f}" height="{each.height + 10:.1f}"'
        )
        yield f'<rect {frame} rx="6" fill="#ffffff" stroke="{SOFT}" stroke-dasharray="2 3"/>'
        yield from _drawn(each)


def _hexagon(box: Box) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in hexagon_points(box)) + "z"


def hexagon_points(box: Box) -> tuple[tuple[float, float], ...]:
    """Return the corners of a Choice."""
    cut = min(12.0, box.width / 6)
    left, right, top, bottom = box.x, box.x + box.width, box.y, box.y + box.height
    middle = (top + bottom) / 2
    return (
        (left, middle),
        (left + cut, top),
        (right - cut, top),
        (right, middle),
        (right - cut, bottom),
        (left + cut, bottom),
    )
