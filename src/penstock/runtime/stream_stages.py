"""From a pipeline as data to plain agents: one for each stage, so that all that holds for agents holds for streams.

A stage handles one event of one key at a time. What it emits, what its windows hold and how far event time has come are
written in the commit that is done with the event (C2, C3); a function that raises is tried again, and then the event lies in
the dead letters (C6). Functions are called again by another attempt: they compute, and change nothing outside.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from penstock.core.agents.declaration import Agent, Options
from penstock.core.events.event import Event
from penstock.core.knowledge.events import KnowledgeEvent
from penstock.core.streams.plan import (
    Cut,
    Embed,
    Filter,
    FlatMap,
    IndexInto,
    JoinKnowledge,
    KeyBy,
    Late,
    Map,
    Node,
    Operation,
    Sink,
    Stage,
    Stamp,
    Timed,
    stages_of,
)
from penstock.core.streams.values import (
    Embedded,
    Joined,
    Stamped,
    StreamItem,
    StreamTick,
    event_class,
    from_plain,
    to_plain,
)
from penstock.errors import Finding, Invalid, Refused
from penstock.runtime.calling import is_awaitable
from penstock.runtime.context import Context
from penstock.runtime.knowledge import search_of
from penstock.runtime.stream_windows import Moment, Push, Windows


def stream_agents(sources: Iterable[Node]) -> dict[str, Agent]:
    """Return the agents of all pipelines, by their names; `Invalid` with all findings."""
    agents: dict[str, Agent] = {}
    findings: list[Finding] = []
    for source in sources:
        stages = stages_of(source)
        makers = [StageAgent(each) for each in stages]
        into = {maker.stage.name: maker for maker in makers}
        for maker in makers:
            if maker.stage.name in agents:
                hint = "give app.stream(..., name=...), or key_by(..., name=...)"
                findings.append(Finding(maker.stage.name, "is the name of two stages of streams", hint))
            agents[maker.stage.name] = maker.agent(into)
    if findings:
        raise Invalid("the app's streams", tuple(findings))
    return agents


class StageAgent:
    """One stage on its way to being an agent."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.takes: type[Event] = stage.source.event if stage.is_first else event_class(StreamItem, stage.name)
        self.tick: type[StreamTick] = event_class(StreamTick, stage.name)
        self._windows: dict[str, Windows] = {}

    def agent(self, into: Mapping[str, "StageAgent"]) -> Agent:
        """Return the agent. `into`: the stages of the pipeline by name, to which values may go on."""
        stage, given = self.stage, self.stage.source.options
        emits: set[type[Event]] = set()
        push = _Building(self._windows, self.tick, stage, into, emits).chain(stage.root, stage.timed)
        has_windows = bool(self._windows)
        accepts = (self.takes, self.tick) if has_windows else (self.takes,)
        options = Options(
            retry=given.retry,
            timeout_s=given.timeout_s,
            flow=given.flow if stage.is_first else None,
            retention=given.retention,
        )
        if has_windows:
            emits.add(self.tick)
        ordered = tuple(sorted(emits, key=lambda each: each.type_))
        return Agent(stage.name, self._handler(push), accepts, ordered, options, wants_context=True, returns=None)

    def _handler(self, push: Push) -> Callable[[Event, Context], Any]:
        windows, takes = self._windows, self.stage.takes
        source = self.stage.source.event if self.stage.is_first else None

        async def handle(event: Event, ctx: Context) -> None:
            if type(event) is source:  # nearly always, and quicker than asking pydantic's classes
                await push(event, Moment(ctx.event.time_ms, ctx))
            elif isinstance(event, StreamItem):
                await push(from_plain(event.value, takes), Moment(event.at_ms, ctx))
            elif isinstance(event, StreamTick) and event.window in windows:
                await windows[event.window].tick(event, ctx)

        return handle


class _Building:
    """Makes a chain of functions of the nodes of a stage."""

    def __init__(
        self,
        windows: dict[str, Windows],
        tick: type[StreamTick],
        stage: Stage,
        into: Mapping[str, StageAgent],
        emits: set[type[Event]],
    ) -> None:
        self._windows = windows
        self._tick = tick
        self._stage = stage
        self._into = into
        self._emits = emits

    def chain(self, node: Node, timed: Timed | None) -> Push:
        """Return what takes the values that leave a node."""
        pushes = [self._entry(each, timed) for each in node.children]
        if len(pushes) == 1:
            return pushes[0]

        async def to_all(value: Any, moment: Moment) -> None:
            for each in pushes:
                await each(value, moment)

        return to_all

    def _entry(self, node: Node, timed: Timed | None) -> Push:
        """Return what takes the values that come to a node."""
        does = node.does
        if id(node) in self._stage.targets:
            return self._over(node)
        after = Timed(_as_recorded, idle_s=10.0) if timed is None else timed
        if isinstance(does, Timed):
            return _timed(does, self.chain(node, does))
        if isinstance(does, Cut):
            return self._cut(node, does, after)
        if isinstance(does, IndexInto | Sink):
            self._emits.add(does.event if isinstance(does, Sink) else KnowledgeEvent)
        return _worked(does, self._stage.name, self.chain(node, timed))

    def _cut(self, node: Node, does: Cut, timed: Timed) -> Push:
        folds = [(each, self.chain(each, timed)) for each in node.children if not isinstance(each.does, Late)]
        late = [self.chain(each, timed) for each in node.children if isinstance(each.does, Late)]
        windows = Windows(does, timed, self._tick, folds, late)
        self._windows[does.name] = windows
        return windows.take

    def _over(self, node: Node) -> Push:
        """Send values to the stage of another key."""
        does, target = node.does, self._into[self._stage.targets[id(node)].name]
        assert isinstance(does, KeyBy), does
        self._emits.add(target.takes)
        item, holds, key, name = target.takes, target.stage.takes, does.key, target.stage.name

        async def over(value: Any, moment: Moment) -> None:
            found = await _result(key(value))
            if found is None or isinstance(found, bytes | list | dict):
                raise Refused(f"the key of {name!r} is {found!r}", "let it be text or a number")
            plain = to_plain(value, holds, name)
            moment.ctx.emit(item.checked({"key": str(found), "at_ms": moment.at_ms, "value": plain}))

        return over


