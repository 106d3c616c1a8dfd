"""The deliveries of an agent with a flow, per key: which of them are handled at all, and when their turn comes.

What is not handled is given up for a reason, which is written: nothing is dropped unseen (C6). Whether an event is superseded
follows from the times in the log, so a restart comes to the same.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush

from penstock.core.agents.flow import Flow
from penstock.ports.clock import Clock
from penstock.runtime.lanes import Delivery, Hold, Start

GiveUp = Callable[[Delivery, str], None]


class _Lane:
    """One key: what is being handled (or tried again later), what waits for it, and what may still be superseded."""

    __slots__ = ("current", "fresh", "since_ms", "waiting")

    def __init__(self) -> None:
        self.current: Delivery | None = None
        self.waiting: deque[Delivery] = deque()
        self.fresh: Delivery | None = None
        self.since_ms = 0  # when the first of those came that `fresh` stands for


class FlowLanes:
    """One lane per key. `give_up` ends a delivery that has not begun, `stop` one that may have."""

    def __init__(self, flow: Flow, clock: Clock, *, start: Start, give_up: GiveUp, stop: GiveUp) -> None:
        self._flow = flow
        self._clock = clock
        self._start = start
        self._give_up = give_up
        self._stop = stop
        self._lanes: dict[str, _Lane] = {}
        self._debounce_ms = round(flow.debounce_s * 1000)
        self._times: list[tuple[float, int, Delivery]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._number = 0
        self.held = 0

    def offer(self, delivery: Delivery) -> None:
        delivery.hold = Hold()
        self.held += 1
        lane = self._lanes.get(delivery.lane)
        if lane is None:
            lane = self._lanes[delivery.lane] = _Lane()
        if self._debounce_ms and not delivery.alone:
            self._put_off(lane, delivery)
        else:
            self._arrives(lane, delivery)

    def finished(self, delivery: Delivery) -> None:
        self.held -= 1
        lane = self._lanes[delivery.lane]
        lane.current = None
        if lane.waiting:
            lane.current = lane.waiting.popleft()
            self._start(lane.current)
        elif lane.fresh is None:
            del self._lanes[delivery.lane]

    def drop(self) -> list[Delivery]:
        """Forget everything, since another worker handles it; return those that have had their turn."""
        begun = [lane.current for lane in self._lanes.values() if lane.current is not None]
        self._lanes, self._times, self.held = {}, [], 0
        if self._timer is not None:
            self._timer.cancel()
        return begun

    def resting(self) -> tuple[int, int]:
        """Return how many wait for the end of another one of their key, and how many may still be superseded."""
        lanes = self._lanes.values()
        return sum(len(lane.waiting) for lane in lanes), sum(lane.fresh is not None for lane in lanes)

    def _arrives(self, lane: _Lane, delivery: Delivery) -> None:
        busy = lane.current
        if busy is None:
            lane.current = delivery
            self._start(delivery)
            return
        match "queue" if delivery.alone else self._flow.when_busy:  # what a person asked for is not left out
            case "reject":
                self._drop(delivery, f"rejected: its key is busy with {busy.run_id} (when_busy='reject')")
            case "replace":
                self._drop_waiting(lane, f"replaced by {delivery.run_id} while it waited (when_busy='replace')")
                lane.waiting.append(delivery)
            case "interrupt":
                reason = f"interrupted by {delivery.run_id} (when_busy='interrupt')"
                self._drop_waiting(lane, reason)
                lane.waiting.append(delivery)
                if not busy.stopped:
                    self._stop(busy, reason)
            case _:
                lane.waiting.append(delivery)

    def _drop_waiting(self, lane: _Lane, reason: str) -> None:
        dropped = [each for each in lane.waiting if not each.alone]
        lane.waiting = deque(each for each in lane.waiting if each.alone)
        for delivery in dropped:
            self._drop(delivery, reason)

    def _drop(self, delivery: Delivery, reason: str) -> None:
        self.held -= 1
        delivery.attempt = 0
        self._give_up(delivery, reason)

    def _put_off(self, lane: _Lane, delivery: Delivery) -> None:
        """Wait whether a later event of the key comes; the one that waited so far is superseded, or its time has come."""
        earlier, at_ms = lane.fresh, delivery.events[0].event.time_ms
        lane.fresh = delivery
        if earlier is None:
            lane.since_ms = at_ms
        elif (
            at_ms - earlier.events[0].event.time_ms < self._debounce_ms
            and at_ms - lane.since_ms < self._flow.put_off_ms_max
        ):
            self._drop(earlier, f"superseded by {delivery.run_id}, within debounce_s={self._flow.debounce_s:g}")
        else:
            lane.since_ms = at_ms
            self._arrives(lane, earlier)
        now_ms = self._clock.now_ms()
        wait_ms = min(
            self._debounce_ms,  # a clock that was set back makes no wait longer
            at_ms + self._debounce_ms - now_ms,
            lane.since_ms + self._flow.put_off_ms_max - now_ms,
        )
        due_s = asyncio.get_running_loop().time() + max(0, wait_ms) / 1000
        self._number += 1
        heappush(self._times, (due_s, self._number, delivery))
        if self._times[0][2] is delivery:
            self._wake_at(due_s)

    def _wake_at(self, due_s: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_at(due_s, self._ripen)

    def _ripen(self) -> None:
        """Let those go on that can be superseded no more."""
        self._timer = None
        now_s = asyncio.get_running_loop().time()
        while self._times and self._times[0][0] <= now_s:
            delivery = heappop(self._times)[2]
            lane = self._lanes.get(delivery.lane)
            if lane is not None and lane.fresh is delivery:
                lane.fresh = None
                self._arrives(lane, delivery)
                if lane.current is None and not lane.waiting:
                    self._lanes.pop(delivery.lane, None)
        if self._times:
            self._wake_at(self._times[0][0])
