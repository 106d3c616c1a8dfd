"""Agents that remember nothing, between topics alone: what comes goes through them, and what they emit goes out, without a store.

Whoever calls this reads and writes in one transaction, so that an event counts once. Here it is decided what may be done so:
agents that take an event and return events. What an agent gives up on becomes a message for the topic of dead letters.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence

from penstock.core.agents.declaration import Agent
from penstock.core.events.dead_messages import BROKER, dead_letters_topic, dead_message
from penstock.core.events.envelope import Envelope, run_id
from penstock.core.events.messages import AFTER, UNREADABLE, Carried, Message, Place, problem_of, to_event, to_message
from penstock.core.events.partitions import partition_of
from penstock.errors import Finding, Invalid
from penstock.ports.clock import Clock
from penstock.runtime.appending import Appender
from penstock.runtime.outcomes import FINAL, events_of, reason_of, require_annotated
from penstock.runtime.topology import Topology

ELSEWHERE = "run the app with a store: penstock run --log kafka://..."
Out = tuple[str, int, Message]


def stateless_findings(agents: Mapping[str, Agent]) -> list[Finding]:
    """Return what of some agents needs a store."""
    return [found for agent in agents.values() for found in _of_agent(agent)]


def _of_agent(agent: Agent) -> Iterator[Finding]:
    path, options = f"agent {agent.name!r}", agent.options
    if options.workflow:
        yield Finding(path, "is a workflow, whose runs are kept in a store", ELSEWHERE)
    elif agent.wants_context:
        yield Finding(
            path, "takes a Context: steps, values and sessions are kept in a store", f"drop it, or {ELSEWHERE}"
        )
    if options.batch:
        yield Finding(f"{path}.batch", f"takes batches of {options.batch}", "take one event at a time")
    if options.flow is not None:
        yield Finding(
            f"{path}.flow", "limits what goes on at once, which the store counts", f"leave it out, or {ELSEWHERE}"
        )


class Relay:
    """The agents of an app, as one function of messages. `carried`: its topics, each with its type where it has one only."""

    def __init__(self, app: str, topology: Topology, carried: Mapping[str, str], partitions: int, clock: Clock) -> None:
        if findings := stateless_findings(topology.agents):
            raise Invalid(f"the app {app!r} without a store", tuple(findings))
        self._topology = topology
        self._carried = carried
        self._partitions = partitions
        self._clock = clock
        self._appender = Appender(app, topology, partitions)
        self.dead_letters = dead_letters_topic(app)
        self.takes = sorted({event.topic_ for agent in topology.agents.values() for event in agent.accepts})
        self.topics = sorted({*carried, *self.takes, self.dead_letters})

    async def handled(self, received: Sequence[Carried]) -> list[Out]:
        """Return what goes out when these messages are done with: those of one key in their order, keys beside each other."""
        lanes: dict[tuple[str, str, str], list[tuple[Agent, str, Envelope, list[Out]]]] = {}
        places: list[list[Out]] = []
        for each in received:
            place = Place(
                each.topic, each.partition, each.position, self._carried.get(each.topic, ""), self._clock.now_ms()
            )
            event = to_event(each.message, place)
            if event.type == UNREADABLE:
                places.append([self._dead(event, each.topic, (BROKER, problem_of(event), 1))])
                continue
            for agent in self._takers(event):
                places.append([])
                lane = agent.name, event.tenant, event.key or event.id
                lanes.setdefault(lane, []).append((agent, each.topic, event, places[-1]))
        async with asyncio.TaskGroup() as group:
            for lane in lanes.values():
                group.create_task(self._through(lane))
        return [out for place in places for out in place]

    def _takers(self, event: Envelope) -> list[Agent]:
        kind = self._topology.of_type(event.type)
        if kind is None:
            return []  # another app's, in a topic that both use
        taking = self._topology.topics.get(kind.topic, [])
        return [each for each in taking if kind.event in each.accepts and each.selects(event)]

    async def _through(self, lane: Sequence[tuple[Agent, str, Envelope, list[Out]]]) -> None:
        for agent, topic, event, outs in lane:
            outs.extend(await self._outcome(agent, topic, event))

    async def _outcome(self, agent: Agent, topic: str, event: Envelope) -> list[Out]:
        retry, attempt = agent.options.retry, 1
        while True:
            try:
                return await self._attempt(agent, event)
            except Exception as error:  # noqa: BLE001 - whatever a user's code raises
                if isinstance(error, FINAL) or attempt >= retry.attempts_max:
                    return [self._dead(event, topic, (agent.name, reason_of(error), attempt))]
                await self._clock.sleep(retry.wait_s(attempt, self._clock.random()))
                attempt += 1

    async def _attempt(self, agent: Agent, event: Envelope) -> list[Out]:
        kind = self._topology.named(event.type)
        argument = kind.event.decoded_as(event.type, event.data)
        async with asyncio.timeout(agent.options.timeout_s):
            result = await agent.handler(argument)
        require_annotated(agent, result)
        run, now_ms = run_id(event.id, agent.name), self._clock.now_ms()
        outs: list[Out] = []
        for number, each in enumerate(events_of(result)):
            self._appender.check(each, None, event)
            topic, made = self._appender.unplaced(each, None, run=run, cause=event, number=number, now_ms=now_ms)
            outs.append(self._out(topic, made, to_message(made)))
        return outs

    def _dead(self, event: Envelope, topic: str, told: tuple[str, str, int]) -> Out:
        return self._out(self.dead_letters, event, dead_message(event, topic, told))

    def _out(self, topic: str, event: Envelope, message: Message) -> Out:
        partition = partition_of(event.tenant, event.key or event.id, self._partitions)
        return topic, partition, Message(message.value, message.key, (*message.headers, (AFTER, b"")))
