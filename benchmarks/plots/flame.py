"""Draws the stacks that py-spy saw as an SVG that a page can show: python flame.py STACKS.txt PICTURE.svg.

Each line of the stacks is "frame;frame;... COUNT", outermost first. What was seen in less than 0.3 % of the samples is left out,
and so is starting up. Who points at a frame sees its name and its share.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

WIDTH, ROW, MARGIN = 1200, 17, 10
LEAST_SHARE = 0.003
CHARS_A_PIXEL = 1 / 6.6
STARTING_UP = ("_find_and_load", "import_ms", "passages_index", "open_sqlite_store")
OUTERMOST = (
    "Runner.run ",
    "_worker ",
)  # of the event loop and of the writer's thread: what is around them says nothing
COLOURS = {"penstock": "#e8894a", "numpy": "#7fb069", "sqlite": "#6a8fc8"}
OTHERS = "#e6c36a"


@dataclass
class Frame:
    count: int = 0
    below: dict[str, "Frame"] = field(default_factory=dict)


def main(stacks: Path, picture: Path) -> None:
    root = Frame()
    for line in stacks.read_text(encoding="utf-8").splitlines():
        stack, _, count = line.rpartition(" ")
        if stack and not any(each in stack for each in STARTING_UP):
            _add(root, _inner(stack.split(";")), int(count))
    drawn = list(_drawn(root, root.count, 0, 0.0))
    height = (max((depth for depth, *_ in drawn), default=0) + 1) * ROW + 2 * MARGIN
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" font-family="monospace" font-size="11">',
        f"<title>{root.count} samples</title>",
    ]
    for depth, left, share, name in drawn:
        x, width, y = MARGIN + left * (WIDTH - 2 * MARGIN), share * (WIDTH - 2 * MARGIN), MARGIN + depth * ROW
        text = escape(name[: max(0, int(width * CHARS_A_PIXEL) - 1)])
        lines.append(
            f'<g><title>{escape(name)}: {share:.1%}</title><rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{ROW - 1}"'
            f' fill="{_colour(name)}"/><text x="{x + 2:.1f}" y="{y + ROW - 5}">{text}</text></g>'
        )
    picture.write_text("\n".join([*lines, "</svg>", ""]), encoding="utf-8")


def _inner(names: list[str]) -> list[str]:
    return next((names[number:] for number, name in enumerate(names) if name.startswith(OUTERMOST)), names)


def _add(root: Frame, names: list[str], count: int) -> None:
    root.count += count
    frame = root
    for name in names:
        frame = frame.below.setdefault(name, Frame())
        frame.count += count


def _drawn(frame: Frame, total: int, depth: int, left: float) -> Iterator[tuple[int, float, float, str]]:
    """Yield depth, left edge, width (as shares of the whole) and name of each frame that is large enough."""
    for name, below in sorted(frame.below.items()):
        share = below.count / total
        if share >= LEAST_SHARE:
            yield depth, left, share, name
            yield from _drawn(below, total, depth + 1, left)
        left += share


def _colour(name: str) -> str:
    return next((colour for part, colour in COLOURS.items() if part in name), OTHERS)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
