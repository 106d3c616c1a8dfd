"""A pipeline as data: what becomes of the events of a topic, as a tree of operations. Hosts build what runs from it.

Nothing here runs anything. `stages_of` cuts the tree where values go to another key: each stage is one agent, or one
keyed operator of another host. A host that has no knowledge has it cut where a search is, too.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from penstock.core.agents.flow import Flow
from penstock.core.agents.policy import DEFAULT_RETRY, Retry
from penstock.core.agents.retention import Retention
from penstock.core.events.event import Event
from penstock.core.streams.joining import Side
from penstock.core.streams.windows import Window

Take: TypeAlias = Callable[[Any], Any]
LateRule = Literal["dead", "drop"]


@dataclass(frozen=True, slots=True)
class StreamOptions:
    """How the agents of a stream are run, as those of an agent; `flow` is that of the one that takes the topic."""

    retry: Retry = DEFAULT_RETRY
    timeout_s: float = 300.0
    flow: Flow | None = None
    retention: Retention | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """The events of one type from its topic. Their time is that of their envelopes, unless `Timed` says otherwise."""

    event: type[Event]
    name: str
    options: StreamOptions


@dataclass(frozen=True, slots=True)
class Timed:
    """When events happened, how far out of order they come, and from which silence on time goes on without them."""

    at: Take
    out_of_order_s: float = 0.0
    idle_s: float | None = 10.0
    ahead_s_max: float | None = 86_400.0
    forget_s: float = 86_400.0


@dataclass(frozen=True, slots=True)
class Stamp:
    """When each value happened, beside it."""


@dataclass(frozen=True, slots=True)
class Map:
    """One value for each value."""

    call: Take


@dataclass(frozen=True, slots=True)
class Filter:
    """Only those of which it is true."""

    call: Take


@dataclass(frozen=True, slots=True)
class FlatMap:
    """Any number of values for each."""

    call: Take


@dataclass(frozen=True, slots=True)
class KeyBy:
    """What goes together from here on. `field`: the name of the field, where it is one."""

    key: Take
    field: str
    name: str


@dataclass(frozen=True, slots=True)
class Cut:
    """Windows. `Fold` and `Late` follow it."""

    window: Window
    lateness_s: float
    late: LateRule
    name: str


@dataclass(frozen=True, slots=True)
class Fold:
    """What is made of the values of a window: `add(initial(), value)` and so on. `merge` joins two, where windows merge."""

    initial: Callable[[], Any]
    add: Callable[[Any, Any], Any]
    merge: Callable[[Any, Any], Any] | None
    holds: Any  # the type of what is made
    name: str


@dataclass(frozen=True, slots=True)
class Late:
    """The values that came too late for the windows before it."""


@dataclass(frozen=True, slots=True)
class Embed:
    """A vector beside each value, as a collection embeds."""

    collection: str
    text: Take


@dataclass(frozen=True, slots=True)
class IndexInto:
    """Have each value found in a collection."""

    collection: str
    id: Take
    text: Take
    metadata: Take


@dataclass(frozen=True, slots=True)
class JoinKnowledge:
    """What is found in a collection for each value."""

    collection: str
    query: Take
    options: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class JoinStream:
    """Pairs of values of two streams that have one key, and happened so near to each other.

    It is in both pipelines: what follows goes on from the left one, and the right one ends here. `timed`: how both tell time.
    """

    name: str
    side: Side
    between_s: tuple[float, float]
    timed: Mapping[Side, Timed]
    late: LateRule
    values_max: int
    meets: Any  # the type of the right one's values


@dataclass(frozen=True, slots=True)
class Sink:
    """Append each value, an event, to its topic."""

    event: type[Event]


Operation: TypeAlias = (
    Source
    | Timed
    | Stamp
    | Map
    | Filter
    | FlatMap
    | KeyBy
    | Cut
    | Fold
    | Late
    | Embed
    | IndexInto
    | JoinKnowledge
    | JoinStream
    | Sink
)
EFFECTS = (Sink, IndexInto)  # what a pipeline is there for


@dataclass(eq=False, slots=True)
class Node:
    """An operation, the type of the values that leave it (`Any`: not known), and what follows."""

    does: Operation
    holds: Any = Any
    children: "list[Node]" = field(default_factory=list["Node"])

    def then(self, does: Operation, holds: Any) -> "Node":
        """Add what follows, and return it."""
        child = Node(does, holds)
        self.children.append(child)
        return child

    def walk(self) -> "Iterator[Node]":
        """Yield this one and all that follow, parents first."""
        yield self
        for each in self.children:
            yield from each.walk()


@dataclass(eq=False, slots=True)
class Stage:
    """What happens to values under one key: it begins with a source, or where values went to another key."""

    name: str
    root: Node
    takes: Any  # the type of the values that come in
    source: Source
    timed: Timed | None  # how time is told where the stage begins
    targets: "dict[int, Stage]" = field(default_factory=dict[int, "Stage"])  # by id() of the node that leads there
    meets: Any = Any  # the type of the values of the right side, where two streams are joined
    is_search: bool = False  # it does nothing but search, where the app's knowledge is

    @property
    def is_first(self) -> bool:
        return isinstance(self.root.does, Source)

    @property
    def joins(self) -> JoinStream | None:
        """The join that it begins with, if it does."""
        return self.root.does if isinstance(self.root.does, JoinStream) else None

    def nodes(self) -> Iterator[Node]:
        """Yield the nodes of this stage alone."""
        yield from _within(self.root, self)

    def cuts(self) -> list[Node]:
        """Return the windows of this stage."""
        return [each for each in self.nodes() if isinstance(each.does, Cut)]

    def searched(self) -> tuple[str, ...]:
        """Return the collections that this stage searches."""
        nodes = (self.root,) if self.is_search else [*self.nodes()][1:]
        here = [each.does for each in nodes if self.is_search or id(each) not in self.targets]
        return tuple(sorted({each.collection for each in here if isinstance(each, JoinKnowledge)}))


def _within(node: Node, stage: Stage) -> Iterator[Node]:
    yield node
    if id(node) in stage.targets:
        return
    for each in node.children:
        yield from _within(each, stage)


def stages_of(source: Node, *, apart: bool = False) -> list[Stage]:
    """Return the stages of a pipeline, the first one first. `apart`: each search is a stage of its own."""
    does = source.does
    assert isinstance(does, Source), does
    first = Stage(does.name, source, does.event, does, None)
    stages = [first]
    _Cutting(stages, apart=apart).collect(source, first, None, is_as_recorded=True)
    return stages


def paired(does: JoinStream) -> Timed:
    """Return how time goes on with pairs: out of order by what both may be, and by how far apart those are that meet."""
    both = does.timed.values()
    disorder_s = max(each.out_of_order_s for each in both) + max(map(abs, does.between_s))
    idle_s = [each.idle_s for each in both if each.idle_s is not None]
    forget_s = max(each.forget_s for each in both)
    return Timed(as_it_was, disorder_s, max(idle_s) if len(idle_s) == len(does.timed) else None, None, forget_s)


def as_it_was(_: Any) -> None:
    """Stand for the time that values have already."""


def timed_at(root: Node, node: Node) -> Timed | None:
    """Return how time is told at a node of a pipeline, if anything says it."""
    if root is node:
        return _said_by(root)
    for child in root.children:
        if any(each is node for each in child.walk()):
            return timed_at(child, node) or _said_by(root)
    return None


def _said_by(node: Node) -> Timed | None:
    if isinstance(node.does, JoinStream):
        return paired(node.does)
    return node.does if isinstance(node.does, Timed) else None


class _Cutting:
    """A pipeline on its way to being cut into stages."""

    def __init__(self, stages: list[Stage], *, apart: bool) -> None:
        self._stages = stages
        self._apart = apart
        self._keyed = 1
        self._searches = 0

    def collect(self, node: Node, stage: Stage, timed: Timed | None, *, is_as_recorded: bool) -> None:
        """Find where stages end. `is_as_recorded`: values are still the events of the source, in the order of its own key."""
        for child in node.children:
            does, here, now, same = child.does, stage, timed, is_as_recorded
            if isinstance(does, Timed):
                now = does
            elif isinstance(does, KeyBy):
                if not (same and stage.is_first and does.field and does.field == stage.source.event.key_):
                    here, same = self._keyed_by(child, does, stage, now), False
            elif isinstance(does, JoinStream):
                here, now, same = self._joined(node, child, does, stage), paired(does), False
            elif not isinstance(does, Filter):
                same = False
                if self._apart and isinstance(does, JoinKnowledge):
                    here = self._searched(node, child, stage, now)
            self.collect(child, here, now, is_as_recorded=same)

    def _keyed_by(self, node: Node, does: KeyBy, stage: Stage, timed: Timed | None) -> Stage:
        self._keyed += 1
        name = does.name or f"{stage.source.name}-{self._keyed}"
        return self._added(stage, node, Stage(name, node, node.holds, stage.source, timed))

    def _searched(self, before: Node, node: Node, stage: Stage, timed: Timed | None) -> Stage:
        """Have values go to a stage that searches, and with what it found to one that goes on. Their key stays."""
        self._searches += 1
        name = f"{stage.source.name}-search{self._searches}"
        search = Stage(name, node, before.holds, stage.source, timed, is_search=True)
        self._added(stage, node, search)
        return self._added(search, node, Stage(f"{name}-found", node, node.holds, stage.source, timed))

    def _joined(self, before: Node, node: Node, does: JoinStream, stage: Stage) -> Stage:
        """Have values go to where both streams meet, which belongs to the pipeline of the left one."""
        there = Stage(does.name, node, before.holds, stage.source, paired(does), meets=does.meets)
        if does.side == "left":
            return self._added(stage, node, there)
        stage.targets[id(node)] = there
        return there

    def _added(self, before: Stage, node: Node, stage: Stage) -> Stage:
        before.targets[id(node)] = stage
        self._stages.append(stage)
        return stage
