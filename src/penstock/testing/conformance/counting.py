"""What is counted after each kill, and at the end: what was told, what lies on the disk, what was done outside."""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import pairwise
from typing import Any, TypeVar

from msgspec import Struct, field

from penstock.app import App, Running
from penstock.core.agents.comparing import Verdict
from penstock.core.events.envelope import event_of
from penstock.errors import Missing, PenstockError
from penstock.ports.state import DeadFilter, RunFilter
from penstock.runtime.replaying import Stretch
from penstock.testing.answered import is_answered
from penstock.testing.conformance.child import Said
from penstock.testing.conformance.depot import CUSTOMERS, TENANTS, Recall
from penstock.testing.conformance.places import Places
from penstock.testing.conformance.plan import Plan, customer_of, order_id, total_of, trip_id, way_of
from penstock.testing.conformance.report import Report
from penstock.testing.outside import Outside, Step
from penstock.wiring import opened_catalog

ANSWERS = ("Shipped.v1", "Arrived.v1")
REST_S = 40.0
LISTED_MAX = 10_000
LOOK_AGAIN_S = 0.1
T = TypeVar("T")


class Kept(Struct):
    """What a course remembers between its lives."""

    kills: int = 0
    told: set[Said] = field(default_factory=set[Said])
    last: set[Said] = field(default_factory=set[Said])
    recorded: dict[Step, int] = field(
        default_factory=dict[Step, int]
    )  # -> the life before whose end it was on the disk
    lost: set[str] = field(default_factory=set[str])
    early: set[str] = field(default_factory=set[str])  # what was told, or done outside, before its cause was durable
    outcome: dict[str, Any] = field(default_factory=dict[str, Any])


async def looked_at(where: Places, kept: Kept, life: int) -> None:
    """Look at the disk after a kill: what was told must be there, and the cause of what was done outside."""
    outside = Outside(where.folder)
    with opened_catalog(where.depot.store) as catalog:
        timers = {each.id for each in await catalog.timers(limit=LISTED_MAX)}
        for what, name, _ in kept.told:
            if what == "machine":
                if await catalog.event(event_of(name)[0]) is None:
                    kept.lost.add(name)
            elif name not in timers and await catalog.event(name) is None:
                kept.lost.add(name)
            elif what == "told" and not await is_answered(catalog, name, way_of(name), ANSWERS):
                kept.early.add(name)
        for run in {run for _, run, _ in outside.executions()}:
            if await catalog.event(event_of(run)[0]) is None:
                kept.early.add(run)
            stored = await catalog.run(run)
            for record in () if stored is None else stored.records:
                kept.recorded.setdefault((run, record.step), life)


async def seen(look: Callable[[], Awaitable[T]], holds: Callable[[T], bool]) -> T:
    """Look into the store until it holds, or for `REST_S`: other processes commit, and their commits wake nobody here."""
    found = await look()
    for _ in range(int(REST_S / LOOK_AGAIN_S)):
        if holds(found):
            break
        await asyncio.sleep(LOOK_AGAIN_S)
        found = await look()
    return found


async def count(live: Running, app: App, kept: Kept, plan: Plan, report: Report, where: Places) -> None:
    """Count everything, once all has come to rest."""
    counting = Counting(live, kept, plan, report, Outside(where.folder))
    await counting.time()
    counting.durable()
    counting.order()
    await counting.atomic()
    counting.steps()
    await counting.isolation()
    await counting.replay(app, where)


