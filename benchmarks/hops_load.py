"""The load of a pipeline: as much as it carries, then half of that, then the same little on every side; and what came of it.

- What was sent and has not come out is bounded, so that a side that is slow is not buried.
- A latency is from the moment when an event was due to be sent to the one when it came out: who falls behind does not hide it.
- Each event is counted: lost, come twice, or come before an earlier one of its key.
"""

import asyncio
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from hops_app import Entered
from hops_wires import PARTITIONS, Record, Wire
from sides import NotMeasured

from penstock.bench.load import percentile
from penstock.core.events.partitions import partition_of

KEYS = 200
IN_FLIGHT = 4096
CHUNK = 256
TICK_S = 0.001
TEXT = "an event of about two hundred bytes, as many are: " + "lorem ipsum dolor sit amet " * 3
READY_S = 90.0
DRAIN_S = 10.0
SETTLING = 50.0  # events a second
# Whatever a side wraps around it, and with its quotes escaped or not.
_NUMBER = re.compile(rb'number\\*"\s*:\s*(\d+)')
_AT_NS = re.compile(rb'at_ns\\*"\s*:\s*(\d+)')


class Usage(NamedTuple):
    """Processor time of the side and of its broker, and the memory of the side."""

    cpu_s: float
    broker_cpu_s: float
    rss_mb: float


@dataclass(frozen=True, slots=True)
class Plan:
    """How long each part lasts, and the pace that is the same for all."""

    warm_s: float = 1.5
    window_s: float = 3.0
    paced_s: float = 3.0
    pace: float = 300.0
    settle_s: float = 0.0  # of little load at first: several workers divide the keys meanwhile


@dataclass(slots=True)
class Flight:
    """What was sent into a pipeline, and what came out of it."""

    wire: Wire
    ce_type: str = ""  # with it, records carry the headers of a CloudEvent
    keys: int = KEYS
    sent: int = 0
    doubled: int = 0
    out_of_order: int = 0
    seen: set[int] = field(default_factory=set[int])
    last: dict[int, int] = field(default_factory=dict[int, int])
    arrivals: list[tuple[int, int, int]] = field(default_factory=list[tuple[int, int, int]])  # number, due, came
    late_ns: int = 0  # by how much the load itself was late at most, at a steady pace

    @property
    def open(self) -> int:
        return self.sent - len(self.seen)

    async def send(self, due_ns: list[int]) -> None:
        """Send an event for each time at which one is due."""
        records = [self._record(self.sent + place, at_ns) for place, at_ns in enumerate(due_ns)]
        self.sent += len(records)
        await self.wire.send(records)

    def take(self) -> None:
        """Take what has come."""
        arrived = self.wire.arrived
        while arrived:
            came_ns, values = arrived.popleft()
            for value in values:
                self._came(value, came_ns)

    async def drained(self, within_s: float) -> bool:
        """Wait until nothing is on its way any more."""
        until_s = time.monotonic() + within_s
        while self.open and time.monotonic() < until_s:
            await asyncio.sleep(TICK_S)
            self.take()
        return not self.open

    def _came(self, value: bytes, came_ns: int) -> None:
        number, due_ns = _NUMBER.search(value), _AT_NS.search(value)
        if number is None or due_ns is None:
            raise NotMeasured(f"what came out is no event of the pipeline: {value[:200]!r}")
        found = int(number[1])
        if found in self.seen:
            self.doubled += 1
            return
        self.seen.add(found)
        key = found % self.keys
        self.out_of_order += found < self.last.get(key, -1)
        self.last[key] = max(found, self.last.get(key, -1))
        self.arrivals.append((found, int(due_ns[1]), came_ns))

    def _record(self, number: int, at_ns: int) -> Record:
        key = f"k{number % self.keys}"
        value = f'{{"key":"{key}","number":{number},"at_ns":{at_ns},"text":"{TEXT}"}}'.encode()
        headers: tuple[tuple[str, str], ...] = ()
        if self.ce_type:
            own = {"specversion": "1.0", "id": f"load-{number}", "source": "load", "type": self.ce_type, "subject": key}
            headers = (("content-type", "application/json"), *((f"ce_{name}", text) for name, text in own.items()))
        return Record(partition_of("default", key, PARTITIONS), key, value, headers)


