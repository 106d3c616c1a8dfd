"""Brings events to keyed turns as Flink does, and keeps what it would keep."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Self

import msgspec

from penstock import App, Event
from penstock.core.events.envelope import Envelope
from penstock.core.events.messages import Message, Place, to_event
from penstock.flink.begun import Begun
from penstock.flink.carrying import source_topics
from penstock.flink.keyed_state import name_of
from penstock.flink.keyed_turns import Kept, KeyedTurns, Turn, open_turns
from penstock.flink.marks import mark_in, marks_topic
from penstock.testing.virtual_time import VirtualClock


def envelope(event: Event, id: str, *, tenant: str = "default", time_ms: int = 0) -> Envelope:
    """Return an event as it comes from outside."""
    key = "" if event.key_ is None else str(getattr(event, event.key_))
    return Envelope(id, "/tests", event.type_, key, time_ms, event.encoded(), tenant, correlation_id=id)


class Driver:
    """One subtask: it can die, and go on from a checkpoint."""

    def __init__(self, app: App, *, steps_wait: bool = True, begun: Begun | None = None) -> None:
        self._app = app
        self._begun = begun
        self._steps_wait = steps_wait
        self.clock = VirtualClock()
        self.kept: dict[str, Kept] = {}
        self.sent: list[tuple[str, Message]] = []
        self.look_at_ms: dict[str, int] = {}
        self.looks_ms: dict[str, list[int]] = {}  # all timers that were set since the beginning
        self.carried = 0  # how much of what was sent was brought back
        self._stack = AsyncExitStack()
        self.turns: KeyedTurns

    async def __aenter__(self) -> Self:
        turns = open_turns(self._app.declared, clock=self.clock, steps_wait=self._steps_wait, begun=self._begun)
        self.turns = await self._stack.enter_async_context(turns)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def restored(self, checkpoint: "dict[str, Kept]", *, timers: bool = True) -> None:
        """Die, and begin again with what was kept at a checkpoint; without `timers`: Flink's were left out of it."""
        await self._stack.aclose()
        self.kept, self.sent = dict(checkpoint), []
        self.look_at_ms = dict.fromkeys(checkpoint if timers else (), 0)
        await self.__aenter__()

    async def bring(self, event: Event, id: str, *, within_s: float | None = None, tenant: str = "default") -> None:
        carried = envelope(event, id, tenant=tenant, time_ms=self.clock.now_ms())
        name = name_of(carried)
        kept = self.kept.get(name, Kept())
        self._take(name, kept, await self.turns.handled(event.topic_, carried, kept, within_s=within_s))

    async def bring_back(self) -> None:
        """Bring what was sent to topics that the app reads, until there is nothing more: as Kafka does."""
        sources = source_topics(self._app.declared)
        while self.carried < len(self.sent):
            topic, message = self.sent[self.carried]
            self.carried += 1
            if topic == marks_topic(self._app.declared.name):
                name = message.key.decode()
                kept = self.kept.get(name, Kept())
                mark = mark_in(dict(message.headers))
                self._take(name, kept, await self.turns.marked(name, mark, kept))
            elif topic in sources:
                await self.carry(topic, to_event(message, Place(topic, 0, self.carried)))

    async def carry(self, topic: str, event: Envelope) -> None:
        """Bring an event as it comes out of Kafka."""
        name = name_of(event)
        kept = self.kept.get(name, Kept())
        self._take(name, kept, await self.turns.handled(topic, event, kept))

    async def look(self, name: str | None = None, *, within_s: float | None = 0.0) -> None:
        """Look at a key again, or at all that are to be looked at by now."""
        due = [each for each, at_ms in self.look_at_ms.items() if at_ms <= self.clock.now_ms()]
        for each in due if name is None else [name]:
            self.look_at_ms.pop(each, None)
            kept = self.kept.get(each, Kept())
            self._take(each, kept, await self.turns.look(each, kept, within_s=within_s))

    def _take(self, name: str, kept: Kept, turn: Turn) -> None:
        self.kept[name] = turn.over(kept)
        self.sent += turn.sendings
        if turn.head != kept.head:
            self.look_at_ms.pop(name, None)
        self.looks_ms.setdefault(name, []).extend(turn.looks_ms)
        if turn.looks_ms:
            self.look_at_ms[name] = min(turn.looks_ms)

    def of(self, topic: str) -> list[Envelope]:
        """Return the events that were sent to a topic."""
        messages = [message for each, message in self.sent if each == topic]
        return [to_event(message, Place(topic, 0, number)) for number, message in enumerate(messages)]

    def data(self, topic: str) -> Sequence[dict[str, object]]:
        return [msgspec.json.decode(each.data) for each in self.of(topic)]
