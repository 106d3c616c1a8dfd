"""The engine: append, deliver per key, handle, commit, release.

- The engine holds the newest claim on the state store, or it stops (C5).
- All that it does is a keyed handler over a log: what is not written yet is done again after a crash, from the log.
- It starts by reading how far each agent came, and asks the store about a run only when the run is older than itself.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from penstock.core.agents.journal import decode_value
from penstock.core.agents.progress import Progress
from penstock.core.events.envelope import Recorded, may_be_emitted, run_id
from penstock.core.events.event import Event
from penstock.core.knowledge.passages import DEFAULT_TENANT
from penstock.errors import Finding, Invalid, Missing, PenstockError, Refused, RunFailed, TimedOut, Unavailable
from penstock.ports.clock import Clock
from penstock.ports.embedder import Embedder
from penstock.ports.state import StoredRun
from penstock.ports.store import Store
from penstock.runtime.appending import PARTITION, Appender, check_id
from penstock.runtime.collection import Collection, Index
from penstock.runtime.committer import Committer
from penstock.runtime.handling import Handlings
from penstock.runtime.indexer import CHANGED_EMBEDDER, embedder_of
from penstock.runtime.indexer import NAME as INDEXER
from penstock.runtime.lanes import BatchLane, KeyLanes
from penstock.runtime.memory import Memory
from penstock.runtime.models import Models
from penstock.runtime.releases import Releases
from penstock.runtime.services import Services, unobserved
from penstock.runtime.subscriptions import Subscription
from penstock.runtime.tasks import Tasks
from penstock.runtime.topology import Topology
from penstock.runtime.workflows import Workflows

E = TypeVar("E", bound=Event)
T = TypeVar("T")
REPLY_WAIT_S = 60.0
GRACE_S = 5.0
FOLLOWED_MAX = 256  # events whose runs are asked for when an earlier event is asked about again


@dataclass(frozen=True, slots=True)
class Parts:
    """What an engine is made of."""

    app: str
    topology: Topology
    store: Store
    clock: Clock
    models: Models
    embedder: Embedder | None = None
    indexes: Mapping[str, Index] = field(default_factory=dict[str, Index])
    executing: Callable[[str, str], None] = unobserved  # called with run id and step before a step is executed


@asynccontextmanager
async def running(parts: Parts, *, owner: str) -> AsyncGenerator["Engine"]:
    """Take over the store and run; on leaving, what is under way gets `GRACE_S` seconds to end.

    Raises what stopped it: `Fenced` when another worker took over, `Unavailable` when the store stayed away.
    """
    claim = await parts.store.claim(owner)
    ends = await parts.store.ends()
    done = await parts.store.progress()
    await _require_same_embedder(parts)
    committer = Committer(parts.store, claim)
    memory = Memory(parts.store, committer, parts.clock)
    releases = Releases()
    services = Services(parts.clock, committer, memory, releases, parts.models, parts.executing)
    appender = Appender(parts.app, parts.topology, ends)
    failure: BaseException | None = None
    try:
        async with asyncio.TaskGroup() as group:
            tasks = Tasks(group)
            workflows = Workflows(parts.topology, services, parts.store, appender, tasks)
            services.control = workflows
            handlings = Handlings(services, parts.store, appender, tasks, workflows)
            engine = Engine(parts, services, appender, handlings)
            for name, index in parts.indexes.items():
                assert parts.embedder is not None
                services.collections[name] = Collection(name, index, parts.embedder, tasks)
            tasks.start(engine.commit())
            subscriptions = engine.subscribed(done)
            workflows.on_appended = engine.appended
            # Before any backlog is handled: its answers must find the runs that wait for them.
            await workflows.resume_all()
            for subscription in subscriptions:
                tasks.start(subscription.catch_up(parts.store, appender))
            try:
                yield engine
                await engine.drained(GRACE_S)
            except BaseException as error:  # noqa: BLE001 - the caller's own error leaves as it came, outside of any group
                failure = error
            tasks.ending = True
            raise _Stopped  # noqa: TRY301 - ends the tasks of the group
    except* _Stopped:
        pass
    except* PenstockError as group:
        failure = group.exceptions[0]
    finally:
        ended = failure if isinstance(failure, PenstockError) else Unavailable("the engine", "commit", "it was stopped")
        committer.stop(ended)
        releases.broken(ended)
    if failure is not None:
        raise failure


async def _require_same_embedder(parts: Parts) -> None:
    """Refuse to search a collection with vectors of another embedder than it was indexed with."""
    if not parts.indexes:
        return
    known = await parts.store.values(DEFAULT_TENANT, INDEXER, "")
    for name in parts.indexes:
        assert parts.embedder is not None, f"collection {name!r} has no embedder"
        first = known.get(embedder_of(name))
        if first is not None and decode_value(first, str) != parts.embedder.name:
            problem = f"{name!r} was indexed with {decode_value(first, str)}, not with {parts.embedder.name}"
            raise Invalid("the embedder", (Finding("embedder", problem, CHANGED_EMBEDDER),))


class _Stopped(Exception):
    """The end of `running` was reached."""


class Engine:
    """A running app: events go in, results come out."""

    def __init__(self, parts: Parts, services: Services, appender: Appender, handlings: Handlings) -> None:
        self.parts = parts
        self.services = services
        self._appender = appender
        self._handlings = handlings
        self._by_topic: dict[str, list[Subscription]] = {}
        self._unsure: dict[str, Recorded] = {}  # events with an id from outside that are not durable yet
        self._asking: dict[str, int] = {}  # ids that the store is being asked about, and how often
        self._late: set[str] = set()  # ids among them that became durable meanwhile
        handlings.on_appended = self.appended

    def subscribed(self, done: Mapping[tuple[str, str, int], Progress]) -> list[Subscription]:
        """Make a subscription for each agent and topic, from where the agent is."""
        soon = asyncio.get_running_loop().call_soon
        for agent in self.parts.topology.agents.values():
            batch = agent.options.batch
            lanes = BatchLane(self._handlings.start, soon) if batch else KeyLanes(self._handlings.start)
            for topic in sorted({event.topic_ for event in agent.accepts}):
                progress = done.get((agent.name, topic, PARTITION), Progress())
                subscription = Subscription(agent, topic, PARTITION, progress, lanes)
                subscription.known_to = self._appender.end(topic)
                subscription.on_skipped = self._skipped
                subscription.on_caught_up = self.services.committer.add  # whoever waits for a commit looks again
                for event in agent.accepts:
                    if event.topic_ == topic:
                        subscription.takes(self.parts.topology.kind(event))
                if subscription.read_to < subscription.known_to:
                    subscription.behind = True
                    subscription.turned.set()
                self._by_topic.setdefault(topic, []).append(subscription)
                self._handlings.subscribe(subscription)
        return [each for subscriptions in self._by_topic.values() for each in subscriptions]

    async def commit(self) -> None:
        """Commit until cancelled; when that becomes impossible, tell all who wait, and stop."""
        try:
            await self.services.committer.run()
        except PenstockError as error:
            self.services.releases.broken(error)
            raise

    async def settled(self, within_s: float) -> bool:
        """Wait until everything is handled, retries included, and durable; False when that took too long."""
        return await self._until(lambda: self._handlings.settled and not self._behind, within_s)

    async def drained(self, within_s: float) -> bool:
        """Wait until no handler runs and everything is durable; what waits goes on at the next start."""
        return await self._until(lambda: self._handlings.quiet, within_s)

    async def caught_up(self, agent: str) -> None:
        """Wait until an agent is durably done with every event that was appended so far."""
        mine = [each for topic in self._by_topic.values() for each in topic if each.agent.name == agent]
        ends = [(each, self._appender.end(each.topic)) for each in mine]
        while any(each.progress.low < end for each, end in ends):
            await self.services.committer.next_commit()
        await self.services.committer.durable()

    # what callers do

    async def send(
        self, event: Event, *, id: str | None = None, tenant: str = "default", key: str | None = None
    ) -> str:
        """Append an event, and return its id once it is durable. The same `id` twice is one event."""
        recorded, _ = await self._submit(event, id=id, tenant=tenant, key=key)
        await self.services.committer.durable()
        return recorded.event.id

    async def send_many(self, events: list[Event], *, tenant: str = "default") -> list[str]:
        """Append events together, and return their ids once they are durable."""
        recorded = [(await self._submit(event, id=None, tenant=tenant, key=None))[0] for event in events]
        await self.services.committer.durable()
        return [each.event.id for each in recorded]

    async def ask(
        self,
        event: Event,
        reply: type[E],
        *,
        id: str | None = None,
        tenant: str = "default",
        within_s: float = REPLY_WAIT_S,
    ) -> E:
        """Append an event and return the first `reply` that follows from it, once that is durable.

        Raises `RunFailed` when an agent on the way gave up, `TimedOut` when nothing came (the work goes on).
        """
        self._require_answerable(event, reply)
        event_id = self.services.clock.new_id() if id is None else id
        with self.services.releases.reply(event_id, reply.type_) as waiting:
            _, is_new = await self._submit(event, id=event_id, tenant=tenant, key=None, made_here=id is None)
            if not is_new:
                earlier = await self._answer_to(event_id, reply)
                if earlier is not None:
                    return earlier
            recorded = await self._within(waiting, within_s, f"the answer to event {event_id}")
        return reply.decoded(recorded.event.data)

    async def call(
        self,
        agent: str,
        event: Event,
        *,
        id: str | None = None,
        tenant: str = "default",
        within_s: float = REPLY_WAIT_S,
    ) -> bytes:
        """Append an event and return what `agent` returns for it, as JSON, once that is durable."""
        self.require_taker(agent, event)
        event_id = self.services.clock.new_id() if id is None else id
        run = run_id(event_id, agent)
        with self.services.releases.run(run) as waiting:
            _, is_new = await self._submit(event, id=event_id, tenant=tenant, key=None, made_here=id is None)
            if not is_new:
                stored = await self.parts.store.run(run)
                if stored is not None and stored.change.status == "succeeded":
                    return stored.change.result
                if stored is not None and stored.change.status == "failed":
                    raise RunFailed(run, stored.change.reason)
            return await self._within(waiting, within_s, f"run {run}")

    def _require_answerable(self, event: Event, reply: Any) -> None:
        """Refuse at once what could only end in a time-out."""
        if not (isinstance(reply, type) and issubclass(reply, Event)):
            raise Refused(
                f"the reply {reply!r} is no event class", "for what an agent returns otherwise, use call(agent, event)"
            )
        if not self.parts.topology.takers(type(event)):
            raise Refused(f"no agent of this app takes {event.type_}", "declare one, or send the event without asking")

    def require_taker(self, agent: str, event: Event) -> None:
        """Raise `Missing` unless the agent exists and takes this event."""
        found = self.parts.topology.agents.get(agent)
        if found is None:
            raise Missing(f"the agent {agent!r}", f"this app has {', '.join(self.parts.topology.agents) or 'none'}")
        if type(event) not in found.accepts:
            raise Refused(f"{agent!r} does not take {event.type_}", "send it as an event instead")

    async def run(self, id: str) -> StoredRun:
        """Return what is known of a run; `Missing` when there is none."""
        stored = await self.parts.store.run(id)
        if stored is None:
            raise Missing(f"the run {id!r}", "see `penstock runs list`")
        if stored.change.status == "queued" and self._handlings.is_under_way(id):
            stored.change.status = "running"
        return stored

    async def _submit(
        self, event: Event, *, id: str | None, tenant: str, key: str | None, made_here: bool = False
    ) -> tuple[Recorded, bool]:
        """Append an event, and return it with whether it is new. An id that was `made_here` cannot be known already."""
        if not isinstance(event, Event):  # pyright: ignore[reportUnnecessaryIsInstance] - users without a type checker
            raise Refused(f"{type(event).__name__} is no event", "give an instance of a subclass of penstock.Event")
        committer = self.services.committer
        if committer.failure is not None:
            raise committer.failure
        while committer.full:  # the disk does not keep up: whoever sends more waits
            await committer.durable()
        if id is not None and not made_here:
            known = await self._known(id)
            if known is not None:
                if known.event.tenant != tenant:
                    raise Refused(f"the id {id!r} is taken", "use another id")
                return known, False
            if may_be_emitted(id):
                raise Refused(f"the id {id!r} is one that the engine gives to emitted events", "use another id")
        now_ms = self.services.clock.now_ms()
        recorded = self._appender.submitted(
            event, id=id or self.services.clock.new_id(), tenant=tenant, key=key, now_ms=now_ms
        )
        if id is not None and not made_here:
            self._unsure[id] = recorded
            committer.add(lambda: self._sure(id)).events.append(recorded)
        else:
            committer.add().events.append(recorded)
        self.appended(recorded)
        return recorded, True

    async def _known(self, id: str) -> Recorded | None:
        """Return the event with an id from outside, durable or not."""
        check_id(id)
        known = self._unsure.get(id)
        if known is not None:
            return known
        # An event that becomes durable after the store has looked, and before it has answered, stays in `_unsure`.
        self._asking[id] = self._asking.get(id, 0) + 1
        try:
            return await self.parts.store.event(id) or self._unsure.get(id)
        finally:
            self._asking[id] -= 1
            if not self._asking[id]:
                del self._asking[id]
                if id in self._late:
                    self._late.remove(id)
                    self._unsure.pop(id, None)

    def _sure(self, id: str) -> None:
        if id in self._asking:
            self._late.add(id)
        else:
            self._unsure.pop(id, None)

    async def _answer_to(self, event_id: str, reply: type[E]) -> E | None:
        """Return the first `reply` that followed from an earlier event; `RunFailed` when an agent gave up instead."""
        followed = await self.parts.store.origin(event_id)
        replies = [each for each in followed if each.event.type == reply.type_ and each.event.id != event_id]
        if replies:
            first = min(replies, key=lambda each: each.position.offset)
            return reply.decoded(first.event.data)
        kinds = self.parts.topology.kinds
        for each in followed[:FOLLOWED_MAX]:
            for agent in self.parts.topology.takers(kinds[each.event.type].event) if each.event.type in kinds else ():
                stored = await self.parts.store.run(run_id(each.event.id, agent.name))
                if stored is not None and stored.change.status == "failed":
                    raise RunFailed(stored.change.run_id, stored.change.reason)
        return None

    def _skipped(self, subscription: Subscription) -> None:
        agent, topic, partition = subscription.agent.name, subscription.topic, subscription.partition
        self.services.committer.done(agent, topic, partition, subscription.progress)

    def appended(self, recorded: Recorded) -> None:
        """Deliver an event that was given its place just now."""
        for subscription in self._by_topic.get(recorded.position.topic, ()):
            subscription.offer(recorded)

    @property
    def _behind(self) -> bool:
        return any(each.behind or each.lanes.held for topic in self._by_topic.values() for each in topic)

    async def _until(self, holds: Callable[[], bool], within_s: float) -> bool:
        committer = self.services.committer
        try:
            async with asyncio.timeout(within_s):
                while not (holds() and committer.idle):
                    await committer.next_commit()
        except TimeoutError:
            return False
        return True

    async def _within(self, waiting: "asyncio.Future[T]", within_s: float, what: str) -> T:
        # A timer that is nearly always cancelled: asyncio.timeout costs three times as much.
        timer = asyncio.get_running_loop().call_later(within_s, _give_up, waiting, TimedOut(what, within_s))
        try:
            return await waiting
        finally:
            timer.cancel()


def _give_up(waiting: "asyncio.Future[T]", error: TimedOut) -> None:
    if not waiting.done():
        waiting.set_exception(error)
