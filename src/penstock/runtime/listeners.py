"""Which runs listen to events of the partitions that this engine owns, and what they hear.

- An event is heard by the commit that gives it its place in the log: what came before a run began to listen is not heard,
  what comes after it is, whatever dies.
- Who listens is a row of the partition in which the events are. The run may lie in another one: what it says to that
  partition, and what it hears from there, are events, in order. What it says to its own is a row of the same commit.
"""

from collections import Counter
from collections.abc import Iterable
from hashlib import blake2b
from typing import Any, cast

import msgspec

from penstock.core.agents.control import EventHeard, RunListens, RunListensNoMore
from penstock.core.agents.listening import Listening, ListeningIndex, Plain
from penstock.core.agents.unit import ValueWrite
from penstock.core.events.envelope import Envelope, Recorded
from penstock.core.events.envelope import run_id as run_id_of
from penstock.core.events.event import Event
from penstock.core.events.partitions import partition_of
from penstock.core.knowledge.passages import DEFAULT_TENANT
from penstock.errors import Invalid
from penstock.ports.clock import Clock
from penstock.ports.state import StateStore
from penstock.runtime.appending import Appended, Appender
from penstock.runtime.committer import Committer
from penstock.runtime.topology import Kind, Topology
from penstock.runtime.workflow_run import WorkflowRun

OWNER = ":listening"  # whose values the rows are; the name of an agent has no colon


class Listeners:
    """Those who listen."""

    def __init__(self, topology: Topology, committer: Committer, clock: Clock, appender: Appender) -> None:
        self._topology = topology
        self._committer = committer
        self._clock = clock
        self._appender = appender
        self._of: dict[int, ListeningIndex] = {}  # by partition
        self.topics: Counter[str] = Counter()  # topics that anybody listens to, and in how many partitions
        self.on_appended: Appended = _nowhere

    async def own(self, partitions: Iterable[int], store: StateStore) -> None:
        """Know who listens to these partitions; before anything gets its place there."""
        for partition in partitions:
            rows = await store.values(DEFAULT_TENANT, OWNER, str(partition))
            index = self._of[partition] = ListeningIndex()
            for body in rows.values():
                index.add(msgspec.msgpack.decode(body, type=Listening))
            self.topics += index.topics

    def drop(self, partition: int) -> None:
        """Leave those of a partition to its next owner."""
        index = self._of.pop(partition, None)
        if index is not None:
            self.topics -= index.topics

    def kind(self, event: type[Event]) -> Kind:
        """Return what the app knows of an event type."""
        return self._topology.kind(event)

    # what a run says

    def begin(self, run: WorkflowRun, each: Listening) -> None:
        """Have a run listen, together with the commit that is being collected."""
        here = self._partition_of_run(each)
        for partition in self._partitions(each):
            if partition == here:
                self.add(partition, each)
            else:
                said = RunListens(run_id=run.run_id, listening=msgspec.to_builtins(each))
                self._say(run.cause, each, said, partition)

    def end(self, run: WorkflowRun, each: Listening) -> None:
        """Have a run listen no more."""
        here = self._partition_of_run(each)
        for partition in self._partitions(each):
            if partition == here:
                self.remove(partition, each.name)
            else:
                self._say(run.cause, each, RunListensNoMore(run_id=run.run_id, channel=each.channel), partition)

    # what the owner of a partition does

    def add(self, partition: int, each: Listening) -> None:
        """Let what gets its place in a partition from now on be heard."""
        index = self._of[partition]
        if each.name not in index:
            self.topics[each.topic] += 1
        index.add(each)
        self._write(partition, each.name, msgspec.msgpack.encode(each))

    def remove(self, partition: int, name: str) -> None:
        index = self._of.get(partition)
        removed = None if index is None else index.remove(name)
        if removed is not None:
            self.topics -= Counter((removed.topic,))  # what nobody listens to any more is gone from it
            self._write(partition, name, None)

    def hear(self, recorded: Recorded) -> None:
        """Tell those who listen to an event that has got its place, by the commit that writes it."""
        place, event = recorded.position, recorded.event
        index = self._of.get(place.partition)
        if index is None:
            return
        for each in index.hearing(place.topic, event, lambda: self._plain(event)):
            if each.once:
                self.remove(place.partition, each.name)
            heard = EventHeard(run_id=each.run_id, channel=each.channel, event_id=event.id)
            told = self._appender.emitted(
                heard,
                each.run_key,
                run=run_id_of(event.id, OWNER),
                cause=event,
                number=_number(each.name),
                now_ms=self._clock.now_ms(),
            )
            self._committer.add().events.append(told)
            self.on_appended(told)

    def _say(self, cause: Envelope, each: Listening, said: Event, partition: int) -> None:
        # A fresh id each time: a run that is redriven, or a fork, says the same again.
        number = _number(f"{each.name} {self._clock.new_id()}")
        now_ms = self._clock.now_ms()
        told = self._appender.told(said, partition, run=each.run_id, cause=cause, number=number, now_ms=now_ms)
        self._committer.add().events.append(told)
        self.on_appended(told)

    def _write(self, partition: int, name: str, body: bytes | None) -> None:
        self._committer.add().values.append(ValueWrite(DEFAULT_TENANT, OWNER, str(partition), name, body))

    def _partition_of_run(self, each: Listening) -> int:
        return partition_of(each.tenant, each.run_key, self._appender.partitions)

    def _partitions(self, each: Listening) -> Iterable[int]:
        """Return where the events may be: those of a key are in one partition."""
        if each.key:
            return (partition_of(each.tenant, each.key, self._appender.partitions),)
        return range(self._appender.partitions)

    def _plain(self, event: Envelope) -> Plain:
        """Return the data of an event as its newest version has them, where it can be read."""
        kind, data = self._topology.of_type(event.type), event.data
        if kind is not None and kind.event.type_ != event.type:
            try:
                data = kind.event.decoded_as(event.type, data).encoded()
            except Invalid:
                return {}
        try:
            plain: Any = msgspec.json.decode(data)
        except msgspec.MsgspecError:
            return {}
        return cast("Plain", plain) if isinstance(plain, dict) else {}


def _number(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=6).digest(), "big")


def _nowhere(recorded: Recorded) -> None:
    """Stand in for an engine that is not running yet."""
