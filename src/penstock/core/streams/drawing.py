"""A pipeline to be looked at: rows, and Mermaid."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from penstock.core.streams.plan import (
    Cut,
    Embed,
    Fold,
    IndexInto,
    JoinKnowledge,
    JoinStream,
    KeyBy,
    Late,
    Node,
    Sink,
    Source,
    Stage,
    Stamp,
    Timed,
    stages_of,
)
from penstock.core.streams.windows import Sessions, Sliding, Tumbling, Window


class Row(NamedTuple):
    """One operation: of which stream, in which agent, how deep in the tree, what it does, in words."""

    stream: str
    agent: str
    depth: int
    does: str
    what: str


def rows_of(source: Node) -> list[Row]:
    """Return the operations of a pipeline, parents first."""
    stages = stages_of(source)
    return list(_rows(source, stages[0], stages[0].name, 0))


def _rows(node: Node, stage: Stage, stream: str, depth: int) -> Iterator[Row]:
    here = stage.targets.get(id(node), stage)
    yield Row(stream, here.name, depth, type(node.does).__name__.lower(), said(node))
    for each in node.children:
        yield from _rows(each, here, stream, depth + 1)


def said(node: Node) -> str:  # noqa: C901, PLR0912 - one line each
    """Return an operation in words."""
    match node.does:
        case Source(event, name):
            text = f"{event.__name__} from {event.topic_} ({name})"
        case Timed(_, out_of_order_s, idle_s):
            text = f"event time, {out_of_order_s:g} s out of order" + ("" if idle_s is None else f", idle {idle_s:g} s")
        case Stamp():
            text = "with its time"
        case KeyBy(_, field):
            text = f"key by {field or 'a function'}"
        case Cut(window, lateness_s):
            text = f"{window_text(window)}, {lateness_s:g} s late"
        case Fold(_, _, _, _, name):
            text = name
        case Late():
            text = "too late"
        case Embed(collection):
            text = f"embed as {collection}"
        case IndexInto(collection):
            text = f"index into {collection}"
        case JoinKnowledge(collection):
            text = f"search {collection}"
        case JoinStream(_, _, (lower_s, upper_s)):
            text = f"join what comes {lower_s:g} to {upper_s:g} s after it"
        case Sink(event):
            text = f"{event.__name__} to {event.topic_}"
        case does:
            text = f"{type(does).__name__.lower()} {getattr(does.call, '__name__', '')}".replace("<lambda>", "").strip()
    return text


def window_text(window: Window) -> str:
    """Return a window in words."""
    match window:
        case Tumbling(size_s):
            return f"windows of {size_s:g} s"
        case Sliding(size_s, every_s):
            return f"windows of {size_s:g} s every {every_s:g} s"
        case Sessions(gap_s):
            return f"sessions with gaps of {gap_s:g} s"


def mermaid(sources: Iterable[Node]) -> str:
    """Return pipelines as a Mermaid flowchart: an agent is a box around what it does."""
    lines, numbers = ["flowchart LR"], dict[int, str]()
    arrows: list[tuple[Node, Node]] = []
    meet: dict[str, Node] = {}  # where streams meet, by name
    for source in sources:
        for stage in stages_of(source):
            own = [each for each in stage.nodes() if id(each) not in stage.targets]
            lines.append(f'  subgraph {_quoted(stage.name)}["{stage.name}"]')
            for each in own:
                number = numbers[id(each)] = f"n{len(numbers) + 1}"
                shape = ("[(", ")]") if isinstance(each.does, Source | Sink) else ("[", "]")
                lines.append(f'    {number}{shape[0]}"{said(each).replace(chr(34), "")}"{shape[1]}')
            lines.append("  end")
        arrows += [(node, each) for node in source.walk() for each in node.children]
        meet |= {each.does.name: each for each in source.walk() if isinstance(each.does, JoinStream) and each.children}
    there = [
        (node, meet.get(each.does.name, each) if isinstance(each.does, JoinStream) else each) for node, each in arrows
    ]
    return "\n".join([*lines, *(f"  {numbers[id(node)]} --> {numbers[id(each)]}" for node, each in there)])


def _quoted(name: str) -> str:
    return "s_" + "".join(char if char.isalnum() else "_" for char in name)
