"""A keyed turn: what is kept for a key and an event go in; what is to be kept, and messages, come out. No Flink in here.

Handlings are the engine's own. Its store are the keys that are in memory (`KeyedRows`), and what a commit says of a key is what
its turn returns. A turn need not wait until the event is done with: it then is among what is kept, and goes on beside the turns
of other keys until the key is looked at again. So a handler that waits for a model for 30 s holds nothing up but its key (C2),
and one that was under way when the job died is begun again from what was kept, with the steps that it has recorded. A step with
effects that follows from another one waits for a mark (`marks`).
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace as replaced
from typing import Any, NamedTuple, NoReturn

from msgspec.structs import replace

from penstock.core.agents.unit import Writes
from penstock.core.events.dead_messages import unreadable_message
from penstock.core.events.envelope import Envelope, event_of
from penstock.core.events.messages import UNREADABLE, to_message
from penstock.core.timing.timers import Timer, TimerWrite
from penstock.errors import Refused
from penstock.flink.beginning import UNDER_WAY_MAX, Beginning
from penstock.flink.begun import Begun
from penstock.flink.carrying import carried_by_job, dead_letters_topic, in_job, require_carried
from penstock.flink.embedding_only import embedded_only, embedders_of
from penstock.flink.keyed_rows import KeyedRows
from penstock.flink.keyed_state import Head, Remembered, Underway, decoded, encoded, name_of
from penstock.flink.live_keys import Live, LiveKeys, Sending
from penstock.flink.marks import Mark, marks_topic, new_incarnation
from penstock.ports.clock import Clock
from penstock.runtime.engine import Engine, running
from penstock.runtime.questions import Questions
from penstock.runtime.subscriptions import WAITING_MAX
from penstock.runtime.timers import Timers
from penstock.settings import Settings, in_scratch
from penstock.wiring import Declared, opened

OF_ONE_KEY_MAX = 64
EVENT_BYTES_MAX = 900_000  # what Kafka takes as it comes, with headers
SLOW_S, SLOWER_S = 0.01, 0.1  # for each event beyond that
LOOK_AGAIN_MS = (5, 10, 20, 40, 80, 160)
SURE_MS = 5_000  # within which a key is looked at for which anything is under way, whatever happens


class Kept(NamedTuple):
    """What is kept for a key; None: nothing."""

    head: bytes | None = None
    remembered: bytes | None = None


class Turn(NamedTuple):
    """What became of a key. `sendings` are for Kafka; at each of the times `looks_ms` the key must be looked at (`look`)."""

    head: bytes | None
    remembered: bytes | None
    is_remembered: bool  # whether `remembered` changed; otherwise what was kept stays
    sendings: list[Sending]
    looks_ms: Sequence[int]
    is_done: bool  # whether nothing is under way any more

    def over(self, kept: Kept) -> Kept:
        """Return what is kept after this turn, where `kept` was before."""
        return Kept(self.head, self.remembered if self.is_remembered else kept.remembered)


@asynccontextmanager
async def open_turns(
    declared: Declared,
    chosen: Settings | None = None,
    *,
    clock: Clock | None = None,
    steps_wait: bool = True,
    begun: Begun | None = None,
) -> AsyncGenerator["KeyedTurns"]:
    """Run the agents of an app for whoever brings their events; `Invalid` with all findings for what cannot be carried.

    `steps_wait`: a step with effects waits until what its run recorded before is known to last. `begun`: what remembers the
    events that were under way when processes before this one died.

    Leaving ends what is under way as a kill would: it is among what was kept.
    """
    require_carried(declared)
    keys = LiveKeys(dead_letters_topic(declared.name))
    rows = KeyedRows(keys)
    inside = replaced(in_scratch(Settings() if chosen is None else chosen), vectors="")
    async with (
        embedders_of(declared, inside) as embedders,
        opened(in_job(declared), inside, clock=clock, storage=(rows, None)) as parts,
    ):
        carried = frozenset(carried_by_job(declared))
        # What is kept is the key's, as it is: nothing of it may lie apart, and nothing is tidied.
        mine = replaced(parts, store=rows, household=None, subjects=None, witness=None, carried=carried)
        with suppress(_Left):
            async with running(mine, owner=f"{declared.name} on Flink") as engine:
                engine.services.collections.update(embedded_only(embedders, engine.delivering.tasks))
                yield KeyedTurns(engine, keys, marks_topic(declared.name), begun or Begun(), steps_wait=steps_wait)
                raise _Left  # does not wait for handlings


class KeyedTurns:
    """The keys of one subtask. Turns of one key must not overlap: Flink's do not."""

    def __init__(self, engine: Engine, keys: LiveKeys, marks: str, begun: Begun, *, steps_wait: bool) -> None:
        services, store = engine.services, engine.parts.store
        self._keys = keys
        self._marks = marks
        self._incarnation = new_incarnation()
        self._awaiting = 0  # how many handlings wait for a mark
        self._beginning = Beginning(engine.delivering, keys, begun)
        self._engine = engine
        self._clock = services.clock
        engine.appender.event_bytes_max = EVENT_BYTES_MAX
        engine.appender.names_subjects = True  # who keeps it is told whom it is about
        services.timers = _KeptTimers(store, services.clock, services.committer, services.releases, engine.appender)
        services.questions = _NobodyToAsk(services.memory, services.committer, store)
        if steps_wait:
            services.outlived = self._outlived

    async def handled(self, topic: str, event: Envelope, kept: Kept, *, within_s: float | None = None) -> Turn:
        """Give an event to the agents that take it, and return the turn once they are done with it, or `within_s` has passed.

        `kept` is what the last turn of the key returned.
        """
        live = self._entered(name_of(event), kept)
        if event.type == UNREADABLE:
            live.sendings.append((self._keys.dead_letters, unreadable_message(event, topic)))
        elif not self._is_known(live, event):
            await self._has_room(live)
            entry = Underway(topic, event, [])
            live.head.under_way.append(entry)
            live.looked = 0
            self._beginning.begin(live, entry)
        await self._ended(live, within_s)
        return self._turn(live)

    async def look(self, name: str, kept: Kept, *, within_s: float | None = 0.0) -> Turn:
        """Look at a key again, by the name of its state: what has ended meanwhile, and the timers that are due."""
        live = self._entered(name, kept)
        now_ms = self._clock.now_ms()
        for timer in self._keys.due(live, now_ms):
            live.sendings.append((timer.topic, to_message(replace(timer.event, time_ms=now_ms))))
        live.looked += 1
        await self._ended(live, within_s)
        return self._turn(live)

    async def marked(self, name: str, mark: Mark, kept: Kept, *, within_s: float | None = None) -> Turn:
        """Take a mark that came back to a key, and return the turn of who waited for it.

        That of a process before this one says that nobody has made sure of the key's timers here.
        """
        if mark.incarnation != self._incarnation:
            self._entered(name, kept).head.sure_ms = 0
            return await self.look(name, kept)
        live = self._keys.lives.get(name)
        if live is None:  # nobody waits
            return Turn(kept.head, None, False, [], (), True)
        live.marking.came(mark.recorded)
        live.looked = 0
        await self._ended(live, within_s)
        return self._turn(live)

    async def _outlived(self, run: str) -> None:
        """Wait until what a run recorded is in a complete checkpoint; what it began with in this process is."""
        found, count = self._keys.under_way.get(event_of(run)[0]), self._keys.recorded_of.get(run, 0)
        if found is None or count <= found[0].marking.known:
            return
        waiting = found[0].marking.until(count)
        self._engine.services.committer.wake()  # whoever waits for this turn sees that it may end
        self._awaiting += 1
        try:
            await waiting
        finally:
            self._awaiting -= 1

    @property
    def under_way(self) -> int:
        """How many events are under way."""
        return len(self._keys.under_way)

    def _entered(self, name: str, kept: Kept) -> Live:
        live = self._keys.lives.get(name)
        if live is None:
            live = Live(name, decoded(kept.head, Head), decoded(kept.remembered, Remembered))
            self._keys.enter(live)
            for entry in tuple(live.head.under_way):  # a process before this one had begun it
                self._beginning.begin(live, entry, again=True)
        return live

    def _is_known(self, live: Live, event: Envelope) -> bool:
        return event.id in self._keys.under_way or live.head.has_seen(event.id)

    async def _has_room(self, live: Live) -> None:
        """Wait while too much is under way: what waits is in Kafka.

        Where handlings wait for marks, which come like events, it only slows down: they would wait for us, and we for them.
        """
        while self._is_full(live):
            count, is_awaiting = len(self._keys.under_way), self._awaiting > 0
            pause_s = (SLOW_S if count < 2 * UNDER_WAY_MAX else SLOWER_S) if is_awaiting else None
            with suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._engine.until(self._moved_on(count, is_awaiting))
            if is_awaiting:
                return

    def _is_full(self, live: Live) -> bool:
        return (
            len(self._keys.under_way) >= UNDER_WAY_MAX
            or len(live.head.under_way) >= OF_ONE_KEY_MAX
            or self._keys.weight > WAITING_MAX // 2
        )

    def _moved_on(self, count: int, is_awaiting: bool) -> Callable[[], bool]:  # noqa: FBT001 - what was seen
        return lambda: len(self._keys.under_way) < count or (self._awaiting > 0) != is_awaiting

    async def _ended(self, live: Live, within_s: float | None) -> None:
        """Wait until nothing of a key is under way, or its time is up; raise what stopped the engine."""
        if live.head.under_way and within_s != 0.0:
            with suppress(TimeoutError):
                async with asyncio.timeout(within_s):
                    await self._engine.until(lambda: not live.head.under_way or live.marking.is_due)
        failure = self._engine.services.committer.failure
        if failure is not None:
            raise failure

    def _turn(self, live: Live) -> Turn:
        head, is_remembered, now_ms = live.head, live.is_remembered, self._clock.now_ms()
        sendings, live.sendings, live.is_remembered = live.sendings, [], False
        looks_ms = sorted(each.due_ms for each in head.timers.values())
        bounds_ms = [*looks_ms[:1], now_ms + SURE_MS] if head.under_way else looks_ms[:1]
        wanted_ms = min(bounds_ms, default=0)
        is_sure = not wanted_ms or now_ms < head.sure_ms <= wanted_ms
        if not is_sure:
            head.sure_ms = wanted_ms
        if not is_sure or (live.marking.is_due and head.under_way):
            live.marking.asked = self._keys.recorded
            mark = Mark(self._incarnation, self._keys.recorded)
            sendings.append((self._marks, mark.message(live.name, _time_of(head, now_ms))))
        if head.under_way:
            looks_ms.append(now_ms + LOOK_AGAIN_MS[min(live.looked, len(LOOK_AGAIN_MS) - 1)])
        else:
            self._keys.leave(live)
        looks_ms = sorted({min(looks_ms), head.sure_ms}) if looks_ms else []
        remembered = encoded(live.remembered) if is_remembered else None
        return Turn(encoded(head), remembered, is_remembered, sendings, looks_ms, not head.under_way)


def _time_of(head: Head, now_ms: int) -> int:
    """Return the time of the events that a mark is about: it must not move the time of its partition."""
    times = [each.event.time_ms for each in (*head.under_way, *head.timers.values())]
    return min(*times, now_ms)


class _KeptTimers(Timers):
    """Timers that somebody else keeps and fires: they are set and cancelled by what a commit says, and that is all."""

    def set(self, timer: Timer, writes: Writes) -> None:
        writes.timers.append(TimerWrite(timer.id, timer))

    def cancel(self, timer_id: str, writes: Writes) -> None:
        writes.timers.append(TimerWrite(timer_id))


class _NobodyToAsk(Questions):
    """The job has no door at which a person could answer."""

    async def decision(self, *_: Any, **__: Any) -> NoReturn:
        hint = "have an agent of another host ask, and emit the answer as an event"
        raise Refused("no person can be asked on Flink", hint)


class _Left(Exception):
    """Whoever brought the events has gone."""
