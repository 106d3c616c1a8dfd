"""Where boxes and arrows of a graph lie: layers from top to bottom, arrows that go back on the right, boxes in boxes.

The layer of a state is the longest way to it. Within a layer, states stand near the states that lead to them. An arrow that
passes layers runs through a gap that is kept for it in each.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from penstock.core.asl.drawing.graph import Edge, Graph, Node

CHAR_PX, LINE_PX = 7.2, 17.0
PAD_PX, GAP_X_PX, GAP_Y_PX = 12.0, 36.0, 54.0
LANE_PX: Final = 22.0
_WIDTH_MIN_PX: Final = 84.0
_SWEEPS: Final = 8
Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Box:
    """A node in its place: the left upper corner and the size. The graphs inside are laid out in the same coordinates."""

    node: Node
    x: float
    y: float
    width: float
    height: float
    inside: "tuple[Picture, ...]" = ()


@dataclass(frozen=True, slots=True)
class Line:
    """An arrow in its place; its label is centred at `label_at`."""

    edge: Edge
    points: tuple[Point, ...]
    label_at: Point


@dataclass(frozen=True, slots=True)
class Picture:
    """A graph in its place."""

    x: float
    y: float
    width: float
    height: float
    boxes: tuple[Box, ...]
    lines: tuple[Line, ...]

    def moved(self, dx: float, dy: float) -> "Picture":
        boxes = tuple(
            Box(b.node, b.x + dx, b.y + dy, b.width, b.height, tuple(each.moved(dx, dy) for each in b.inside))
            for b in self.boxes
        )
        lines = tuple(
            Line(line.edge, tuple(_shifted(point, dx, dy) for point in line.points), _shifted(line.label_at, dx, dy))
            for line in self.lines
        )
        return Picture(self.x + dx, self.y + dy, self.width, self.height, boxes, lines)


def laid_out(graph: Graph) -> Picture:
    """Return a graph with all its boxes and arrows in their places, from (0, 0) on."""
    sized = {node.name: _sized(node) for node in graph.nodes}
    back = _back_edges(graph)
    forward = [edge for edge in graph.edges if edge not in back]
    layers = _layers(graph, forward)
    rows, chains = _rows(graph, forward, layers)
    widths = {name: box.width for name, box in sized.items()}
    centres = _centres(_ordered(rows, chains), chains, widths)
    return _placed(graph, sized, rows, (centres, chains, back))


def _shifted(point: Point, dx: float, dy: float) -> Point:
    return point[0] + dx, point[1] + dy


def _sized(node: Node) -> Box:
    """Return a box at (0, 0) that holds its text, and below it what is inside."""
    text_width = max((len(line) for line in node.lines), default=0) * CHAR_PX + 2 * PAD_PX
    text_height = len(node.lines) * LINE_PX + PAD_PX
    if not node.inside:
        return Box(node, 0, 0, max(_WIDTH_MIN_PX, text_width), text_height + PAD_PX / 2)
    x, height = PAD_PX, 0.0
    inside: list[Picture] = []
    for each in map(laid_out, node.inside):
        inside.append(each.moved(x, text_height + PAD_PX))
        x += each.width + PAD_PX
        height = max(height, each.height)
    return Box(node, 0, 0, max(text_width, x), text_height + height + 2 * PAD_PX, tuple(inside))


def _back_edges(graph: Graph) -> set[Edge]:
    """Return the edges that close a loop, as a walk in depth from the start meets them."""
    onward: dict[str, list[Edge]] = {}
    for edge in graph.edges:
        onward.setdefault(edge.source, []).append(edge)
    back: set[Edge] = set()
    done: set[str] = set()
    for root in graph.nodes:
        path: list[tuple[str, int]] = [(root.name, 0)] if root.name not in done else []
        open_names = {root.name}
        while path:
            name, number = path.pop()
            edges = onward.get(name, [])
            if number == len(edges):
                done.add(name)
                open_names.discard(name)
                continue
            path.append((name, number + 1))
            edge = edges[number]
            if edge.target in open_names:
                back.add(edge)
            elif edge.target not in done:
                open_names.add(edge.target)
                path.append((edge.target, 0))
    return back


def _layers(graph: Graph, forward: Sequence[Edge]) -> dict[str, int]:
    layers = {node.name: 0 for node in graph.nodes}
    for _ in graph.nodes:
        changed = False
        for edge in forward:
            if layers[edge.target] <= layers[edge.source]:
                layers[edge.target] = layers[edge.source] + 1
                changed = True
        if not changed:
            break
    return layers


def _rows(
    graph: Graph, forward: Sequence[Edge], layers: Mapping[str, int]
) -> tuple[list[list[str]], dict[Edge, list[str]]]:
    """Return the names in each layer, and for each edge the chain of names from its source to its target.

    Where an edge passes a layer it has a place of its own there, whose name has a line break in it: no state's has.
    """
    rows: list[list[str]] = [[] for _ in range(max(layers.values(), default=0) + 1)]
    for node in graph.nodes:
        rows[layers[node.name]].append(node.name)
    chains: dict[Edge, list[str]] = {}
    for edge in forward:
        between = range(layers[edge.source] + 1, layers[edge.target])
        if edge not in chains:
            passed = [f"{edge.source}\n{edge.target}\n{edge.kind}\n{edge.label}\n{layer}" for layer in between]
            for layer, name in zip(between, passed, strict=True):
                rows[layer].append(name)
            chains[edge] = [edge.source, *passed, edge.target]
    return rows, chains


def _neighbours(chains: Mapping[Edge, Sequence[str]]) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    above: dict[str, list[str]] = {}
    below: dict[str, list[str]] = {}
    for chain in chains.values():
        for upper, lower in itertools.pairwise(chain):
            above.setdefault(lower, []).append(upper)
            below.setdefault(upper, []).append(lower)
    return above, below


def _ordered(rows: list[list[str]], chains: Mapping[Edge, Sequence[str]]) -> list[list[str]]:
    """Sort each layer by where its neighbours stand, downwards and upwards in turn, so that few arrows cross."""
    above, below = _neighbours(chains)
    for sweep in range(_SWEEPS):
        down = sweep % 2 == 0
        neighbours = above if down else below
        for number in range(len(rows)) if down else range(len(rows) - 1, -1, -1):
            other = number - 1 if down else number + 1
            if 0 <= other < len(rows):
                place = {name: index for index, name in enumerate(rows[other])}
                here = {name: index for index, name in enumerate(rows[number])}
                rows[number].sort(key=lambda name, n=neighbours, p=place, h=here: _mean(n.get(name, ()), p, h[name]))  # type: ignore[misc]
    return rows


def _mean(names: Iterable[str], places: Mapping[str, float], otherwise: float) -> float:
    found = [places[name] for name in names if name in places]
    return sum(found) / len(found) if found else otherwise


def _centres(
    rows: Sequence[Sequence[str]], chains: Mapping[Edge, Sequence[str]], widths: Mapping[str, float]
) -> dict[str, float]:
    """Return the middle of each name in its layer: below the middle of its neighbours, as far as there is room."""
    above, below = _neighbours(chains)
    centres: dict[str, float] = {}
    for row in rows:
        x = 0.0
        for name in row:
            centres[name] = x + widths.get(name, 0) / 2
            x += widths.get(name, 0) + GAP_X_PX
    for sweep in range(_SWEEPS):
        neighbours = above if sweep % 2 == 0 else below
        for row in rows if sweep % 2 == 0 else reversed(rows):
            wanted = [_mean(neighbours.get(name, ()), centres, centres[name]) for name in row]
            centres.update(zip(row, _spaced(wanted, [widths.get(name, 0) for name in row]), strict=True))
    return centres


def _spaced(wanted: Sequence[float], widths: Sequence[float]) -> list[float]:
    """Return the wanted places, moved apart where they would overlap: half of the shift to either side."""
    right: list[float] = []
    for index, place in enumerate(wanted):
        least = right[-1] + (widths[index - 1] + widths[index]) / 2 + GAP_X_PX if right else place
        right.append(max(place, least))
    left = list(wanted)
    for index in range(len(wanted) - 2, -1, -1):
        left[index] = min(left[index], left[index + 1] - (widths[index] + widths[index + 1]) / 2 - GAP_X_PX)
    return [(one + other) / 2 for one, other in zip(right, left, strict=True)]


def _placed(
    graph: Graph,
    sized: Mapping[str, Box],
    rows: Sequence[Sequence[str]],
    flow: tuple[dict[str, float], dict[Edge, list[str]], set[Edge]],
) -> Picture:
    centres, chains, back = flow
    left = min(centres[name] - (sized[name].width / 2 if name in sized else 0) for name in centres)
    boxes: dict[str, Box] = {}
    levels: dict[str, tuple[float, float]] = {}
    y = 0.0
    for row in rows:
        height = max((sized[name].height for name in row if name in sized), default=0)
        for name in row:
            levels[name] = (y, y + height)
            if name in sized:
                box = sized[name]
                x, top = centres[name] - box.width / 2 - left, y + (height - box.height) / 2
                inside = tuple(each.moved(x, top) for each in box.inside)
                boxes[name] = Box(box.node, x, top, box.width, box.height, inside)
        y += height + GAP_Y_PX
    right = max([box.x + box.width for box in boxes.values()] + [centres[name] - left for name in centres])
    middles = {name: centre - left for name, centre in centres.items()}
    lines = [_forward(edge, chain, boxes, (middles, levels)) for edge, chain in chains.items()]
    for number, edge in enumerate(edge for edge in graph.edges if edge in back):
        lines.append(_backward(edge, boxes, right + (number + 1) * LANE_PX))
    width = max([right, *(x for line in lines for x, _ in line.points), *map(_label_right, lines)])
    return Picture(0, 0, width, y - GAP_Y_PX, tuple(boxes.values()), tuple(lines))


def _label_right(line: Line) -> float:
    return line.label_at[0] + len(line.edge.label) * CHAR_PX / 2


def _forward(
    edge: Edge,
    chain: Sequence[str],
    boxes: Mapping[str, Box],
    places: tuple[Mapping[str, float], Mapping[str, tuple[float, float]]],
) -> Line:
    middles, levels = places
    source, target = boxes[edge.source], boxes[edge.target]
    points: list[Point] = [(middles[edge.source], source.y + source.height)]
    for name in chain[1:-1]:
        top, bottom = levels[name]
        points += [(middles[name], top), (middles[name], bottom)]
    points.append((middles[edge.target], target.y))
    (x0, y0), (x1, y1) = points[0], points[1]
    return Line(edge, tuple(points), (x0 + (x1 - x0) * 0.6, y0 + (y1 - y0) * 0.6))


def _backward(edge: Edge, boxes: Mapping[str, Box], lane_x: float) -> Line:
    source, target = boxes[edge.source], boxes[edge.target]
    out_y, in_y = source.y + source.height * 0.6, target.y + target.height * 0.4
    points = ((source.x + source.width, out_y), (lane_x, out_y), (lane_x, in_y), (target.x + target.width, in_y))
    return Line(edge, points, (lane_x, (out_y + in_y) / 2))