class Counting:
    """The rows that are counted at the end."""

    def __init__(self, live: Running, kept: Kept, plan: Plan, report: Report, outside: Outside) -> None:
        self._live = live
        self._store = live.engine.parts.store
        self._kept = kept
        self._plan = plan
        self._report = report
        self._outside = outside

    def durable(self) -> None:
        """C1, C7: what was told before a kill is there, and is still answered so."""
        kept, row, released = self._kept, self._report["C1"], self._report["C7"]
        told = {each for each in kept.told if each[0] == "told"}
        changed = {name for what, name, value in told if (what, name, value) not in kept.last}
        row.tried = (
            "lives of a worker end by SIGKILL at write points; what their clients were told is looked for on the disk"
        )
        row.counts |= {"kills": kept.kills, "acknowledged": len(kept.told), "lost": len(kept.lost)}
        row.expect(kept.kills > 0, "no life was killed")
        row.findings += [f"lost: {each}" for each in sorted(kept.lost)]
        released.tried = "answers told, and effects outside, before a kill: what caused them is on the disk"
        executed = {run for _, run, _ in self._outside.executions()}
        released.counts |= {"answers": len(told), "effects": len(executed), "too early": len(kept.early)}
        released.findings += [f"too early: {each}" for each in sorted(kept.early)]
        released.findings += [f"answered otherwise later: {each}" for each in sorted(changed)]
        self._kept.outcome["told"] = sorted([name, value] for what, name, value in kept.last if what == "told")

    def order(self) -> None:
        """C2: the effects of each customer are in the order in which its orders were sent."""
        row, disorder = self._report["C2"], 0
        first: dict[tuple[str, str], list[int]] = {}
        for _, run, step in self._outside.executions():
            kind, _, rest = event_of(run)[0].partition("-")
            if kind == "order" and step == "charge#0" and run.endswith(":charge"):
                tenant, _, number = rest.partition("-")
                came = first.setdefault((tenant, customer_of(int(number))), [])
                if int(number) not in came:
                    came.append(int(number))
        disorder = sum(one > other for came in first.values() for one, other in pairwise(came))
        row.tried = (
            "orders of a customer are handled in the order in which they were sent; others beside one that takes 6 s"
        )
        row.counts |= {"keys": len(first), "out of order": disorder}
        row.expect(len(first) == CUSTOMERS * len(TENANTS), f"{len(first)} keys were seen")
        row.expect(not disorder, f"{disorder} effects were out of order")

    async def atomic(self) -> None:
        """C3: state, events, sessions and progress agree: each order counted once."""
        row, wrong, sessions = self._report["C3"], list[str](), dict[str, Any]()
        for tenant, number in self._plan.all_orders:
            origin = await self._store.origin(order_id(tenant, number))
            types = sorted(each.event.type for each in origin)
            if types != ["Charged.v1", "Order.v1", "Shipped.v1"]:
                wrong.append(f"{order_id(tenant, number)} led to {types}")
            if ("told", order_id(tenant, number), str(total_of(number))) not in self._kept.last:
                wrong.append(f"{order_id(tenant, number)} was counted as another one")
        for tenant in TENANTS:
            for customer in range(CUSTOMERS):
                name = customer_of(customer)
                asked = Recall(customer=name)
                held = await self._live.call("recall", asked, id=f"recall-{tenant}-{name}", tenant=tenant)
                sessions[f"{tenant}/{name}"] = held
                if held != list(range(customer, self._plan.orders, CUSTOMERS)):
                    wrong.append(f"the session of {tenant}/{name} holds {held}")
        row.tried = "each order led to one charge, one shipment, one place in its session, and one step of a total"
        row.counts |= {"orders": len(self._plan.all_orders), "sessions": len(sessions), "wrong": len(wrong)}
        row.findings += wrong
        self._kept.outcome["sessions"] = sessions

    def steps(self) -> None:
        """C4: what was recorded is not executed again."""
        row = self._report["C4"]
        again, repeated = self._outside.repeated(self._kept.recorded)
        executed = {(run, step) for _, run, step in self._outside.executions()}
        missing = [
            order_id(tenant, number)
            for tenant, number in self._plan.all_orders
            if not {(f"{order_id(tenant, number)}:charge", step) for step in ("charge#0", "thank#0")} <= executed
        ]
        missing += [
            trip_id(number)
            for number in range(self._plan.trips)
            if not {(f"{trip_id(number)}:travel", step) for step in ("book#0", "settle#0")} <= executed
        ]
        row.tried = (
            "each step is noted outside when it is executed, and compared with what was recorded before each kill"
        )
        row.counts |= {"executed": len(executed), "executed though recorded": again, "missing": len(missing)}
        row.counts["repeated with the same key"] = repeated
        row.expect(not again, f"{again} steps were executed though they were recorded")
        row.findings += [f"never executed: {each}" for each in missing]

    async def isolation(self) -> None:
        """C10: two tenants have customers of the same names."""
        row = self._report["C10"]
        for tenant in TENANTS:
            runs = await self._store.runs(RunFilter(tenant=tenant, agent="charge", limit=LISTED_MAX))
            row.counts[f"runs of {tenant}"] = len(runs)
            row.expect(len(runs) == self._plan.orders, f"{tenant} has {len(runs)} runs")
            row.expect({each.tenant for each in runs} <= {tenant}, f"{tenant} sees runs of others")
            letters = await self._store.dead_letters(DeadFilter(tenant=tenant))
            row.expect(not letters, f"{tenant} sees dead letters of others")
        try:
            await self._live.result(f"{order_id('red', 0)}:charge", tenant="blue", within_s=1.0)
        except Missing:
            row.counts["refused"] = 1
        except PenstockError as error:
            row.findings.append(f"a run of another tenant was refused with {type(error).__name__}")
        else:
            row.findings.append("the result of another tenant's run was told")
        row.tried = "two tenants with the same keys: totals, sessions, runs and dead letters are their own"

    async def time(self) -> None:
        """C11: timers, and waits of workflows and machines, go on over the kills."""
        row, wanted = self._report["C11"], self._plan.reminders

        async def fired() -> int:
            return len(await self._store.runs(RunFilter(agent="remind", status="succeeded", limit=LISTED_MAX)))

        await seen(fired, lambda count: count >= wanted)
        await self._live.cancel_timer("reminder-never")
        names = {name for what, name, _ in self._kept.last if what == "machine"}
        outputs: list[Any] = []
        for name in sorted(names):
            await self._live.result(name, within_s=REST_S)
            outputs.append((await self._live.machine("machine").describe(name)).output)
        reminded = [run for _, run, step in self._outside.executions() if step == "remind#0"]
        row.counts |= {"timers": wanted, "fired": await fired(), "machines": len(outputs), "trips": self._plan.trips}
        row.expect(len(set(reminded)) == wanted, f"{len(set(reminded))} timers had an effect, not {wanted}")
        row.expect("reminder-never:remind" not in reminded, "a timer that is not due has fired")
        wrong = sorted(str(each) for each in outputs) != [
            str({"number": number}) for number in range(self._plan.machines)
        ]
        row.expect(not wrong, f"the machines ended with {outputs}")
        row.tried = (
            "timers, a wait of a state machine, a sleep and a signal of a workflow go on over the kills, each once"
        )
        self._kept.outcome |= {"timers": sorted(set(reminded)), "machines": outputs}

    async def replay(self, app: App, where: Places) -> None:
        """C8: what has happened is replayed against the code, and nothing is executed outside."""
        row, log = self._report["C8"], where.folder / "executed.log"
        before, verdicts = log.stat().st_size, list[Verdict]()
        for partition in range(await self._store.partitions()):
            stretch = Stretch("order", partition=partition)
            verdicts += [each async for each in app.replay(self._store, stretch, where.depot)]
        same = sum(each.outcome == "same" for each in verdicts)
        row.tried = "all orders are replayed against the same code: each goes as it went, and nothing happens outside"
        row.counts |= {"replayed": len(verdicts), "same": same}
        row.expect(same == len(verdicts) >= len(self._plan.all_orders), f"{len(verdicts) - same} went otherwise")
        row.expect(log.stat().st_size == before, "a replay acted outside")
