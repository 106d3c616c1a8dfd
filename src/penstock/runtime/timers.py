"""Timers: set with the commit that says so, fired by one that appends their event and removes them, once (C3, C11).

- One wake-up of the loop stands for the timer that is due first. Nothing is polled: only the clock on the wall, which people and
  servers set, is looked at again after `LOOK_AGAIN_S`.
- What is not durable yet is in `_fresh`: it counts more than what the store answers.
- Elapsed time never goes back: it follows whichever clock is ahead, and begins no earlier than the latest timer was set.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from penstock.core.agents.unit import Writes
from penstock.core.events.envelope import Envelope, Position, Recorded
from penstock.core.timing.timers import CLOCKS, Timer, TimerClock, TimerWrite, When
from penstock.errors import Missing, Refused
from penstock.ports.clock import Clock
from penstock.ports.timers import TimerStore
from penstock.runtime.appending import Appender
from penstock.runtime.committer import Committer
from penstock.runtime.releases import Releases
from penstock.runtime.timer_queue import PAGE, TimerQueue

LOOK_AGAIN_S = 60.0
FIRED_AT_ONCE_MAX = 256  # then others get their turn
FRESH_MAX = 1024  # changes from which on it pays to look for those that are durable


class _Change(NamedTuple):
    """What became of a timer, and the commit that says so."""

    number: int
    timer: Timer | None  # None: it was cancelled
    has_fired: bool = False


class Timers:
    """The timers of an engine, of all its partitions."""

    def __init__(
        self, store: TimerStore, clock: Clock, committer: Committer, releases: Releases, appender: Appender
    ) -> None:
        self._store = store
        self._clock = clock
        self._committer = committer
        self._releases = releases
        self._appender = appender
        self._ahead_ms = clock.now_ms()  # elapsed time, as far as it came
        self._seen_s = clock.monotonic_s()
        self._queues = {
            "elapsed": TimerQueue("elapsed", self.elapsed_ms),
            "wall": TimerQueue("wall", clock.now_ms),
        }
        self._fresh: dict[str, _Change] = {}
        self._sweep_at = FRESH_MAX
        self._reading = 0  # answers of the store that are under way: what changes meanwhile must stay in `_fresh`
        self._turned = asyncio.Event()
        self._wake: asyncio.TimerHandle | None = None
        self.partitions: Sequence[int] | None = ()  # those that this engine owns; None: all
        self.on_appended: Callable[[Recorded], None] = _nowhere

    def elapsed_ms(self) -> int:
        """Return the time by which waits are measured."""
        now_s = self._clock.monotonic_s()
        self._ahead_ms = max(self._ahead_ms + int((now_s - self._seen_s) * 1000), self._clock.now_ms())
        # Milliseconds are cut off, and what was cut off must not be lost each time somebody looks.
        self._seen_s += int((now_s - self._seen_s) * 1000) / 1000
        return self._ahead_ms

    def now_ms(self) -> int:
        """Return what the clock on the wall shows."""
        return self._clock.now_ms()

    async def own(self, partitions: Sequence[int] | None) -> None:
        """Take over the timers of these partitions, and let go of all others."""
        self.partitions = partitions
        for queue in self._queues.values():  # at once: what is another's now must not fire here
            queue.forget()
        latest_ms = await self._store.timers_set_ms(partitions=partitions)
        self._ahead_ms = max(self._ahead_ms, latest_ms)
        self._turned.set()

    # what is set and cancelled

    def timer(
        self,
        timer_id: str,
        partition: int,
        when: When,
        placed: tuple[str, Envelope],
        *,
        agent: str = "",
        name: str = "",
    ) -> Timer:
        """Return a timer for an event, given with its topic."""
        clock, due_ms, set_ms = self._due(when)
        return Timer(timer_id, partition, clock, due_ms, set_ms, *placed, agent, name)

    def set(self, timer: Timer, writes: Writes) -> None:
        """Set a timer, or move the one of that id, with a commit."""
        writes.timers.append(TimerWrite(timer.id, timer))
        for queue in self._queues.values():
            if queue.clock != timer.clock:
                queue.drop(timer.id)  # it may have had another clock
        self._change(timer.id, timer)
        queue = self._queues[timer.clock]
        before = queue.next_due_ms()
        queue.put(timer)
        if before is None or timer.due_ms < before:
            self._turned.set()

    def cancel(self, timer_id: str, writes: Writes) -> None:
        """Cancel a timer with a commit; nothing happens when there is none."""
        writes.timers.append(TimerWrite(timer_id))
        self._change(timer_id, None)
        for queue in self._queues.values():
            queue.drop(timer_id)

    def held(self, event_id: str) -> Recorded | None:
        """Return the event of a timer with its id, as far as it is in memory; it has no place yet."""
        change = self._fresh.get(event_id)
        timer = change.timer if change is not None else self._in_queue(event_id)
        if timer is None or timer.event.id != event_id:
            return None
        return Recorded(Position(timer.topic, timer.partition, 0), timer.event)

    async def known(self, event_id: str) -> Recorded | None:
        """Return the event of a timer with its id, also when it waits in the store."""
        if all(queue.is_whole for queue in self._queues.values()):
            return self.held(event_id)
        timer = await self.find(event_id)
        if timer is None or timer.event.id != event_id:
            return None
        return Recorded(Position(timer.topic, timer.partition, 0), timer.event)

    async def find(self, timer_id: str) -> Timer | None:
        """Return a timer that waits, or that fired and is not durable yet."""
        with self.steady():
            change = self._fresh.get(timer_id)
            if change is None and (timer := self._in_queue(timer_id)) is not None:
                return timer
            stored = await self._store.timer(timer_id) if change is None else None
            change = self._fresh.get(timer_id)
        return stored if change is None else change.timer

    async def waiting(self, timer_id: str, tenant: str) -> Timer | None:
        """Return a tenant's timer, unless it has fired, or was cancelled."""
        timer = await self.find(timer_id)
        change = self._fresh.get(timer_id)
        has_fired = change is not None and (change.has_fired or change.timer is None)
        return None if timer is None or has_fired or timer.event.tenant != tenant else timer

    async def cancellable(self, timer_id: str, tenant: str) -> Timer:
        """Return a tenant's timer that people may cancel; `Missing` when it has fired, or never was."""
        timer = await self.waiting(timer_id, tenant)
        if timer is None:
            raise no_timer(timer_id)
        if timer.topic.startswith("penstock-"):
            raise Refused(f"the timer {timer_id!r} is one of penstock's own", "see `penstock schedules pause`")
        return timer

    def steady(self) -> "_Steady":
        """Keep every change in mind while the store is being asked."""
        return _Steady(self)

    # what is due

    async def run(self) -> None:
        """Fire what is due, until cancelled."""
        while True:
            self._turned.clear()
            for queue in self._queues.values():
                while queue.wants_page:
                    await self._load(queue)
            if self._fire():
                await asyncio.sleep(0)
                while self._committer.full:  # the disk does not keep up
                    await self._committer.durable()
                continue
            self._set_alarm()
            await self._turned.wait()

    def _fire(self) -> bool:
        """Fire some of those that are due; False when there are none."""
        count = 0
        for queue in self._queues.values():
            while count < FIRED_AT_ONCE_MAX and (timer := queue.take_due()) is not None:
                count += 1
                self._append(timer)
        return count > 0

    def _append(self, timer: Timer) -> None:
        releases, event = self._releases, replace(timer.event, time_ms=self._clock.now_ms())
        recorded = self._appender.fired(timer.topic, event)
        writes = self._committer.add(lambda: releases.emitted(event.correlation_id, [recorded]))
        writes.events.append(recorded)
        writes.timers.append(TimerWrite(timer.id))
        self._change(timer.id, timer, has_fired=True)
        self.on_appended(recorded)

    def _set_alarm(self) -> None:
        if self._wake is not None:
            self._wake.cancel()
            self._wake = None
        waits = [
            (due_ms - queue.now_ms()) / 1000
            for queue in self._queues.values()
            if (due_ms := queue.next_due_ms()) is not None
        ]
        if waits:
            wait_s = max(0.0, min(*waits, LOOK_AGAIN_S))
            self._wake = asyncio.get_running_loop().call_later(wait_s, self._turned.set)

    async def _load(self, queue: TimerQueue) -> None:
        after, partitions = queue.after, self.partitions
        with self.steady():
            page = await self._store.timers_due(queue.clock, after=after, limit=PAGE, partitions=partitions)
            if (queue.after, self.partitions) != (after, partitions):
                return  # it began anew meanwhile
            queue.extend(page, PAGE)
            for timer_id, change in self._fresh.items():
                queue.drop(timer_id)
                timer = change.timer
                if timer is not None and not change.has_fired and timer.clock == queue.clock and self.owns(timer):
                    queue.put(timer)

    def owns(self, timer: Timer) -> bool:
        """Whether it fires here: who owns it has it in memory."""
        return self.partitions is None or timer.partition in self.partitions

    def _due(self, when: When) -> tuple[TimerClock, int, int]:
        now_ms = self.elapsed_ms()
        if when.at_ms is not None:
            return CLOCKS[1], when.at_ms, self._clock.now_ms()
        return CLOCKS[0], now_ms + round((when.after_s or 0) * 1000), now_ms

    def _in_queue(self, timer_id: str) -> Timer | None:
        return next((found for each in self._queues.values() if (found := each.timers.get(timer_id)) is not None), None)

    def _change(self, timer_id: str, timer: Timer | None, *, has_fired: bool = False) -> None:
        self._fresh[timer_id] = _Change(self._committer.number, timer, has_fired)
        if len(self._fresh) > self._sweep_at:
            self._sweep()

    def _sweep(self) -> None:
        if not self._reading:
            durable = self._committer.durable_number
            self._fresh = {timer_id: change for timer_id, change in self._fresh.items() if change.number > durable}
        self._sweep_at = max(FRESH_MAX, 2 * len(self._fresh))

    def begin_reading(self) -> None:
        if not self._reading:
            self._sweep()
        self._reading += 1

    def end_reading(self) -> None:
        self._reading -= 1


class _Steady:
    """A question to the store is under way."""

    __slots__ = ("_timers",)

    def __init__(self, timers: Timers) -> None:
        self._timers = timers

    def __enter__(self) -> None:
        self._timers.begin_reading()

    def __exit__(self, *_: object) -> None:
        self._timers.end_reading()


def no_timer(timer_id: str) -> Missing:
    return Missing(f"the timer {timer_id!r}", "it has fired, or was cancelled: see `penstock timers list`")


def _nowhere(recorded: Recorded) -> None:
    """Stand in for an engine that is not running yet."""
