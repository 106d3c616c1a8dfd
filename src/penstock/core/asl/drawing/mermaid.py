"""A machine as Mermaid text: what Markdown on most sites draws by itself."""

from collections.abc import Iterator

from penstock.core.asl.drawing.graph import Edge, Graph, Node

_SHAPES = {
    "Start": ("((", "))"),
    "End": ("((", "))"),
    "Choice": ("{", "}"),
    "Wait": (">", "]"),
    "Succeed": ("([", "])"),
    "Fail": ("([", "])"),
}
_BOX = ("[", "]")
_ARROWS = {"catch": "-.->", "default": "-->", "rule": "-->", "next": "-->"}
_CLASSES = {
    "succeeded": "fill:#d9f2e0,stroke:#2e7d4f",
    "caught": "fill:#fdf0d5,stroke:#b7791f",
    "failed": "fill:#fbdcdc,stroke:#b03a3a",
    "running": "fill:#dbe9fb,stroke:#2f6db3",
    "stopped": "fill:#e2e8f0,stroke:#718096",
}


def mermaid_text(graph: Graph) -> str:
    """Return the flow chart of a graph. Ids are numbers: names of states can be anything."""
    drawing = _Drawing()
    drawing.scope(graph, "  ")
    return "\n".join(["flowchart TD", *drawing.lines, *drawing.styles()]) + "\n"


class _Drawing:
    def __init__(self) -> None:
        self.lines: list[str] = []
        self._count = 0
        self._marked: dict[str, list[str]] = {}

    def scope(self, graph: Graph, indent: str) -> None:
        ids: dict[str, str] = {}
        for node in graph.nodes:
            ids[node.name] = f"s{self._count}"
            self._count += 1
            self._node(node, ids[node.name], indent)
            if node.status:
                self._marked.setdefault(node.status, []).append(ids[node.name])
        self.lines.extend(f"{indent}{_arrow(edge, ids)}" for edge in graph.edges)

    def _node(self, node: Node, identity: str, indent: str) -> None:
        label = "<br/>".join(map(_escaped, node.lines))
        if not node.inside:
            opened, closed = _SHAPES.get(node.kind, _BOX)
            self.lines.append(f'{indent}{identity}{opened}"{label}"{closed}')
            return
        self.lines.append(f'{indent}subgraph {identity}["{label}"]')
        for number, inner in enumerate(node.inside):
            nested = len(node.inside) > 1
            if nested:
                self.lines.append(f'{indent}  subgraph {identity}b{number}[" "]')
            self.scope(inner, indent + ("    " if nested else "  "))
            if nested:
                self.lines.append(f"{indent}  end")
        self.lines.append(f"{indent}end")

    def styles(self) -> Iterator[str]:
        for status, ids in self._marked.items():
            if status in _CLASSES:
                yield f"  classDef {status} {_CLASSES[status]}"
                yield f"  class {','.join(ids)} {status}"


def _arrow(edge: Edge, ids: dict[str, str]) -> str:
    label = f'|"{_escaped(edge.label)}"|' if edge.label else ""
    return f"{ids[edge.source]} {_ARROWS[edge.kind]}{label} {ids[edge.target]}"


def _escaped(text: str) -> str:
    """Return a text without what ends a line, a label or a tag in Mermaid."""
    shown = (char if char.isprintable() else " " for char in text)
    return "".join(f"#{ord(char)};" if char in '"#&<>`\\' else char for char in shown)
