"""The course of a conformance test: lives that are killed, workers that are killed and frozen, and then all is counted."""

import asyncio
import signal
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, replace
from time import perf_counter

from penstock.adapters.clock.system import SystemClock
from penstock.agent_hosts import hosted_agents
from penstock.app import Running
from penstock.errors import LimitReached, PenstockError, Refused
from penstock.ports.state import DeadFilter, RunFilter
from penstock.runtime.dividing import divided
from penstock.runtime.write_points import WritePoint
from penstock.settings import Settings
from penstock.testing.conformance.carrying_out import carried_out
from penstock.testing.conformance.child import SIGKILLED, Child, Said, lived, worker
from penstock.testing.conformance.counting import Kept, count, looked_at, seen
from penstock.testing.conformance.deaths import host_workers_die
from penstock.testing.conformance.depot import CURE, CUSTOMERS, NAME, SLOW_S, Echo, Order, Shipped, Slow, library
from penstock.testing.conformance.life import Life, clients
from penstock.testing.conformance.outcomes import digest_of
from penstock.testing.conformance.own_file import depot_of
from penstock.testing.conformance.places import PARTITIONS, Places
from penstock.testing.conformance.plan import Plan
from penstock.testing.conformance.reading import read_library
from penstock.testing.conformance.report import Report
from penstock.wiring import opened

POINTS = (
    (WritePoint.DURING_COMMIT, 12),
    (WritePoint.AFTER_EFFECT, 9),
    (WritePoint.AFTER_COMMIT, 7),
    (WritePoint.AFTER_APPEND, 20),
    (WritePoint.AFTER_RECORD, 16),
    (WritePoint.BEFORE_COMMIT, 10),
    (WritePoint.AFTER_HANDLING, 12),
    (WritePoint.AFTER_RELEASE, 9),
)
REST_S = 30.0
UP_S = 90.0
SHOWN = ("log", "store", "vectors", "host")
FRESH = 12
FRESH_S = 40.0
Step = Callable[[str], None]


def steps_of(given: Settings, plan: Plan) -> int:
    """Return how many steps `conform` will tell of."""
    return plan.kills + (9 if given.host else 7)


async def conform(given: Settings, plan: Plan, *, step: Step, within_s: float, keep: bool = False) -> Report:
    """Try all guarantees at the addresses of the settings, and return what was found."""
    return await carried_out(
        given, lambda where, report: Course(where, plan, report, step), SHOWN, within_s=within_s, keep=keep
    )


