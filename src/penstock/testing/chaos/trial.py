"""Kill a process at one write point, again and again, and count what was lost or done twice, from outside."""

import asyncio
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from itertools import pairwise
from pathlib import Path
from random import Random
from time import perf_counter

from penstock.runtime.write_points import WritePoint
from penstock.testing.answered import is_answered
from penstock.testing.chaos.shop import CUSTOMERS, order_id, total_of
from penstock.testing.outside import Outside, Step
from penstock.wiring import Catalog, opened_catalog

ORDERS = 60
TRIPS = 6
NTH_MAX = 12
LIFE_S_MAX = 120
SIGKILLED = -9
Told = dict[tuple[str, str], int]  # ("sent" or "told", event id) -> the total in the answer
CHARGE, TRAVEL = ("charge#0", "thank#0"), ("book#0", "settle#0")
ANSWERS = ("Shipped.v1", "Arrived.v1")
BESIDE = tuple(
    each for each in WritePoint if each not in (WritePoint.BEFORE_CLAIM, WritePoint.AFTER_CLAIM)
)  # with a broker
AT_START = (WritePoint.BEFORE_CLAIM, WritePoint.AFTER_CLAIM, WritePoint.WHILE_RESUMING)


@dataclass
class Outcome:
    """What came of one trial. All but the first three must be 0; `repeated` is what the policy `retry` allows."""

    point: str
    kills: int = 0
    acknowledged: int = 0  # events whose `send` returned, and answers that clients were told, before a kill
    lost: int = 0  # of them
    duplicated: int = 0  # steps executed after their record was durable, or under two keys; orders counted twice
    out_of_order: int = 0  # effects of one customer, against the order of the log
    repeated: int = 0  # executed again with the same key, in the unknown window
    seconds: float = 0.0
    findings: list[str] = field(default_factory=list[str])

    def __add__(self, other: "Outcome") -> "Outcome":
        """Return what came of two trials of one point."""
        numbers = {
            each.name: getattr(self, each.name) + getattr(other, each.name)
            for each in fields(self)
            if each.name != "point"
        }
        return Outcome(self.point, **numbers)

    @property
    def holds(self) -> bool:
        return not (self.lost or self.duplicated or self.out_of_order or self.findings)


