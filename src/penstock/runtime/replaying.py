"""Replaying a stretch of history against other code, prompts or models, without touching it (C8).

- Nothing outside is changed: a step with effects comes from the record, and is refused where there is none.
- What runs write and emit stays in a scratch engine. Emitted events are compared, and handled by nobody.
- Sessions and values begin empty, and grow with the runs that are replayed: replay from the first event for what depends on them.
- Searches come from the record. Fresh ones, and those that were never recorded, see the knowledge as of that point: what had been
  indexed when the search was made, as its record says, or what had been appended when the run began.
- A workflow run is led through its journal: all its operations come from the record.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any, Protocol

from msgspec import Struct, structs

from penstock.core.agents.again import unwrapped
from penstock.core.agents.comparing import Course, Verdict, compared
from penstock.core.agents.declaration import Agent
from penstock.core.agents.journal import Journal, decode_value, standing
from penstock.core.agents.rehearsed import History as PastRun
from penstock.core.events.envelope import Envelope, Recorded, emitted_id
from penstock.core.events.envelope import run_id as run_id_of
from penstock.core.knowledge.as_of import AsOf, as_of
from penstock.core.knowledge.events import KnowledgeEvent
from penstock.core.knowledge.ordering import Point
from penstock.core.routing.router import Routed
from penstock.errors import Finding, Invalid, Missing, Refused
from penstock.ports.state import StoredRun
from penstock.runtime.calling import type_returned
from penstock.runtime.collection import Found, Search
from penstock.runtime.context import EMITTED_MAX, Context, entered
from penstock.runtime.decoding import decoded_by, decoders_of
from penstock.runtime.lanes import Delivery
from penstock.runtime.outcomes import body_of, events_of, reason_of, require_annotated
from penstock.runtime.past import before_ms
from penstock.runtime.rehearsing import rehearsed
from penstock.runtime.routing import RouteAsked
from penstock.runtime.services import Services
from penstock.runtime.steps import scope
from penstock.runtime.subscriptions import lane_finder
from penstock.runtime.topology import Topology

PAGE = 256
EVENTS_MAX = 1_000_000
SEARCH = "search:"  # steps that ask a knowledge collection
ENDED = ("succeeded", "failed")


class History(Protocol):
    """Where the history lies. It is only read."""

    async def read(self, topic: str, partition: int, *, after: int, limit: int) -> Sequence[Recorded]: ...
    async def run(self, run_id: str) -> StoredRun | None: ...
    async def origin(self, correlation_id: str) -> Sequence[Recorded]: ...


class Stretch(Struct, frozen=True):
    """What is replayed: events of one partition of a topic, from offset to offset, for one agent or all that take them."""

    topic: str
    first: int = 1
    last: int = EVENTS_MAX
    partition: int = 0
    agent: str | None = None
    fresh_reads: bool = False  # steps without effects are executed again


class ReplayContext(Context):
    """A handler's context in a replay."""

    __slots__ = ("asked", "before_ms", "lacks", "recorded", "stretch")

    def __init__(self, delivery: Delivery, services: Services, stored: StoredRun, stretch: Stretch) -> None:
        super().__init__(delivery, services)
        self.recorded = Journal(stored.records)
        self.before_ms = before_ms(stored.change)
        self.stretch = stretch
        self.asked: list[str] = []
        self.lacks = ""

    @property
    def remembers(self) -> bool:
        """Whether the handler read or wrote its session or values."""
        return self._session is not None or self._values is not None

    async def _step(
        self, name: str, call: Callable[..., Any], args: tuple[Any, ...], options: dict[str, Any], *, effects: bool
    ) -> Any:
        journal = self._delivery.journal
        step = journal.upcoming_step(scope.get() + name)
        self.asked.append(step)
        found = self.recorded.find(step) if effects or not self.stretch.fresh_reads else None
        if found is not None:
            journal.next_step(scope.get() + name)
            return decode_value(found, type_returned(call))
        if effects:
            self.lacks = self.lacks or step
            raise Refused(f"step {step!r} was never recorded, and a replay changes nothing", "record it by a real run")
        if name.startswith(SEARCH) and args and isinstance(args[0], Search):
            args = (self._as_it_was(step, args[0]), *args[1:])
        elif args and isinstance(args[0], RouteAsked):
            args = (self._by_what_was(step, args[0]), *args[1:])
        return await super()._step(name, call, args, options, effects=False)

    def _as_it_was(self, step: str, search: Search) -> Search:
        """Have a search see what there was when it was made, in the one generation that a replay has."""
        if search.as_of is None:
            search = structs.replace(search, uses_by_ms=max(1, self.before_ms))
        if search.as_of is not None:
            return structs.replace(search, generation=None)
        recorded = self.recorded.find(step)
        seen = [] if recorded is None else [each.as_of for each in decode_value(recorded, list[Found])]
        return structs.replace(search, generation=None, as_of=self._as_of(seen[0] if seen else 0))

    def _by_what_was(self, step: str, asked: RouteAsked) -> RouteAsked:
        """Have a choice made by the examples that there were when it was made."""
        recorded = self.recorded.find(step)
        seen = 0 if recorded is None else decode_value(recorded, Routed).as_of
        return structs.replace(asked, as_of=self._as_of(seen))

    def _as_of(self, seen: Point) -> AsOf:
        said = as_of(seen) if seen else None
        return AsOf(time_ms=self.before_ms) if said is None else said