def _worked(does: Operation, stage: str, push: Push) -> Push:
    """Return what does an operation with each value, and hands on what it makes."""
    match does:
        case Stamp():
            made = _stamped(push)
        case Map():
            made = _mapped(does.call, push)
        case Filter():
            made = _filtered(does.call, push)
        case FlatMap():
            made = _each(does.call, push)
        case Embed():
            made = _embedded(does, push)
        case IndexInto():
            made = _indexed(does, stage, push)
        case JoinKnowledge():
            made = _joined(does, push)
        case Sink():
            made = _emitted(does.event, push)
        case _:  # a key that is that of the event already, or what is left of a window
            made = push
    return made


async def _result(found: Any) -> Any:
    return await found if is_awaitable(found) else found


def _as_recorded(_: Any) -> None:
    """Stand for the time at which events were recorded."""


def _timed(does: Timed, push: Push) -> Push:
    async def timed(value: Any, moment: Moment) -> None:
        at, recorded_ms = await _result(does.at(value)), moment.ctx.event.time_ms
        at_ms = moment.at_ms if at is None else milliseconds(at)
        if does.ahead_s_max is not None and at_ms > recorded_ms + does.ahead_s_max * 1000:
            problem = f"an event is {(at_ms - recorded_ms) / 1000:,.0f} s ahead of the clock that recorded it"
            raise Refused(problem, "its key's windows would all close: mend its clock, or raise ahead_s_max")
        await push(value, moment._replace(at_ms=at_ms))

    return timed


def milliseconds(at: object) -> int:
    """Return a time as milliseconds since 1970; `Refused` for what is none."""
    if isinstance(at, int) and not isinstance(at, bool):
        return at
    if isinstance(at, float) and at == at and abs(at) < 1e15:  # noqa: PLR0124, PLR2004 - no NaN, and no year 33,000
        return round(at)
    from datetime import datetime

    if isinstance(at, datetime) and at.tzinfo is not None:
        return round(at.timestamp() * 1000)
    raise Refused(f"the time of an event is {at!r}", "give milliseconds since 1970, or a datetime with its zone")


def _stamped(push: Push) -> Push:
    async def stamped(value: Any, moment: Moment) -> None:
        await push(Stamped(value, moment.at_ms, moment.ctx.key), moment)

    return stamped


def _mapped(call: Callable[[Any], Any], push: Push) -> Push:
    async def mapped(value: Any, moment: Moment) -> None:
        await push(await _result(call(value)), moment)

    return mapped


def _filtered(call: Callable[[Any], Any], push: Push) -> Push:
    async def filtered(value: Any, moment: Moment) -> None:
        if await _result(call(value)):
            await push(value, moment)

    return filtered


def _each(call: Callable[[Any], Any], push: Push) -> Push:
    async def each(value: Any, moment: Moment) -> None:
        for one in await _result(call(value)):
            await push(one, moment)

    return each


def _embedded(does: Embed, push: Push) -> Push:
    async def embedded(value: Any, moment: Moment) -> None:
        vector = await moment.ctx.collection(does.collection).embedded(str(does.text(value)))
        await push(Embedded(value, vector), moment)

    return embedded


def _joined(does: JoinKnowledge, push: Push) -> Push:
    name = f"search:{does.collection}"
    options: Any = does.options

    async def joined(value: Any, moment: Moment) -> None:
        ctx = moment.ctx
        query = str(does.query(value))
        wanted = search_of(query, options)
        found = await ctx.read(name, ctx.collection(does.collection).search, wanted, ctx.tenant)
        await push(Joined(value, found), moment)

    return joined


def _indexed(does: IndexInto, stage: str, push: Push) -> Push:
    async def indexed(value: Any, moment: Moment) -> None:
        metadata = {str(name): str(each) for name, each in dict(does.metadata(value)).items()}
        moment.ctx.emit(
            KnowledgeEvent.checked(
                {
                    "agent_id": f"{stage}/{moment.ctx.key}",
                    "action": "UPDATE",
                    "collection": does.collection,
                    "passage_id": str(does.id(value)),
                    "payload": str(does.text(value)),
                    "metadata": metadata,
                    "timestamp": moment.at_ms,
                    "embedding": list(value.vector) if isinstance(value, Embedded) else None,
                }
            )
        )
        await push(value, moment)

    return indexed


def _emitted(event: type[Event], push: Push) -> Push:
    async def emitted(value: Any, moment: Moment) -> None:
        if type(value) is not event and not isinstance(value, event):
            raise Refused(f"a {type(value).__name__} cannot go to {event.topic_!r}", f"map it to {event.__name__}")
        moment.ctx.emit(value)
        await push(value, moment)

    return emitted
