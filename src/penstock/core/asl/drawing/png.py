"""A picture of a machine as PNG, by Pillow and the font that comes with it: no other program, no font of the system."""

import itertools
from collections.abc import Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

from penstock.core.asl.drawing.layout import LINE_PX, PAD_PX, Box, Line, Picture, Point
from penstock.core.asl.drawing.svg import CAUGHT, FILLS, GROUP, MARGIN_PX, ROUND, SOFT, STROKE, TEXT, hexagon_points
from penstock.errors import LimitReached, Missing

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw

PIXELS_MAX: Final = 100_000_000
_SCALE: Final = 2
_CURVE_STEPS: Final = 16


def png_bytes(picture: Picture) -> bytes:
    """Return the PNG of a picture, with two pixels for each of its units."""
    try:
        from PIL import Image, ImageDraw, ImageFont
    except ImportError as error:
        raise Missing("Pillow", "pip install 'penstock[pictures]', or draw it as svg or mermaid") from error
    size = tuple(round((side + 2 * MARGIN_PX) * _SCALE) for side in (picture.width, picture.height))
    if size[0] * size[1] > PIXELS_MAX:
        raise LimitReached("pixels of a picture", size[0] * size[1], PIXELS_MAX)
    image = Image.new("RGB", (size[0], size[1]), "#ffffff")
    pen = _Pen(ImageDraw.Draw(image), [ImageFont.load_default(px * _SCALE) for px in (12, 11)])
    pen.picture(picture.moved(MARGIN_PX, MARGIN_PX))
    written = BytesIO()
    image.save(written, "PNG", optimize=True)
    return written.getvalue()


class _Pen:
    """Draws on one image, in the units of the picture."""

    def __init__(self, draw: "ImageDraw", fonts: Sequence[Any]) -> None:
        self._draw = draw
        self._fonts = fonts

    def picture(self, picture: Picture) -> None:
        for line in picture.lines:
            self._arrow(line)
        for box in picture.boxes:
            self._box(box)
        for line in picture.lines:
            if line.edge.label:
                self._text(line.label_at, line.edge.label, soft=True)

    def _arrow(self, line: Line) -> None:
        colour = CAUGHT if line.edge.kind == "catch" else STROKE
        points = _scaled(_curved(line.points))
        self._draw.line(points, fill=colour, width=_SCALE, joint="curve")
        (x0, y0), (x1, y1) = points[-2], points[-1]
        length = max(1.0, ((x1 - x0) ** 2 + (y1 - y0) ** 2) ** 0.5)
        dx, dy = (x1 - x0) / length * 8 * _SCALE, (y1 - y0) / length * 8 * _SCALE
        self._draw.polygon(
            [(x1, y1), (x1 - dx - dy / 2, y1 - dy + dx / 2), (x1 - dx + dy / 2, y1 - dy - dx / 2)], fill=colour
        )

    def _box(self, box: Box) -> None:
        node = box.node
        fill = FILLS.get(node.status, FILLS[""]) if node.status or not box.inside else GROUP
        corners = _scaled([(box.x, box.y), (box.x + box.width, box.y + box.height)])
        if node.kind == "Choice":
            self._draw.polygon(_scaled(hexagon_points(box)), fill=fill, outline=STROKE, width=_SCALE)
        else:
            radius = (box.height / 2 if node.kind in ROUND else 6) * _SCALE
            self._draw.rounded_rectangle(corners, radius, fill=fill, outline=STROKE, width=_SCALE)
        for number, text in enumerate(node.lines):
            y = box.y + PAD_PX / 2 + (number + 0.85) * LINE_PX
            self._text((box.x + box.width / 2, y), text, soft=bool(number), halo=False)
        for each in box.inside:
            frame = _scaled([(each.x - 5, each.y - 5), (each.x + each.width + 5, each.y + each.height + 5)])
            self._draw.rounded_rectangle(frame, 6 * _SCALE, fill="#ffffff", outline=SOFT, width=1)
            self.picture(each)

    def _text(self, at: Point, text: str, *, soft: bool, halo: bool = True) -> None:
        [place] = _scaled([at])
        font, colour = self._fonts[1 if soft else 0], SOFT if soft else TEXT
        stroke = 3 if halo else 0
        self._draw.text(place, text, fill=colour, font=font, anchor="ms", stroke_width=stroke, stroke_fill="#ffffff")


def _scaled(points: Sequence[Point]) -> list[Point]:
    return [(x * _SCALE, y * _SCALE) for x, y in points]


def _curved(points: Sequence[Point]) -> Sequence[Point]:
    """Return the points of the curve that the SVG draws; arrows that go back are straight in both."""
    if points[0][1] > points[-1][1]:
        return points
    drawn = [points[0]]
    for (x0, y0), (x1, y1) in itertools.pairwise(points):
        middle = (y0 + y1) / 2
        for step in range(1, _CURVE_STEPS + 1):
            t = step / _CURVE_STEPS
            a, b, c, d = (1 - t) ** 3, 3 * (1 - t) ** 2 * t, 3 * (1 - t) * t**2, t**3
            drawn.append((a * x0 + b * x0 + c * x1 + d * x1, a * y0 + b * middle + c * middle + d * y1))
    return drawn
