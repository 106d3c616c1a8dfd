"""From appended events to the agents that take them, for the partitions that this engine owns.

- A partition that is taken over is opened when the runs that wait in it are there: answers must find them.
- One that is handed over is closed first: its events wait in the log, for the next owner.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from penstock.core.agents.again import TOPIC as AGAIN
from penstock.core.agents.progress import Progress
from penstock.core.events.envelope import UNPLACED, Recorded
from penstock.ports.store import Store
from penstock.runtime.appending import Appender
from penstock.runtime.handling import Handlings
from penstock.runtime.redriving import Machine, Redriving
from penstock.runtime.resuming import Resuming
from penstock.runtime.services import Services
from penstock.runtime.subscriptions import Subscription
from penstock.runtime.tasks import Tasks
from penstock.runtime.topology import Topology
from penstock.runtime.workflows import Workflows

HANDOVER_S = 10.0
Marks = Mapping[tuple[str, str, int], Progress]


class Delivering:
    """The subscriptions of an engine."""

    def __init__(  # noqa: PLR0913, PLR0917 - the parts of an engine
        self,
        topology: Topology,
        store: Store,
        services: Services,
        appender: Appender,
        handlings: Handlings,
        workflows: Workflows,
        tasks: Tasks,
    ) -> None:
        self._topology = topology
        self._store = store
        self._services = services
        self.appender = appender
        self._handlings = handlings
        self._workflows = workflows
        self.tasks = tasks
        self._resuming = Resuming(topology, services, store, workflows)
        self._machine = Machine(store, services, appender, workflows, self.appended)
        self._takers: dict[tuple[str, int], list[Subscription]] = {}
        self.on_owned: Callable[[Collection[int]], object] = _nobody
        self._listeners = services.listeners

    def appended(self, recorded: Recorded) -> None:
        """Deliver an event that was given its place just now."""
        place = recorded.position
        if place.offset <= UNPLACED:
            return
        for subscription in self._takers.get((place.topic, place.partition), ()):
            subscription.offer(recorded)
        if place.topic in self._listeners.topics:
            self._listeners.hear(recorded)

    def found_waiting(self, recorded: Recorded) -> None:
        """Deliver an event that waited when its partition was taken over, once its place is durable.

        Who had it before may have died of it: handled at once, it would kill each next one too, and nobody could count that.
        """
        place = recorded.position
        for subscription in self._takers.get((place.topic, place.partition), ()):
            subscription.postpone(recorded)
        if place.topic in self._listeners.topics:
            self._listeners.hear(recorded)

    def takers(self, topic: str, partition: int) -> tuple[str, ...]:
        """Return the agents that take what is appended there."""
        return tuple(each.agent.name for each in self._takers.get((topic, partition), ()))

    def at(self, topic: str, partition: int) -> Sequence[Subscription]:
        """Return the subscriptions to a partition of a topic."""
        return self._takers.get((topic, partition), ())

    async def own(self, partitions: Iterable[int]) -> None:
        """Go on with these partitions from where they are."""
        ends, done = await self._store.ends(), await self._store.progress()
        partitions = tuple(partitions)
        await self._listeners.own(partitions, self._store)
        self.appender.own(partitions, ends)
        opened = [each for partition in partitions for each in self._subscribe(partition, done)]
        await self._resuming.resume(partitions)
        await self._services.timers.own(sorted(self.appender.owned))
        for subscription in opened:
            subscription.open(self.appender)
            self.tasks.start(subscription.catch_up(self._store, self.appender))
        self.on_owned(partitions)

    async def disown(self, partition: int, within_s: float = HANDOVER_S) -> None:
        """Let what is under way in a partition end, cut off what does not, and have all of it durable."""
        closed = [each for each in self._subscriptions() if each.partition == partition]
        for subscription in closed:
            subscription.close()
        committer = self._services.committer
        try:
            async with asyncio.timeout(within_s):
                await committer.until(lambda: not self._handlings.is_busy(partition))
        except TimeoutError:
            pass
        await self._handlings.cut_off(partition)
        self._workflows.drop(partition)
        self.appender.disown(partition)
        self._listeners.drop(partition)
        await self._services.timers.own(sorted(self.appender.owned))
        for subscription in closed:
            self._takers.pop((subscription.topic, partition), None)  # several agents may take one topic
            self._handlings.unsubscribe(subscription)
        self._services.streams.flush()
        committer.add()  # what was added so far is durable when this is
        await committer.durable()
        self._services.streams.give_up(partition)
        self._services.memory.forget()

    def of(self, agent: str) -> list[Subscription]:
        """Return the subscriptions of an agent."""
        return [each for each in self._subscriptions() if each.agent.name == agent]

    @property
    def behind(self) -> bool:
        """Whether anything that was appended is not handled yet."""
        return any(each.behind or each.lanes.held for each in self._subscriptions())

    def _subscriptions(self) -> list[Subscription]:
        return [each for subscriptions in self._takers.values() for each in subscriptions]

    def _subscribe(self, partition: int, done: Marks) -> list[Subscription]:
        """Make a subscription for each agent and topic, from where the agent is. It is not open yet."""
        made: list[Subscription] = []
        for agent in self._topology.agents.values():
            keys = {self._topology.kind(event).key for event in agent.accepts}
            lanes = self._handlings.lanes(agent, keys.pop() if len(keys) == 1 else None)
            for topic in sorted({event.topic_ for event in agent.accepts}):
                progress = done.get((agent.name, topic, partition), Progress())
                made.append(Subscription(agent, topic, partition, progress, lanes))
            progress = done.get((agent.name, AGAIN, partition), Progress())
            made.append(Redriving(agent, partition, progress, lanes, self._machine))
        for subscription in made:
            self._prepare(subscription)
            self._takers.setdefault((subscription.topic, partition), []).append(subscription)
            self._handlings.subscribe(subscription)
        return made

    def _prepare(self, subscription: Subscription) -> None:
        subscription.known_to = self.appender.end(subscription.topic, subscription.partition)
        subscription.on_skipped = self._skipped
        subscription.on_caught_up = self._services.committer.add  # whoever waits for a commit looks again
        subscription.app_types = self._topology.kinds
        for event in subscription.agent.accepts:
            if subscription.topic in (event.topic_, AGAIN):
                subscription.takes(self._topology.kind(event), self.appender.partitions)

    def _skipped(self, subscription: Subscription) -> None:
        agent, topic, partition = subscription.agent.name, subscription.topic, subscription.partition
        self._services.committer.done(agent, topic, partition, subscription.progress)


def _nobody(partitions: Collection[int]) -> None:
    """Stand in for an engine that is not running yet."""
