"""Streams in the hands of users: declared lazily, and typed from end to end.

    requests = app.stream(Request).event_time("at_ms", out_of_order_s=5)
    requests.window(Tumbling(60)).count().map(per_minute).to(Load)

Declaring runs nothing: it grows a tree of `core/streams/plan.py`, of which the app's agents are made when it is opened. A stream
may be gone on from several times: each goes on with the same values.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, Generic, TypeVar, Unpack, cast, overload

from penstock.core.agents.declaration import Agent
from penstock.core.events.event import Event
from penstock.core.streams.checking import declared_findings
from penstock.core.streams.meeting import Place, joins_findings, meeting
from penstock.core.streams.plan import (
    Cut,
    Embed,
    Filter,
    FlatMap,
    Fold,
    IndexInto,
    JoinKnowledge,
    KeyBy,
    Late,
    LateRule,
    Map,
    Node,
    Sink,
    Source,
    Stamp,
    StreamOptions,
    Timed,
    stages_of,
)
from penstock.core.streams.values import Embedded, Joined, Pair, Pane, Stamped, generic, getter, items_of, returned_by
from penstock.core.streams.windows import Window, window_findings
from penstock.errors import Finding, Invalid, LimitReached
from penstock.runtime.found import Found
from penstock.runtime.knowledge import Knowledge, search_of
from penstock.runtime.search_options import SearchOptions
from penstock.runtime.stream_stages import stream_agents

T = TypeVar("T")
R = TypeVar("R")
A = TypeVar("A")
E = TypeVar("E", bound=Event)
Moment = int | datetime | None


class Stream(Generic[T]):
    """Values of one type on their way, in order per key."""

    def __init__(self, node: Node, root: Node) -> None:
        self.node = node
        self.root = root

    @property
    def source(self) -> Source:
        """Where it begins."""
        return cast("Source", self.root.does)

    def event_time(
        self,
        at: str | Callable[[T], Moment],
        *,
        out_of_order_s: float = 0.0,
        idle_s: float | None = 10.0,
        ahead_s_max: float | None = 86_400.0,
        forget_s: float = 86_400.0,
    ) -> "Stream[T]":
        """Say when a value happened, by a field or a function: milliseconds since 1970, a datetime with its zone, or None.

        None is when it was recorded.

        `out_of_order_s`: how much earlier than the newest one of its key a value may be before its window closes. `idle_s`: when
        nothing came for a key for so long, its time goes on with the clock on the wall, so that its windows close; None: it
        does not. `ahead_s_max`: a value further ahead of that clock goes to the dead letters; None: none does. `forget_s`: a
        key without open windows that was silent for so long is forgotten, and what is late for it with it.
        """
        numbers = {"out_of_order_s": out_of_order_s, "idle_s": idle_s, "ahead_s_max": ahead_s_max, "forget_s": forget_s}
        self._require("event_time", _seconds(numbers))
        timed = Timed(getter(cast("Any", at)), out_of_order_s, idle_s, ahead_s_max, forget_s)
        return self._then(timed, self.node.holds)

    def stamped(self) -> "Stream[Stamped[T]]":
        """Add when each value happened, and under which key it is handled."""
        return self._then(Stamp(), generic(Stamped, self.node.holds))

    @overload
    def map(self, call: Callable[[T], Awaitable[R]]) -> "Stream[R]": ...
    @overload
    def map(self, call: Callable[[T], R]) -> "Stream[R]": ...
    def map(self, call: Callable[[T], Any]) -> "Stream[Any]":
        """Make one value of each. The function computes: it is called again by another attempt. Annotate what it returns."""
        return self._then(Map(call), returned_by(call))

    def filter(self, call: Callable[[T], bool | Awaitable[bool]]) -> "Stream[T]":
        """Keep the values of which it is true."""
        return self._then(Filter(call), self.node.holds)

    @overload
    def flat_map(self, call: Callable[[T], Awaitable[Iterable[R]]]) -> "Stream[R]": ...
    @overload
    def flat_map(self, call: Callable[[T], Iterable[R]]) -> "Stream[R]": ...
    def flat_map(self, call: Callable[[T], Any]) -> "Stream[Any]":
        """Make any number of values of each."""
        return self._then(FlatMap(call), items_of(returned_by(call)))

    def key_by(self, key: str | Callable[[T], object], *, name: str = "") -> "Stream[T]":
        """Say what goes together from here on: a field, or a function. Values of one key are in order, and share windows.

        Where it is not the key of the events anyway, values go to another agent, `name`, by an event of their own.
        """
        field = key if isinstance(key, str) else ""
        name = name or (f"{self.source.name}-by-{field.replace('.', '-').replace('_', '-')}" if field else "")
        return self._then(KeyBy(getter(cast("Any", key)), field, name), self.node.holds)

    def window(
        self, window: Window, *, lateness_s: float = 0.0, late: LateRule = "dead", name: str = ""
    ) -> "Windowed[T]":
        """Cut into windows of event time: `Tumbling(60)`, `Sliding(60, every_s=10)`, `Sessions(gap_s=1800)`.

        `lateness_s`: so long after it was shown a window still takes what comes late, and is shown again. `late`: what comes
        later still goes to the dead letters ("dead"), or is left out ("drop"); `.late()` takes it instead. `name`: of what is
        stored; give one where windows may be added before it later.
        """
        findings = [*window_findings(window), *_seconds({"lateness_s": lateness_s})]
        if late not in ("dead", "drop"):
            findings.append(Finding("late", f"is {late!r}", "dead or drop"))
        self._require("window", findings)
        number = sum(isinstance(each.does, Cut) for each in self.root.walk())
        cut = Cut(window, lateness_s, late, name or f"window{number + 1}")
        return Windowed(self.node.then(cut, self.node.holds), self.root)

    def embed(self, knowledge: Knowledge, text: str | Callable[[T], str]) -> "Stream[Embedded[T]]":
        """Add the vector of a text, as the collection embeds: together with others, and kept for texts that come again."""
        return self._then(Embed(knowledge.name, getter(cast("Any", text))), generic(Embedded, self.node.holds))

    def index(
        self,
        knowledge: Knowledge,
        *,
        id: str | Callable[[T], str],
        text: str | Callable[[T], str],
        metadata: Callable[[T], Mapping[str, object]] | None = None,
    ) -> "Stream[T]":
        """Have each value found in a collection, under an id: the same id again replaces it. A vector beside it is taken over."""
        told: Callable[[Any], Any] = _nothing if metadata is None else metadata
        index = IndexInto(knowledge.name, getter(cast("Any", id)), getter(cast("Any", text)), told)
        return self._then(index, self.node.holds)

    @overload
    def join(
        self, other: Knowledge, query: str | Callable[[T], str], **options: Unpack[SearchOptions]
    ) -> "Stream[Joined[T, Found]]": ...
    @overload
    def join(
        self,
        other: "Stream[R]",
        *,
        between_s: tuple[float, float],
        late: LateRule = "dead",
        values_max: int = 1_000,
        name: str = "",
    ) -> "Stream[Pair[T, R]]": ...
    def join(self, other: Any, query: Any = None, **options: Any) -> "Stream[Any]":
        """Add what a collection knows about each value, or pair it with the values of another stream that are near in time.

        With knowledge: a search, a step of the run, so that a replay sees the same.

        With a stream that has the same key: each value meets each one of the other that happened from `between_s[0]` to
        `between_s[1]` seconds after it (the first may be below 0). What is later than its own stream allows (`event_time`) goes
        to the dead letters ("dead"), or is left out ("drop"). Of each stream and key `values_max` values may wait: one too many
        goes to the dead letters. `name`: of the agent in which they meet.
        """
        if isinstance(other, Stream):
            there, given = cast("Stream[Any]", other), options if query is None else {"query": query, **options}
            return Stream(meeting(Place(self.root, self.node), Place(there.root, there.node), given), self.root)
        search_of("", cast("SearchOptions", options))  # what is wrong with the options is said now
        join = JoinKnowledge(cast("Knowledge", other).name, getter(query), options)
        return self._then(join, generic(Joined, self.node.holds, Found))

    def to(self: "Stream[E]", event: type[E]) -> "Stream[E]":
        """Append each value, an event, to its topic, in the commit that is done with what it came of."""
        if not (isinstance(event, type) and issubclass(event, Event)):  # pyright: ignore[reportUnnecessaryIsInstance]
            self._require("to", [Finding("event", f"is {event!r}", "a class of penstock.Event")])
        return self._then(Sink(event), event)

    def _then(self, does: Any, holds: Any) -> "Stream[Any]":
        return Stream(self.node.then(does, holds), self.root)

    def _require(self, what: str, findings: list[Finding]) -> None:
        if findings:
            raise Invalid(f"{what} of the stream {self.source.name!r}", tuple(findings))


class Windowed(Generic[T]):
    """Values in windows, per key: what is made of them is shown when event time reaches the end of the window."""

    def __init__(self, node: Node, root: Node) -> None:
        self.node = node
        self.root = root

    @property
    def source(self) -> Source:
        """Where it begins."""
        return cast("Source", self.root.does)

    def fold(
        self,
        initial: Callable[[], A],
        add: Callable[[A, T], A],
        *,
        merge: Callable[[A, A], A] | None = None,
        name: str = "",
    ) -> "Stream[Pane[A]]":
        """Make one value of a window's, one by one: `add(initial(), first)`, and so on. `merge`: for sessions, which may merge.

        Of a window only that is kept; it is what a step may return: plain data, dataclasses, Structs, pydantic models.
        """
        made = returned_by(initial)
        return self._fold(
            Fold(initial, add, merge, returned_by(add) if made is Any else made, name or self._name("fold"))
        )

    def reduce(self, call: Callable[[T, T], T], *, name: str = "") -> "Stream[Pane[T]]":
        """Make one value of two, until one is left. For sessions it must not matter which two."""

        def add(held: Any, value: Any) -> Any:
            return value if held is None else call(held, value)

        return self._fold(Fold(_none, add, call, self.node.holds, name or self._name("reduce")))

    def count(self, *, name: str = "") -> "Stream[Pane[int]]":
        """Count them."""
        return self._fold(Fold(int, _one_more, _sum, int, name or self._name("count")))

    def collect(self, *, values_max: int = 1_000, name: str = "") -> "Stream[Pane[list[T]]]":
        """Keep all values, in the order in which they came. One too many for `values_max` goes to the dead letters."""

        def add(held: list[Any], value: Any) -> list[Any]:
            return within(values_max, [*held, value])

        def merge(one: list[Any], other: list[Any]) -> list[Any]:
            return within(values_max, one + other)

        return self._fold(Fold(list, add, merge, generic(list, self.node.holds), name or self._name("collect")))

    def late(self) -> Stream[T]:
        """Return the values that came too late for their windows: the side output."""
        return Stream(self.node.then(Late(), self.node.holds), self.root)

    def _name(self, kind: str) -> str:
        return f"{kind}{sum(isinstance(each.does, Fold) for each in self.node.children) + 1}"

    def _fold(self, fold: Fold) -> Stream[Any]:
        return Stream(self.node.then(fold, generic(Pane, fold.holds)), self.root)


def within(values_max: int, values: list[Any]) -> list[Any]:
    """Return the values of a window; `LimitReached` for too many."""
    if len(values) > values_max:
        hint = "fold them instead, make windows smaller, or raise values_max"
        raise LimitReached("the number of values of one window", len(values), values_max, hint)
    return values


def _one_more(held: int, _: object) -> int:
    return held + 1


def _sum(one: int, other: int) -> int:
    return one + other


def _none() -> None:
    return None


def _nothing(_: object) -> Mapping[str, object]:
    return {}


def _seconds(numbers: Mapping[str, float | None]) -> list[Finding]:
    return [
        Finding(name, f"is {value!r}", "a number of seconds, 0 or more")
        for name, value in numbers.items()
        if value is not None and not (isinstance(value, int | float) and not isinstance(value, bool) and value >= 0)  # pyright: ignore[reportUnnecessaryIsInstance]
    ]


class DeclaresStreams:
    """The part of an app that declares streams."""

    def __init__(self) -> None:
        self.streams: dict[str, Node] = {}

    @overload
    def stream(self, source: type[E], /, *, name: str = "", options: StreamOptions = ...) -> Stream[E]: ...
    @overload
    def stream(self, source: str, /, *, of: type[E], name: str = "", options: StreamOptions = ...) -> Stream[E]: ...
    def stream(
        self,
        source: type[Event] | str,
        /,
        *,
        of: type[Event] | None = None,
        name: str = "",
        options: StreamOptions = StreamOptions(),  # noqa: B008 - frozen
    ) -> Stream[Any]:
        """Declare a stream of the events of one class, from its topic, and return it to be gone on from.

        A topic may be named too, with the class of its events: `app.stream("raw-requests", of=Request)`. `name`: of the agent
        that takes them. `options`: how the stream's agents are run. Raises `Invalid` with all findings.
        """
        event, findings = declared_findings(source, of)
        name = name or (f"{event.topic_}-stream" if event is not None else "")
        if name in self.streams:
            findings.append(Finding("name", f"{name!r} is taken by another stream", "give name=..."))
        if findings or event is None:
            raise Invalid(f"the stream {name or source!r}", tuple(findings))
        self.streams[name] = Node(Source(event, name, options), event)
        return Stream(self.streams[name], self.streams[name])

    @property
    def stages(self) -> frozenset[str]:
        """The names of the agents that streams are made of, wherever they run."""
        nodes = self.streams.values()
        return frozenset(
            stage.name for node in nodes for apart in (False, True) for stage in stages_of(node, apart=apart)
        )

    def stream_agents(self, known: Mapping[str, Agent]) -> dict[str, Agent]:
        """Return the agents of all streams; `Invalid` with all findings."""
        if not self.streams:
            return {}
        from penstock.core.streams.checking import stream_findings

        made: dict[str, Agent] = {}
        findings = [each for node in self.streams.values() for each in stream_findings(node)]
        findings += joins_findings(self.streams.values())
        if not findings:
            made = stream_agents(self.streams.values())
            taken = [Finding(each, "is the name of another agent", "give name=...") for each in made if each in known]
            findings += taken
        if findings:
            raise Invalid("the app's streams", tuple(findings))
        return made
