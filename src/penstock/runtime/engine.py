"""The engine: append, deliver per key, handle, commit, release.

- The engine holds the newest claim on the state store, or it stops (C5).
- All that it does is a keyed handler over a log: what is not written yet is done again after a crash, from the log.
- It starts by reading how far each agent came, and asks the store about a run only when the run is older than itself.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from penstock.core.agents.control import RunFollowed
from penstock.core.events.envelope import Recorded, event_of
from penstock.core.events.messages import Lane
from penstock.core.knowledge.passages import DEFAULT_TENANT
from penstock.errors import Missing, PenstockError, Unavailable
from penstock.ports.clock import Clock
from penstock.ports.reranker import Reranker
from penstock.ports.sealing import Subjects
from penstock.ports.state import Claim, StoredRun
from penstock.ports.store import Store
from penstock.ports.tracer import Tracer
from penstock.ports.witness import Witness
from penstock.runtime.appending import Appender
from penstock.runtime.collecting import add_collections
from penstock.runtime.collection import Index
from penstock.runtime.committer import Committer
from penstock.runtime.delivering import Delivering
from penstock.runtime.elsewhere import Elsewhere
from penstock.runtime.files import Files
from penstock.runtime.following import Follower, run_to_follow
from penstock.runtime.forgetting import Unheard, forgetter_of
from penstock.runtime.front import Front
from penstock.runtime.generations import Embedding, Generations, divided_at, opened_generations
from penstock.runtime.handling import Handlings
from penstock.runtime.indexer import embedder_of
from penstock.runtime.janitor import Janitor
from penstock.runtime.keeping import Keeper, keepers
from penstock.runtime.keeping_together import Sharing
from penstock.runtime.listeners import Listeners
from penstock.runtime.machine_checks import require_reachable
from penstock.runtime.machine_tasks import Outside
from penstock.runtime.memory import Memory
from penstock.runtime.models import Models
from penstock.runtime.ownership import BEAT_S, TTL_MS, Ownership
from penstock.runtime.past import Past
from penstock.runtime.questions import Questions
from penstock.runtime.queues import Queue, queue_of
from penstock.runtime.receiving import Receiver
from penstock.runtime.releases import Releases
from penstock.runtime.routing import LiveRouter
from penstock.runtime.schedules import Schedules
from penstock.runtime.selecting import require_selected
from penstock.runtime.services import Services, unobserved
from penstock.runtime.shared_limits import SharedLimits
from penstock.runtime.streams import Streams
from penstock.runtime.tasks import Tasks
from penstock.runtime.tidying import Household
from penstock.runtime.timers import Timers
from penstock.runtime.topology import Topology, require_one_order
from penstock.runtime.tracing import Traces
from penstock.runtime.workflows import Workflows
from penstock.runtime.write_points import Reached, StandIn, unwatched

T = TypeVar("T")
GRACE_S = 5.0


@dataclass(frozen=True, slots=True)
class Parts:
    """What an engine is made of."""

    app: str
    topology: Topology
    store: Store
    clock: Clock
    models: Models
    embedding: Embedding | None = None
    indexes: Mapping[str, Index] = field(default_factory=dict[str, Index])
    scratch: Callable[[], Index] | None = None  # makes an index that is kept nowhere
    executing: Callable[[str, str], None] = unobserved  # called with run id and step before a step is executed
    schedules: Schedules | None = None
    household: Household | None = None  # how long what is kept; None: without end
    reached: Reached = unwatched  # called where the process may die, by testing
    stand_in: StandIn | None = None  # answers in place of the functions of steps, in tests
    outside: "Callable[[Engine, Outside], None] | None" = None  # says what state machines reach beside agents
    rerankers: Mapping[str, Reranker] = field(default_factory=dict[str, Reranker])  # by collection
    routers: Mapping[str, LiveRouter] = field(default_factory=dict[str, LiveRouter])
    witness: Witness | None = None  # proves that somebody was forgotten
    subjects: Subjects | None = None  # seals what is about somebody, so that it can be forgotten
    files: Files | None = None  # reads files that are put
    carried: frozenset[str] = frozenset()  # topics that a broker carries
    tracer: Tracer | None = None
    behind: Callable[[], Awaitable[Mapping[Lane, int]]] | None = None  # how much waits in the broker for this worker
    beat_s: float = BEAT_S  # how often one of several workers says that it is alive


@asynccontextmanager
async def running(parts: Parts, *, owner: str, beside: bool = False) -> AsyncGenerator["Engine"]:
    """Take over the store and run; on leaving, what is under way gets `GRACE_S` seconds to end.

    `beside`: share the store with other workers. Raises what stopped it: `Fenced` when another worker took over, `Unavailable`
    when the store stayed away, `Invalid` for an app that several workers cannot share.
    """
    generations = await _opened_generations(parts)  # before anybody else's claim is ended
    store = parts.store
    claim = await (store.join(owner) if beside else store.claim(owner))
    partitions = len((await store.renew(claim, ttl_ms=TTL_MS)).owners)
    if partitions > 1:
        require_one_order(parts.topology)
    appender = _appender(parts, partitions)
    services = _services(parts, claim, appender)
    unwatch: list[Callable[[], None]] = []
    failure: BaseException | None = None
    try:
        async with asyncio.TaskGroup() as group:
            tasks = Tasks(group)
            engine = _assembled(parts, services, appender, tasks, generations)
            look_again_s = 2 * parts.beat_s if beside else None
            receiver = Receiver(store, engine, services.committer, appender, look_again_s=look_again_s)
            receiver.found_waiting = engine.delivering.found_waiting
            unwatch.append(store.watch(receiver.woken.set))
            if beside:
                unwatch.append(await _share(engine, claim, tasks, receiver))
            else:
                await _own_all(engine, receiver)
            for keeper in engine.keepers.values():
                tasks.keep(keeper.run())
            tasks.keep(services.timers.run())
            tasks.keep(receiver.run(engine.delivering.appended))
            try:
                yield engine
                await engine.drained(GRACE_S)
                await engine.acquit()
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
        services.committer.stop(ended)
        services.releases.broken(ended)
        services.streams.broken(ended)
        for stop in unwatch:
            stop()
    if failure is not None:
        raise failure
    if beside:  # the others need not wait until this worker has been silent for long enough
        await store.leave(claim)


def _assembled(
    parts: Parts, services: Services, appender: Appender, tasks: Tasks, generations: Mapping[str, Generations]
) -> "Engine":
    """Return an engine that commits, and owns nothing yet."""
    workflows = Workflows(parts.topology, services, parts.store, appender, tasks)
    services.control = workflows.arrivals
    handlings = Handlings(services, parts.store, appender, tasks, workflows)
    delivering = Delivering(parts.topology, parts.store, services, appender, handlings, workflows, tasks)
    workflows.flow.places = handlings.places
    workflows.resumed.turns = handlings.suspects.turns
    workflows.arrivals.on_cancelled = handlings.cancellations.cancel
    workflows.arrivals.on_appended = workflows.calling.on_appended = delivering.appended
    handlings.on_appended = services.timers.on_appended = delivering.appended
    services.listeners.on_appended = delivering.appended
    services.questions.goes_on = workflows.goes_on
    add_collections(services, parts.indexes, generations, parts.rerankers, parts.store, tasks)
    engine = Engine(parts, services, appender, handlings, delivering)
    if parts.outside is not None:
        parts.outside(engine, services.outside)
    if parts.subjects is not None and parts.witness is not None:
        services.forgetting = forgetter_of(engine, parts.subjects, parts.witness)
    require_reachable(parts.topology.agents, services.outside)
    if parts.scratch is not None:
        for collection in services.collections.values():
            collection.past = Past(collection, parts.store, parts.scratch, tasks, parts.store)
    services.routers = parts.routers
    for router in parts.routers.values():
        router.over(services.collections)
    engine.keepers = keepers(services.collections, parts.store, services, parts.embedding, delivering)
    services.keepers.update(engine.keepers)
    if parts.schedules is not None:
        schedules = parts.schedules
        delivering.on_owned = lambda partitions: tasks.start(schedules.begin(engine, partitions))
    if parts.household is not None:
        janitor = Janitor(parts.store, parts.clock, parts.household, engine)
        engine.janitor = janitor
        tasks.keep(janitor.run())
    tasks.start(workflows.until_the_end())
    tasks.keep(engine.commit())
    return engine


async def _own_all(engine: "Engine", receiver: Receiver) -> None:
    """Be the only worker. What was sent while there were several has its place before anything new."""
    partitions = range(engine.appender.partitions)
    if len(partitions) == 1:
        engine.appender.open(0)
    if len(partitions) > 1 or engine.parts.carried:
        engine.services.committer.on_sent = _sent_to_oneself
    await engine.delivering.own(partitions)
    await receiver.receive(engine.delivering.found_waiting)


def _sent_to_oneself(recorded: Recorded) -> None:
    """Stand in for other workers: there are none."""


async def _share(engine: "Engine", claim: Claim, tasks: Tasks, receiver: Receiver) -> Callable[[], None]:
    """Work beside others, from now on, until the returned function is called."""
    store, elsewhere = engine.parts.store, Elsewhere()

    sharing = Sharing(engine.keepers, store, engine.services, engine.parts.embedding, tasks)
    unheard = Unheard(engine.parts.subjects, engine.services.collections, lambda: bool(engine.appender.owned))

    async def own(partitions: Iterable[int]) -> None:
        unheard.let_go(tasks)
        await sharing.before_owning()
        await engine.delivering.own(partitions)
        sharing.owned()
        receiver.woken.set()  # what waits for them can be received now

    async def disown(partition: int) -> None:
        await engine.delivering.disown(partition)
        await sharing.given_up()

    engine.elsewhere, engine.appender.shared = elsewhere, True
    engine.services.committer.on_sent = elsewhere.left
    limits = SharedLimits(store, claim, engine.parts.clock, engine.places.lines)
    engine.places.on_short = limits.woken.set
    ownership = Ownership(store, claim, own, disown)
    await ownership.beat()
    tasks.keep(ownership.run(engine.parts.clock, tasks, engine.parts.beat_s))
    tasks.keep(elsewhere.run())
    tasks.keep(limits.run())
    tasks.keep(sharing.run(2 * engine.parts.beat_s))

    def news() -> None:
        sharing.news()
        elsewhere.woken.set()
        engine.services.streams.news()

    return store.watch(news)


def _appender(parts: Parts, partitions: int) -> Appender:
    appender = Appender(parts.app, parts.topology, partitions)
    appender.names_subjects = parts.subjects is not None
    appender.carried = parts.carried
    return appender


def _services(parts: Parts, claim: Claim, appender: Appender) -> Services:
    committer = Committer(parts.store, claim, parts.reached)
    committer.carried = parts.carried
    memory = Memory(parts.store, committer, parts.clock)
    releases = Releases()
    streams = Streams(committer, releases, parts.store)
    timers = Timers(parts.store, parts.clock, committer, releases, appender)
    questions = Questions(memory, committer, parts.store)
    listeners = Listeners(parts.topology, committer, parts.clock, appender)
    services = Services(parts.clock, committer, memory, releases, parts.models, timers, streams, questions, listeners)
    services.executing = parts.executing
    services.reached, services.stand_in = parts.reached, parts.stand_in
    services.partitions = appender.partitions
    if parts.tracer is not None:
        services.traces = appender.traces = parts.models.traces = Traces(parts.tracer)
    committer.meters = parts.models.meters = services.meters
    committer.monotonic_s = parts.models.monotonic_s = parts.clock.monotonic_s
    return services


async def _opened_generations(parts: Parts) -> dict[str, Generations]:
    """Return the generations of each collection; `Invalid` where the settings name another embedder than it was indexed with."""
    found: dict[str, Generations] = {}
    for name in parts.indexes:
        assert parts.embedding is not None, f"collection {name!r} has no embedder"
        legacy, now_ms = embedder_of(name), parts.clock.now_ms()
        found[name] = await opened_generations(name, parts.store, parts.embedding, legacy=legacy, now_ms=now_ms)
        found[name].partitions = await parts.store.partitions()
        found[name].divided_at = await divided_at(parts.store)
    return found


class _Stopped(Exception):
    """The end of `running` was reached."""


class Engine(Front):
    """A running app: its front door, and the machine behind it."""

    def __init__(
        self, parts: Parts, services: Services, appender: Appender, handlings: Handlings, delivering: Delivering
    ) -> None:
        super().__init__(parts.topology, parts.store, services, appender, delivering.appended)
        self.parts = parts
        self.workflows = handlings.workflows
        self._handlings = handlings
        self.places = handlings.places
        self.delivering = delivering
        self.janitor: Janitor | None = None
        self.keepers: dict[str, Keeper] = {}  # of the generations of each collection

    @property
    def partitions(self) -> frozenset[int]:
        """Those that this engine works on."""
        return self.appender.owned

    def takers(self, topic: str, partition: int) -> tuple[str, ...]:
        """Return the agents that take what is appended there."""
        return self.delivering.takers(topic, partition)

    async def commit(self) -> None:
        """Commit until cancelled; when that becomes impossible, tell all who wait, and stop."""
        try:
            await self.services.committer.run()
        except PenstockError as error:
            self.services.releases.broken(error)
            raise

    async def follow(self, id: str, *, name: str = "", from_offset: int = 0, tenant: str = DEFAULT_TENANT) -> Follower:
        """Return one who follows a stream of a run, named by its id or by that of its event; `Missing` when there is none."""
        run = await run_to_follow(self.parts, id, tenant)
        follower = Follower(self.services.streams, self.parts.store, run, tenant, name=name, from_offset=from_offset)
        origin = None if self.elsewhere is None else await self.parts.store.event(event_of(run)[0])
        if origin is not None:
            follower.say_so = partial(self._follows, run, origin.position.partition, tenant)
        return follower

    def _follows(self, run: str, partition: int, tenant: str) -> None:
        """Have the owner of a run's partition know that it is followed here."""
        if partition not in self.appender.owned:
            self.tell_owner(RunFollowed(run_id=run), partition, tenant, self.services.clock.new_id())

    async def settled(self, within_s: float) -> bool:
        """Wait until everything is handled, retries included, and durable; False when that took too long."""

        def holds() -> bool:
            return self._handlings.settled and not (self.delivering.behind or self.workflows.resumed.waiting)

        return await self._until(holds, within_s)

    async def drained(self, within_s: float) -> bool:
        """Wait until no handler runs and everything is durable; what waits goes on at the next start."""
        self.services.streams.flush()
        return await self._until(lambda: self._handlings.quiet, within_s)

    async def acquit(self) -> None:
        """The process ends as it should: what is under way is not to blame."""
        await self._handlings.suspects.acquit()
        await self.workflows.resumed.acquit()

    async def caught_up(self, agent: str) -> None:
        """Wait until an agent is durably done with every event that was appended so far."""
        mine = self.delivering.of(agent)
        ends = [(each, self.appender.end(each.topic, each.partition)) for each in mine]
        await self.services.committer.until(lambda: all(each.progress.low >= end for each, end in ends))
        await self.services.committer.durable()

    async def queues(self) -> list[Queue]:
        """Return what waits for each agent, and why; penstock's own agents included."""
        lines = list(self._handlings.places.lines.values())
        return [
            await queue_of(line, self.delivering.of(line.agent.name), self.parts.store, self.appender) for line in lines
        ]

    async def run(self, id: str) -> StoredRun:
        """Return what is known of a run; `Missing` when there is none."""
        stored = await self.parts.store.run(id)
        if stored is None:
            raise Missing(f"the run {id!r}", "see `penstock runs list`")
        if stored.change.status == "queued":
            if self._handlings.is_under_way(id):
                stored.change.status = "running"
            else:
                await require_selected(self.parts.topology, self.parts.store, id)
        return stored

    async def until(self, look: Callable[[], T | Awaitable[T]], holds: Callable[[T], bool] = bool) -> T:
        """Return what `look` finds once it holds; it looks after each commit. Set a limit with `asyncio.timeout`."""
        return await self.services.committer.until(look, holds)

    async def _until(self, holds: Callable[[], bool], within_s: float) -> bool:
        committer = self.services.committer
        try:
            async with asyncio.timeout(within_s):
                await committer.until(lambda: holds() and committer.idle)
        except TimeoutError:
            return False
        return True
