"""Workers of a real app on a real broker, which fails meanwhile: what was acknowledged is counted, and how long nothing went on.

The workers are processes of `penstock run --workers`; who sends orders is a worker too, and comes back as they do.
"""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from time import perf_counter

import msgspec
import psutil

from penstock.cli.loading import load
from penstock.errors import PenstockError
from penstock.ports.state import RunFilter
from penstock.settings import Settings
from penstock.wiring import opened_catalog

APP = Path(__file__).parent / "faulty_shop.py"
CUSTOMERS = 8
PACE_S = 0.01
REST_S = 60.0
STOP_S = 30.0
LOOK_AGAIN_S = 0.2
SHIPPED = RunFilter(agent="ship", status="succeeded", limit=10_000)
Fault = Callable[["FaultTrial"], Awaitable[None]]


@dataclass
class FaultOutcome:
    """What came of one fault. `lost`, `doubled` and `out_of_order` must be 0."""

    broker: str
    fault: str
    orders: int = 0
    lost: int = 0
    doubled: int = 0  # effects that happened twice, without a worker that died in between; totals that are wrong
    out_of_order: int = 0
    repeated: int = 0  # effects that happened again, with the same key, since a worker died
    pause_s: float = 0.0  # the longest time in which nothing of one customer was shipped
    seconds: float = 0.0
    findings: list[str] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        return not (self.lost or self.doubled or self.out_of_order or self.findings)


@dataclass
class FaultTrial:
    """One fault on one broker. `kills`: whether workers die by it, so that effects may be repeated with the same key."""

    broker: str
    fault: str
    log: str
    folder: Path
    inject: Fault
    orders: int = 400
    workers: int = 2
    kills: bool = False
    acknowledged: int = 0
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def chosen(self) -> Settings:
        return Settings(store=f"sqlite:{self.folder / 'shop.db'}", log=self.log)

    async def outcome(self) -> FaultOutcome:
        """Send orders, have the fault come when a third is acknowledged, and count."""
        began, outcome = perf_counter(), FaultOutcome(self.broker, self.fault, self.orders)
        os.environ["FAULTS_NOTES"] = str(self.folder / "notes.txt")
        (self.folder / "notes.txt").touch()
        with self._running():
            try:
                async with asyncio.timeout(3 * REST_S), asyncio.TaskGroup() as group:
                    group.create_task(self._fault())
                    group.create_task(self._send_all())
                await self._rested(outcome)
            except TimeoutError:
                outcome.findings.append(f"it did not end: {self.acknowledged} of {self.orders} were acknowledged")
        self._count(outcome)
        outcome.seconds = round(perf_counter() - began, 1)
        return outcome

    def worker_pids(self) -> list[int]:
        """Return the processes of the workers."""
        assert self.process is not None
        return sorted(each.pid for each in psutil.Process(self.process.pid).children())

    @contextmanager
    def _running(self) -> Generator[None]:
        settings = {"PENSTOCK_STORE": self.chosen.store, "PENSTOCK_LOG": self.log}
        command = [sys.executable, "-m", "penstock.cli", "run", str(APP), "--workers", str(self.workers)]
        with (self.folder / "workers.log").open("wb") as log:
            self.process = subprocess.Popen(
                command, env={**os.environ, **settings}, stdin=subprocess.DEVNULL, stderr=log, stdout=log
            )
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                for each in psutil.Process(self.process.pid).children(recursive=True):
                    each.kill()
                self.process.kill()
                self.process.wait(STOP_S)

    async def _send_all(self) -> None:
        """Send the orders in their order, each until it is acknowledged; who cannot go on begins anew, as workers do."""
        app = load(APP)
        kind = next(iter(app.agents["charge"].accepts))
        while self.acknowledged < self.orders:
            try:
                async with app.running(self.chosen, beside=True) as live:
                    while self.acknowledged < self.orders:
                        number = self.acknowledged
                        order = kind(customer=f"c{number % CUSTOMERS}", number=number)
                        await live.send(order, id=f"order-{number}")
                        self.acknowledged += 1
                        await asyncio.sleep(PACE_S)
            except PenstockError:
                await asyncio.sleep(0.5)

    async def _fault(self) -> None:
        for _ in range(int(REST_S / PACE_S)):
            if self.acknowledged >= self.orders / 3:
                break
            await asyncio.sleep(PACE_S)
        await self.inject(self)

    async def _rested(self, outcome: FaultOutcome) -> None:
        with opened_catalog(self.chosen.store) as catalog:
            done = await catalog.runs(SHIPPED)
            for _ in range(int(REST_S / LOOK_AGAIN_S)):
                if len(done) >= self.orders:
                    break
                await asyncio.sleep(LOOK_AGAIN_S)
                done = await catalog.runs(SHIPPED)
            outcome.lost = self.orders - len(done)
            letters = await catalog.dead_letters()
            outcome.findings += [f"dead letter: {each.reason}" for each in letters]
            values = [await catalog.values("default", "charge", f"c{each}") for each in range(CUSTOMERS)]
            totals = sum(msgspec.msgpack.decode(each["total"], type=int) for each in values)
            outcome.doubled += abs(totals - self.orders)

    def _count(self, outcome: FaultOutcome) -> None:
        lines = [line.split() for line in (self.folder / "notes.txt").read_text("utf-8").splitlines()]
        numbers = [int(line[4]) for line in lines]
        again = len(numbers) - len(set(numbers))
        outcome.repeated, outcome.doubled = (again, outcome.doubled) if self.kills else (0, outcome.doubled + again)
        for customer in range(CUSTOMERS):
            first = list(dict.fromkeys(each for each in numbers if each % CUSTOMERS == customer))
            outcome.out_of_order += sum(one > other for one, other in pairwise(first))
        for customer in range(CUSTOMERS):
            times = sorted(float(line[0]) for line in lines if int(line[4]) % CUSTOMERS == customer)
            pauses = (other - one for one, other in pairwise(times))
            outcome.pause_s = max(outcome.pause_s, round(max(pauses, default=0.0), 1))