@dataclass(frozen=True, slots=True)
class Trial:
    """One write point on one store that is not made yet."""

    point: WritePoint
    store: str  # its URL
    folder: Path
    kills: int
    orders: int = ORDERS
    trips: int = TRIPS
    seed: int = 0  # of the moments of the kills
    log: str = ""  # the broker that its events go over, if any

    async def outcome(self) -> Outcome:
        """Live and die, live once more to the end, and count."""
        began = perf_counter()
        outcome = Outcome(self.point.value)
        random = Random(f"{self.point.value}{self.seed}")
        recorded: dict[Step, int] = {}
        told: Told = {}
        lost: set[tuple[str, str]] = set()
        if self.point in AT_START:  # there must be something to resume
            await self._life(0, WritePoint.AFTER_EFFECT, 3, told)
        for life in range(1, self.kills + 1):
            nth = 1 if self.point in AT_START else (life if life <= 2 else random.randint(1, NTH_MAX))
            code = await self._life(life, self.point, nth, told)
            outcome.kills += code == SIGKILLED
            if code not in (0, SIGKILLED):
                outcome.findings.append(f"life {life} ended with code {code}")
            with opened_catalog(self.store) as catalog:
                lost |= await _missing(catalog, told)  # now: the next life sends again what it was not told
                for step in await self._recorded(catalog):
                    recorded.setdefault(step, life)
        outcome.acknowledged, outcome.lost = len(told), len(lost)
        last: Told = {}
        if code := await self._life(self.kills + 1, None, 0, last):
            outcome.findings.append(f"the last life ended with code {code}")
        await self._count(outcome, told, last, recorded)
        outcome.seconds = round(perf_counter() - began, 1)
        return outcome

    async def _count(
        self,
        outcome: Outcome,
        told: Told,
        last: Told,
        recorded: Mapping[Step, int],
    ) -> None:
        outside = Outside(self.folder)
        outcome.lost += sum(last.get(what) != total for what, total in told.items())
        again, outcome.repeated = outside.repeated(recorded)
        executed = {(run_id, step) for _, run_id, step in outside.executions()}
        wanted = {(f"{order_id(number)}:charge", step) for number in range(self.orders) for step in CHARGE}
        wanted |= {(f"trip-{number}:travel", step) for number in range(self.trips) for step in TRAVEL}
        ships = {each for each in executed if each[1] == "ship#0"}
        outcome.lost += len(wanted - executed) + max(0, self.orders - len(ships))
        strange = len(executed - wanted - ships) + max(0, len(ships) - self.orders)
        wrong = sum(last.get(("told", order_id(number))) != total_of(number) for number in range(self.orders))
        outcome.duplicated = again + strange + wrong
        outcome.out_of_order = sum(self._disorder(outside, customer) for customer in range(CUSTOMERS))
        with opened_catalog(self.store) as catalog:
            outcome.lost += await self._without_an_end(catalog)

    def _disorder(self, outside: Outside, customer: int) -> int:
        """Count the charges of a customer that came for the first time before an earlier order's."""
        first: dict[int, None] = {}
        for _, run_id, step in outside.executions():
            number = run_id.removeprefix("order-").removesuffix(":charge")
            if step == "charge#0" and int(number) % CUSTOMERS == customer:
                first.setdefault(int(number))
        came = list(first)
        return sum(one > other for one, other in pairwise(came))

    async def _without_an_end(self, catalog: Catalog) -> int:
        """Count the orders and trips that are not in the log, or whose run has not succeeded."""
        runs = [f"{order_id(number)}:charge" for number in range(self.orders)]
        runs += [f"trip-{number}:travel" for number in range(self.trips)]
        found = [await catalog.run(run_id) for run_id in runs]
        return sum(run is None or run.change.status != "succeeded" for run in found)

    async def _recorded(self, catalog: Catalog) -> set[Step]:
        """Return the steps that lie in the journal on the disk, among those that were ever executed."""
        found: set[Step] = set()
        for run_id in {run_id for _, run_id, _ in Outside(self.folder).executions()}:
            stored = await catalog.run(run_id)
            if stored is not None:
                found |= {(run_id, record.step) for record in stored.records}
        return found

    async def _life(self, life: int, point: WritePoint | None, nth: int, told: Told) -> int:
        """Run one life, add what its clients were told, and return its exit code."""
        given = {
            "life": life,
            "store": self.store,
            "log": self.log,
            "outside": str(self.folder),
            "point": "" if point is None else point.value,
            "nth": nth,
            "orders": self.orders,
            "trips": self.trips,
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "penstock.testing.chaos.worker", json.dumps(given), stdout=asyncio.subprocess.PIPE
        )
        try:
            async with asyncio.timeout(LIFE_S_MAX):
                output, _ = await process.communicate()
        except BaseException:
            if process.returncode is None:
                process.kill()
            raise
        for line in output.decode().splitlines():
            what, event_id, total = line.split()
            told[what, event_id] = int(total)
        assert process.returncode is not None
        return process.returncode


async def _missing(catalog: Catalog, told: Told) -> set[tuple[str, str]]:
    """Return what was acknowledged and is not on the disk: the event, or the answer that was told."""
    missing: set[tuple[str, str]] = set()
    for what, event_id in told:
        led_to = await catalog.origin(event_id)
        way = ("charge", "ship") if event_id.startswith("order") else ("travel",)
        is_there = await is_answered(catalog, event_id, way, ANSWERS) if what == "told" else bool(led_to)
        if not is_there:
            missing.add((what, event_id))
    return missing