async def measured(flight: Flight, plan: Plan, usage: Callable[[], Usage]) -> dict[str, Any]:
    """Put the load on a pipeline that was started, and return its figures. Raises `NotMeasured`."""
    await until_ready(flight)
    if plan.settle_s:
        await steady(flight, SETTLING, plan.settle_s, time.time_ns())
    await _saturated(flight, plan.warm_s)
    before, came, began_s = usage(), len(flight.seen), time.monotonic()
    await _saturated(flight, plan.window_s)
    after, events, took_s = usage(), len(flight.seen) - came, time.monotonic() - began_s
    if not events:
        raise NotMeasured(f"nothing came out within {took_s:.0f} s")
    rate = events / took_s
    found: dict[str, Any] = {
        "events_per_s": round(rate, 1),
        "cpu_us": round((after.cpu_s - before.cpu_s) * 1e6 / events, 1),
        "broker_cpu_us": round((after.broker_cpu_s - before.broker_cpu_s) * 1e6 / events, 1),
        "rss_mb": after.rss_mb,
    }
    await flight.drained(DRAIN_S)
    found["half"] = await paced(flight, rate / 2, plan, usage)
    found["even"] = await paced(flight, min(plan.pace, rate / 2), plan, usage)
    lost = flight.open
    return found | {
        "sent": flight.sent,
        "lost": lost,
        "doubled": flight.doubled,
        "out_of_order": flight.out_of_order,
    }


async def until_ready(flight: Flight) -> None:
    """Send one event, and wait until it has come out: the pipeline is there."""
    await flight.send([time.time_ns()])
    if not await flight.drained(READY_S):
        raise NotMeasured(f"the first event did not come out within {READY_S:.0f} s")


async def _saturated(flight: Flight, seconds: float) -> None:
    """Keep as much in flight as may be."""
    until_s = time.monotonic() + seconds
    while time.monotonic() < until_s:
        flight.take()
        room = IN_FLIGHT - flight.open
        if room < CHUNK:
            await asyncio.sleep(TICK_S)
            continue
        await flight.send([time.time_ns()] * CHUNK)
        await asyncio.sleep(0)
    flight.take()


async def paced(flight: Flight, rate: float, plan: Plan, usage: Callable[[], Usage]) -> dict[str, float]:
    """Send at a steady pace, and return the latencies of what was due within the window."""
    flight.arrivals.clear()
    flight.late_ns = 0
    warm_s = plan.paced_s / 4
    began_ns = time.time_ns()
    await steady(flight, rate, warm_s, began_ns)
    before = usage()
    await steady(flight, rate, warm_s + plan.paced_s, began_ns, done=int(warm_s * rate))
    after = usage()
    events = max(1, int(rate * plan.paced_s))
    await flight.drained(DRAIN_S)
    from_ns = began_ns + int(warm_s * 1e9)
    latencies_ms = sorted((came_ns - due_ns) / 1e6 for _, due_ns, came_ns in flight.arrivals if due_ns >= from_ns)
    return {
        "pace": round(rate, 1),
        "p50_ms": round(percentile(latencies_ms, 0.5), 2),
        "p99_ms": round(percentile(latencies_ms, 0.99), 2),
        "cpu_us": round((after.cpu_s - before.cpu_s) * 1e6 / events, 1),
        "events": len(latencies_ms),
        "late_ms": round(flight.late_ns / 1e6, 1),
    }


async def steady(flight: Flight, rate: float, until_s: float, began_ns: int, *, done: int = 0) -> None:
    """Send what is due, from the event number `done` of this pace on, until so many seconds after its begin."""
    while True:
        passed_s = (time.time_ns() - began_ns) / 1e9
        due = int(min(passed_s, until_s) * rate)
        if due > done:
            flight.late_ns = max(flight.late_ns, time.time_ns() - began_ns - int(done / rate * 1e9))
            await flight.send([began_ns + int(place / rate * 1e9) for place in range(done, due)])
            done = due
        flight.take()
        if passed_s >= until_s:
            return
        await asyncio.sleep(TICK_S)


CE_TYPE = Entered.type_
