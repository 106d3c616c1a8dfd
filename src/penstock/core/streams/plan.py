"""A pipeline as data: what becomes of the events of a topic, as a tree of operations. Hosts build what runs from it.

Nothing here runs anything. `stages_of` cuts the tree where values go to another key: each stage is one agent, or one
keyed operator of another host.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from penstock.core.agents.flow import Flow
from penstock.core.agents.policy import DEFAULT_RETRY, Retry
from penstock.core.agents.retention import Retention
from penstock.core.events.event import Event
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
    targets: "dict[int, Stage]" = field(default_factory=dict[int, "Stage"])  # by id() of the `KeyBy` that leads there

    @property
    def is_first(self) -> bool:
        return isinstance(self.root.does, Source)

    def nodes(self) -> Iterator[Node]:
        """Yield the nodes of this stage alone."""
        yield from _within(self.root, self)

    def cuts(self) -> list[Node]:
        """Return the windows of this stage."""
        return [each for each in self.nodes() if isinstance(each.does, Cut)]

    def searched(self) -> tuple[str, ...]:
        """Return the collections that this stage searches."""
        return tuple(sorted({each.does.collection for each in self.nodes() if isinstance(each.does, JoinKnowledge)}))


def _within(node: Node, stage: Stage) -> Iterator[Node]:
    yield node
    if id(node) in stage.targets:
        return
    for each in node.children:
        yield from _within(each, stage)


def stages_of(source: Node) -> list[Stage]:
    """Return the stages of a pipeline, the first one first."""
    does = source.does
    assert isinstance(does, Source), does
    first = Stage(does.name, source, does.event, does, None)
    stages = [first]
    _collect(source, first, None, stages, is_as_recorded=True)
    return stages


def _collect(node: Node, stage: Stage, timed: Timed | None, stages: list[Stage], *, is_as_recorded: bool) -> None:
    """Find where stages end. `is_as_recorded`: values are still the events of the source, in the order of its own key."""
    for child in node.children:
        does, here, now, same = child.does, stage, timed, is_as_recorded
        if isinstance(does, Timed):
            now = does
        elif isinstance(does, KeyBy):
            if not (same and stage.is_first and does.field and does.field == stage.source.event.key_):
                here = Stage(
                    does.name or f"{stage.source.name}-{len(stages) + 1}", child, child.holds, stage.source, now
                )
                stage.targets[id(child)] = here
                stages.append(here)
                same = False
        elif not isinstance(does, Filter):
            same = False
        _collect(child, here, now, stages, is_as_recorded=same)