class Course:
    """One course, at places of its own."""

    def __init__(self, where: Places, plan: Plan, report: Report, step: Step) -> None:
        self._where = where
        self._plan = plan
        self._report = report
        self._step = step
        self._kept = Kept()
        self.doing = "nothing yet"

    def _do(self, what: str) -> None:
        self.doing = what
        self._step(what)

    def _life(self, number: int, point: WritePoint | None = None, nth: int = 0) -> Life:
        name = "" if point is None else point.value
        settings = asdict(self._where.depot)
        return Life(number, settings, str(self._where.folder), self._plan, name, nth)

    async def run(self) -> None:
        """Go through all of it."""
        async with AsyncExitStack() as stack:
            await self._meet_host(stack)
            await self._run()

    async def _run(self) -> None:
        self._do("looking at the servers")
        await self._meet_servers()
        for number, (point, nth) in enumerate(POINTS[: self._plan.kills], 1):
            self._do(f"life {number}: killed {point}")
            await self._die(number, point, nth)
        await self._together()
        self._do("knowledge: killed and looked at")
        found = await read_library(self._where, self._plan, self._report)
        outcome = self._kept.outcome
        self._report.outcome = digest_of(outcome, found)
        orders = [each for each in outcome["told"] if each[0].startswith("order-")]
        self._report.outcome_of_agents = digest_of(orders, outcome["sessions"])

    async def _meet_host(self, stack: AsyncExitStack) -> None:
        """Be connected to the host until the end, if there is one: what is wrong with it is said before anything is done."""
        if self._where.depot.host:
            self._do("asking the host whether it has the app")
            app = depot_of(self._where.folder, 0)
            await hosted_agents(self._where.depot, app.declared, SystemClock(), stack)

    async def _meet_servers(self) -> None:
        """Open what the settings name, once: what is wrong with it is said before anything is done."""
        app, here = depot_of(self._where.folder, 0), replace(self._where.depot, host="")
        async with opened(app.declared, here, shared=True) as parts:
            if not self._where.depot.log:  # else the store is divided as the topics are
                await divided(parts, NAME, PARTITIONS, within_s=REST_S)
        async with opened(library(self._where.collection).declared, self._where.library):
            pass

    async def _die(self, number: int, point: WritePoint, nth: int) -> None:
        code, said = await lived(self._life(number, point, nth))
        self._kept.kills += code == SIGKILLED
        if code not in (0, SIGKILLED):
            told = "; ".join(" ".join(each) for each in said if each[0] in ("failed", "fenced"))
            if not any(each[0] == "up" for each in said):
                raise Refused(
                    f"a worker does not start: {told or f'it ended with code {code}'}", "try penstock run there"
                )
            self._report["C1"].findings.append(f"life {number} ended with code {code}: {told}")
        self._kept.told.update(each for each in said if each[0] != "up")
        await looked_at(self._where, self._kept, number)

    async def _together(self) -> None:
        plan, folder = self._plan, self._where.folder
        first, second = plan.kills + 2, plan.kills + 3
        app = depot_of(folder, plan.kills + 1)
        async with AsyncExitStack() as stack:
            self._do("three workers start")
            live = await stack.enter_async_context(app.running(self._where.depot, beside=True))
            children = [await stack.enter_async_context(worker(self._life(each))) for each in (first, second)]
            for each in children:
                self._report["C5"].expect(await each.told("up", UP_S) is not None, "a worker did not come up")
            self._do("all is asked for again")
            last: list[Said] = []
            await clients(live, plan, lambda what, name, value: last.append((what, name, value)))
            self._kept.last = set(last)
            if self._where.depot.host:
                self._do("workers of the host die")
                await host_workers_die(live, folder, self._report)
            self._do("slow, poisoned, endless and too large events")
            await self._slow(live)
            await self._poison(live)
            await self._bounds(live)
            self._do("a worker is killed, another one is frozen")
            await self._takeovers(live, children)
            self._do("all comes to rest, and is counted")
            await count(live, app, self._kept, plan, self._report, self._where)

    async def _slow(self, live: Running) -> None:
        row, began = self._report["C2"], perf_counter()
        run = await live.start("dawdle", Slow(customer="slow"), id="slow-1")
        await self._fresh(live, "beside")
        took_s = perf_counter() - began
        await live.result(run, within_s=SLOW_S + REST_S)
        ended_s = perf_counter() - began
        row.expect(took_s < ended_s, f"others waited for a slow handler: {took_s:.1f} s of {ended_s:.1f} s")
        row.counts |= {"others beside a slow handler": FRESH}

    async def _fresh(self, live: Running, name: str) -> float:
        """Ask for orders of new customers, and return how long it took; what was sent counts as acknowledged."""
        began = perf_counter()
        asked = [
            live.ask(Order(customer=f"{name}-{each}", number=0), Shipped, id=f"{name}-{each}", within_s=FRESH_S)
            for each in range(FRESH)
        ]
        for each in await asyncio.gather(*asked):
            self._report["C3"].expect(each.total == 1, f"{each.customer} has the total {each.total}")
        return perf_counter() - began

    async def _poison(self, live: Running) -> None:
        row, which = self._report["C6"], DeadFilter(agent="digest")
        letters = await seen(lambda: live.dead_letters(which), lambda found: len(found) >= CUSTOMERS)
        row.expect(all("poison" in each.reason for each in letters), "a dead letter does not say why")
        row.expect(len(letters) == CUSTOMERS, f"{len(letters)} dead letters, not {CUSTOMERS}")
        (self._where.folder / CURE).touch()
        runs = await live.redrive(which)
        redriven = RunFilter(agent="digest", status="succeeded")
        store = live.engine.parts.store
        done = await seen(lambda: store.runs(redriven), lambda found: len(found) >= len(runs))
        row.expect(len(done) == len(runs), f"{len(done)} of {len(runs)} redriven runs succeeded")
        left = await live.dead_letters(which)
        row.expect(not left, f"{len(left)} dead letters were not redriven")
        row.tried = "events that no agent can handle, among others of their keys; redriven once they can be handled"
        row.counts |= {"dead letters": len(letters), "redriven": len(runs), "left": len(left)}

    async def _bounds(self, live: Running) -> None:
        row, which = self._report["C9"], DeadFilter(agent="echo")
        await live.send(Echo(customer="endless"), id="echo-1")
        letters = await seen(lambda: live.dead_letters(which), bool)
        row.expect(bool(letters) and "hops" in letters[0].reason, f"a loop ended with: {letters}")
        try:
            await live.send(Order(customer="x" * 5000, number=0), id="large-1")
        except LimitReached:
            row.counts["too large, refused"] = 1
        except PenstockError as error:
            row.findings.append(f"a key of 5,000 bytes was refused with {type(error).__name__}")
        else:
            row.findings.append("a key of 5,000 bytes was taken")
        row.tried = "an agent that calls itself for ever ends after its hops; a key over the limit is refused"
        row.counts["hops at the end"] = max((each.event.event.depth for each in letters), default=0)

    async def _takeovers(self, live: Running, children: Sequence[Child]) -> None:
        row, (killed, frozen) = self._report["C5"], children
        killed.signal(signal.SIGKILL)
        row.counts["takeover after a kill, s"] = round(await self._fresh(live, "after-kill"), 1)
        frozen.signal(signal.SIGSTOP)
        row.counts["takeover from a frozen one, s"] = round(await self._fresh(live, "while-frozen"), 1)
        frozen.signal(signal.SIGCONT)
        fenced = await frozen.told("fenced", REST_S)
        row.expect(fenced is not None, "a worker that slept was not fenced")
        row.counts["fenced"] = int(fenced is not None)
        row.tried = "of three workers one is killed, and one frozen for longer than others wait; it wakes up, and may not commit"
        runs = await live.engine.parts.store.runs(RunFilter(agent="ship", status="succeeded", limit=10_000))
        row.counts["orders, each shipped once"] = len(runs)
        wanted = len(self._plan.all_orders) + 3 * FRESH
        row.expect(len(runs) == wanted, f"{len(runs)} orders were shipped, not {wanted}")