async def replayed(
    history: History, topology: Topology, services: Services, stretch: Stretch
) -> AsyncGenerator[Verdict]:
    """Yield a verdict for each run of the stretch, in the order of the log. `services` are those of a scratch engine."""
    agents = _agents(topology, stretch)
    for collection in services.collections.values():
        collection.past = None if collection.past is None else collection.past.over(history)
    after = max(0, stretch.first - 1)
    while after < stretch.last:
        limit = min(PAGE, stretch.last - after)
        page = await history.read(stretch.topic, stretch.partition, after=after, limit=limit)
        if not page:
            return
        for recorded in page:
            after = recorded.position.offset
            for agent in agents:
                if recorded.event.type in decoders_of(agent) and agent.selects(recorded.event):
                    yield await _replayed(history, topology, agent, recorded, services, stretch)


def _agents(topology: Topology, stretch: Stretch) -> list[Agent]:
    takers = topology.topics.get(stretch.topic, [])
    findings: list[Finding] = []
    if not takers:
        findings.append(
            Finding("topic", f"{stretch.topic!r} is taken by no agent", ", ".join(topology.topics) or "none")
        )
    if not 1 <= stretch.first <= stretch.last:
        findings.append(Finding("from", f"is {stretch.first}, to is {stretch.last}", "offsets count from 1"))
    if findings:
        raise Invalid("what is to be replayed", tuple(findings))
    chosen = [each for each in takers if stretch.agent in (None, each.name)]
    if not chosen:
        names = ", ".join(each.name for each in takers)
        raise Missing(f"the agent {stretch.agent!r} for topic {stretch.topic!r}", f"it is taken by {names}")
    return chosen


async def _replayed(
    history: History, topology: Topology, agent: Agent, recorded: Recorded, services: Services, stretch: Stretch
) -> Verdict:
    event = unwrapped(recorded).event
    run_id = run_id_of(event.id, agent.name)
    if agent.options.batch:
        return Verdict(run_id, "skipped", note="a batch has no records of its own")
    stored = await history.run(run_id)
    if stored is None or stored.change.status not in ENDED:
        return Verdict(run_id, "skipped", note="it has not ended")
    if agent.options.workflow:
        return await _led_again(topology, recorded, stored, services)
    before = await _course(history, event, stored)
    kind = topology.of_type(event.type)
    assert kind is not None, "the agent reads this type"
    lane = f"{event.tenant}/{lane_finder(agent, kind, 1)(Recorded(recorded.position, event))}"
    delivery = Delivery(agent, [Recorded(recorded.position, event)], lane, known=False)
    context = ReplayContext(delivery, services, stored, stretch)
    now = await _handled(context, agent, event, topology)
    if not now.failure:
        context.write_memory(services.committer.add())
    context.let_go()
    note = ""
    if context.remembers and stretch.first > 1:
        note = "what its session and values held before the stretch is not there"
    return compared(run_id, before, now, lacks=context.lacks, note=note)


async def _led_again(topology: Topology, recorded: Recorded, stored: StoredRun, services: Services) -> Verdict:
    """Compare a workflow run, whose operations all come from its journal: what others answered, and when, is part of it."""
    change = stored.change
    told = await rehearsed(PastRun(change, recorded, stored.records), topology, services)
    before = Course(change.result, change.reason if change.status == "failed" else "")
    failure = told.reason if told.outcome in ("breaks", "fails") else before.failure
    now = Course(told.result, failure)
    match told.outcome:
        case "fits":
            return Verdict(change.run_id, "same", (), "", before, now)
        case "differs":
            return Verdict(change.run_id, "differs", ("result",), "", before, now)
        case "breaks":
            return Verdict(change.run_id, "differs", ("steps",), told.reason, before, now)
        case "fails":
            return Verdict(change.run_id, "failed", ("failure",), told.reason, before, now)
        case _:
            return Verdict(change.run_id, "skipped", (), told.reason, before)


async def _course(history: History, event: Envelope, stored: StoredRun) -> Course:
    """Return how the run went when it was real."""
    correlation, run_id = event.correlation_id or event.id, stored.change.run_id
    known = {each.event.id: each.event for each in await history.origin(correlation)}
    emitted: list[Envelope] = []
    while len(emitted) < EMITTED_MAX and (one := known.get(emitted_id(run_id, correlation, len(emitted)))) is not None:
        emitted.append(one)
    change = stored.change
    return Course(
        change.result,
        change.reason if change.status == "failed" else "",
        tuple((each.type, _key(each.type, each.key), each.data) for each in emitted),
        tuple(each.step for each in standing(stored.records) if "/" not in each.step.rpartition("#")[2]),
    )


async def _handled(context: ReplayContext, agent: Agent, event: Envelope, topology: Topology) -> Course:
    """Have the handler handle the event, once."""
    entered(context)
    try:
        argument = decoded_by(decoders_of(agent), agent, event)
        async with asyncio.timeout(agent.options.timeout_s):
            result = await (agent.handler(argument, context) if agent.wants_context else agent.handler(argument))
        require_annotated(agent, result)
        for each in events_of(result):
            context.emit(each)
        body = body_of(result)
    except Exception as error:  # noqa: BLE001 - a handler is the user's code: it may raise anything
        return Course(failure=reason_of(error), steps=tuple(context.asked))
    emitted = [
        (each.type_, _key(each.type_, topology.kind(type(each)).key_of(each) if key is None else key), each.encoded())
        for each, key in context.emitted
    ]
    return Course(body, "", tuple(emitted), tuple(context.asked))


def _key(type: str, key: str) -> str:
    """Return the key that counts: that of an event of knowledge follows from its data, and from how the log is divided."""
    return "" if type in KnowledgeEvent.reads_() else key
