"""The pipeline on penstock without a broker: from agent to agent through the store. The client is in the same process, and in the figures.

python hops_alone.py STORE --warm 1.5 --window 3 --paced 3 --pace 300     prints one JSON object
"""

import argparse
import asyncio
import json
import time
from time import process_time

from hops_app import Entered, Left, pipeline
from hops_load import CHUNK, IN_FLIGHT, KEYS, TEXT, TICK_S, Plan

from penstock import Running
from penstock.bench import machine
from penstock.bench.load import percentile
from penstock.runtime.process import run_tuned

SETTLED_S = 30.0


class Load:
    """Events that are sent, and those that the last agent was done with."""

    def __init__(self) -> None:
        self.sent = 0
        self.done = 0

    def left(self) -> None:
        self.done += 1

    def event(self) -> Entered:
        number = self.sent
        self.sent += 1
        return Entered(key=f"k{number % KEYS}", number=number, at_ns=time.time_ns(), text=TEXT)

    async def saturated(self, live: Running, seconds: float) -> None:
        """Keep as much in flight as may be."""
        until_s = time.monotonic() + seconds
        while time.monotonic() < until_s:
            if IN_FLIGHT - (self.sent - self.done) < CHUNK:
                await asyncio.sleep(TICK_S)
            else:
                await live.engine.send_many([self.event() for _ in range(CHUNK)])

    async def paced(self, live: Running, rate: float, plan: Plan) -> dict[str, float]:
        """Ask at a steady pace; a latency is from when an event was due to its answer, which is durable."""
        latencies_ms: list[float] = []
        warm_s, began_s, done = plan.paced_s / 4, time.monotonic(), 0
        used_s = process_time()

        async def one(due_s: float) -> None:
            await live.ask(self.event(), Left)
            if due_s >= began_s + warm_s:
                latencies_ms.append((time.monotonic() - due_s) * 1000)

        async with asyncio.TaskGroup() as asking:
            while (passed_s := time.monotonic() - began_s) < warm_s + plan.paced_s:
                due = int(passed_s * rate)
                for place in range(done, due):
                    asking.create_task(one(began_s + place / rate))
                done = due
                await asyncio.sleep(TICK_S)
        latencies_ms.sort()
        return {
            "pace": round(rate, 1),
            "p50_ms": round(percentile(latencies_ms, 0.5), 2),
            "p99_ms": round(percentile(latencies_ms, 0.99), 2),
            "cpu_us": round((process_time() - used_s) * 1e6 / max(1, done), 1),
            "events": len(latencies_ms),
        }


async def measured(store: str, plan: Plan) -> dict[str, object]:
    load = Load()
    async with pipeline(load.left).running(store=store) as live:
        await load.saturated(live, plan.warm_s)
        began_s, done, used_s = time.monotonic(), load.done, process_time()
        await load.saturated(live, plan.window_s)
        took_s, events, used_s = time.monotonic() - began_s, load.done - done, process_time() - used_s
        if not await live.engine.settled(SETTLED_S):
            raise SystemExit(f"it did not come to rest within {SETTLED_S:.0f} s")
        rate = events / took_s
        return {
            "events_per_s": round(rate, 1),
            "cpu_us": round(used_s * 1e6 / max(1, events), 1),
            "rss_mb": machine.rss_mb(),
            "half": await load.paced(live, rate / 2, plan),
            "even": await load.paced(live, min(plan.pace, rate / 2), plan),
            "sent": load.sent,
            "lost": load.sent - load.done,
            "doubled": 0,
            "out_of_order": 0,
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("store")
    for name in ("warm", "window", "paced", "pace"):
        parser.add_argument(f"--{name}", type=float, required=True)
    given = parser.parse_args()
    plan = Plan(given.warm, given.window, given.paced, given.pace)
    print(json.dumps(run_tuned(measured(given.store, plan))), flush=True)


if __name__ == "__main__":
    main()
