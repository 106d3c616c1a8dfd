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
    JoinStream,
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
from penstock.runtime.stream_joins import Joins
from penstock.runtime.stream_windows import Moment, Push, Windows


def stream_agents(sources: Iterable[Node], *, apart: bool = False) -> dict[str, Agent]:
    """Return the agents of all pipelines, by their names; `Invalid` with all findings. `apart`: what searches is an agent."""
    findings: list[Finding] = []
    makers: dict[str, StageAgent] = {}  # a stream may go on in the pipeline of another one, that it is joined with
    for stage in [each for source in sources for each in stages_of(source, apart=apart)]:
        if stage.name in makers:
            hint = "give app.stream(..., name=...), key_by(..., name=...), or join(..., name=...)"
            findings.append(Finding(stage.name, "is the name of two stages of streams", hint))
        makers[stage.name] = StageAgent(stage)
    if findings:
        raise Invalid("the app's streams", tuple(findings))
    return {name: maker.agent(makers) for name, maker in makers.items()}


def searched_by(sources: Iterable[Node], *, apart: bool = False) -> dict[str, tuple[str, ...]]:
    """Return the names of the agents of all pipelines, each with the collections that it searches."""
    return {stage.name: stage.searched() for source in sources for stage in stages_of(source, apart=apart)}


def agents_apart(sources: Iterable[Node], *, searching: bool) -> dict[str, Agent]:
    """Return the agents of all pipelines that search, or all others, for a host that has no knowledge and one that has."""
    nodes = [*sources]
    searched = searched_by(nodes, apart=True)
    return {name: each for name, each in stream_agents(nodes, apart=True).items() if bool(searched[name]) == searching}


class StageAgent:
    """One stage on its way to being an agent."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        is_between = isinstance(stage.root.does, JoinKnowledge)
        inner = event_class(StreamItem, stage.name, carried=is_between)
        self.takes: type[Event] = stage.source.event if stage.is_first else inner
        self.meets: type[StreamItem] | None = event_class(StreamItem, f"{stage.name}-right") if stage.joins else None
        self.tick: type[StreamTick] = event_class(StreamTick, stage.name)
        self._timed: dict[str, Windows | Joins] = {}  # what a tick may be for, by its name

    def agent(self, into: Mapping[str, "StageAgent"]) -> Agent:
        """Return the agent. `into`: the stages of all pipelines by name, to which values may go on."""
        stage, given = self.stage, self.stage.source.options
        emits: set[type[Event]] = set()
        building = _Building(self._timed, self.tick, stage, into, emits)
        push = building.search(stage.root) if stage.is_search else building.chain(stage.root, stage.timed)
        joins = stage.joins
        if joins is not None:
            self._timed[joins.name] = Joins(joins, {"left": stage.takes, "right": stage.meets}, self.tick, push)
        own: list[type[Event]] = [self.takes] if self.meets is None else [self.takes, self.meets]
        accepts = (*own, self.tick) if self._timed else (*own,)
        options = Options(
            retry=given.retry,
            timeout_s=given.timeout_s,
            flow=given.flow if stage.is_first else None,
            retention=given.retention,
        )
        if self._timed:
            emits.add(self.tick)
        ordered = tuple(sorted(emits, key=lambda each: each.type_))
        return Agent(stage.name, self._handler(push), accepts, ordered, options, wants_context=True, returns=None)

    def _handler(self, push: Push) -> Callable[[Event, Context], Any]:
        timed, takes, meets, right = self._timed, self.stage.takes, self.stage.meets, self.meets
        source = self.stage.source.event if self.stage.is_first else None
        joins = timed.get(self.stage.joins.name) if self.stage.joins else None
        assert joins is None or isinstance(joins, Joins)

        async def handle(event: Event, ctx: Context) -> None:
            if type(event) is source:  # nearly always, and quicker than asking pydantic's classes
                await push(event, Moment(ctx.event.time_ms, ctx))
            elif isinstance(event, StreamItem):
                moment = Moment(event.at_ms, ctx)
                if joins is None:
                    await push(from_plain(event.value, takes), moment)
                elif type(event) is right:
                    await joins.take("right", from_plain(event.value, meets), moment)
                else:
                    await joins.take("left", from_plain(event.value, takes), moment)
            elif isinstance(event, StreamTick) and event.window in timed:
                await timed[event.window].tick(event, ctx)

        return handle


class _Building:
    """Makes a chain of functions of the nodes of a stage."""

    def __init__(
        self,
        windows: "dict[str, Windows | Joins]",
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

    def search(self, node: Node) -> Push:
        """Return what searches for the values that come, and sends what it found on."""
        return _worked(node.does, self._stage.name, self._over(node))

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
        """Send values to the stage of another key, or of the same one elsewhere."""
        does, target = node.does, self._into[self._stage.targets[id(node)].name]
        item, holds, name = target.takes, target.stage.takes, target.stage.name
        if isinstance(does, JoinStream) and does.side == "right" and target.meets is not None:
            item, holds = target.meets, target.stage.meets
        self._emits.add(item)
        key = does.key if isinstance(does, KeyBy) else None

        async def over(value: Any, moment: Moment) -> None:
            found = moment.ctx.key if key is None else await _result(key(value))
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
