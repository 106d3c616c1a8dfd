"""Workers of a real app on real servers, which fail meanwhile: what was acknowledged is counted, and how long nothing went on.

The workers are processes of `penstock run --workers`; who sends orders is a worker in a process of its own too, and comes back as
they do.
"""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from time import perf_counter

import msgspec
import psutil

from penstock.core.agents.unit import DeadLetter
from penstock.layers.brokered_store import AGENT as BROKER
from penstock.ports.state import RunFilter
from penstock.settings import Settings
from penstock.wiring import Catalog, opened_catalog

HERE = Path(__file__).parent
APP = HERE / "faulty_shop.py"
CUSTOMERS = 8
START_S = 60.0  # within which the first orders are acknowledged
SENDING_S = 130.0
DEAD_S = 100.0  # within which poison is put aside
REST_S = 40.0
STOP_S = 15.0
LOOK_AGAIN_S = 0.1
AGAIN_S = 0.3  # after which one who sends begins anew
LETTERS_SHOWN = 3
UNREADABLE = "unreadable"  # a message in the broker that is no event
DONE = RunFilter(agent="thank", status="succeeded", limit=10_000)
Fault = Callable[["FaultTrial"], Awaitable[object]]


@dataclass
class FaultOutcome:
    """What came of one fault. `lost`, `doubled` and `out_of_order` must be 0."""

    place: str  # the servers
    fault: str
    orders: int = 0
    lost: int = 0  # orders that were acknowledged and are not shipped, or nobody is thanked for
    doubled: int = 0  # effects that happened twice, though no worker had ended or was fenced; totals that are wrong
    out_of_order: int = 0
    repeated: int = 0  # effects that happened again, with the same key, since a worker ended or was fenced
    pause_s: float = 0.0  # the longest time in which nothing of one customer was shipped
    seconds: float = 0.0
    findings: list[str] = field(default_factory=list)
    untried: str = ""  # why it was not tried

    @property
    def holds(self) -> bool:
        return not (self.lost or self.doubled or self.out_of_order or self.findings)


def poison_of(letter: DeadLetter) -> str:
    """Return what was wrong with an event in the dead letters, by whose order it was."""
    return UNREADABLE if letter.agent == BROKER else letter.event.event.id.partition("-")[0]


@dataclass
class FaultTrial:
    """One fault. `ends_workers`: they may end by it, so that effects may be repeated with the same key."""

    place: str
    fault: str
    chosen: Settings
    folder: Path
    inject: Fault
    orders: int = 400
    workers: int = 2
    ends_workers: bool = False
    poison: Collection[str] = ()  # orders that are sent meanwhile, and end in the dead letters
    environment: Mapping[str, str] = field(default_factory=dict)  # of the workers, not of who sends
    acknowledged: int = 0
    injected: bool = False
    supervisor: "subprocess.Popen[bytes] | None" = None

    async def outcome(self) -> FaultOutcome:
        """Send orders, have the fault come when a third is acknowledged, and count."""
        began, outcome = perf_counter(), FaultOutcome(self.place, self.fault)
        os.environ["FAULTS_NOTES"] = str(self.folder / "notes.txt")
        os.environ.update({"PENSTOCK_STORE": self.chosen.store, "PENSTOCK_LOG": self.chosen.log})
        (self.folder / "notes.txt").touch()
        async with self._running():
            try:
                async with asyncio.timeout(SENDING_S), asyncio.TaskGroup() as group:
                    group.create_task(self._fault())
                    group.create_task(self._send_all())
                await self._rested(outcome)
            except TimeoutError:
                done = "was not over" if not self.injected else "was over"
                outcome.findings.append(f"it did not end: {self.acknowledged} were acknowledged, the fault {done}")
        outcome.orders = self.acknowledged
        await self._count(outcome)
        outcome.seconds = round(perf_counter() - began, 1)
        return outcome

    def worker_pids(self) -> list[int]:
        """Return the processes of the workers."""
        assert self.supervisor is not None
        return sorted(each.pid for each in psutil.Process(self.supervisor.pid).children())

    async def a_worker(self) -> int:
        """Return the process of a worker, as soon as there is one: all may have ended, and be about to be started again."""
        for _ in range(int(REST_S / LOOK_AGAIN_S)):
            if pids := self.worker_pids():
                return pids[0]
            await asyncio.sleep(LOOK_AGAIN_S)
        raise TimeoutError("no worker was started again")

    async def send_poison(self, customer: str) -> None:
        """Have one order sent that is to end in the dead letters, by a process that may die of it."""
        for _ in range(int(REST_S / AGAIN_S)):
            sender = await self._sender(0, customer)
            await sender.communicate()
            if sender.returncode in {0, -signal.SIGKILL}:  # it may have killed who sent it
                return
            await asyncio.sleep(AGAIN_S)

    async def until_dead(self, customer: str) -> None:
        """Wait until an order lies in the dead letters."""
        with opened_catalog(self.chosen.store) as catalog:
            for _ in range(int(DEAD_S / LOOK_AGAIN_S)):
                if customer in map(poison_of, await catalog.dead_letters()):
                    return
                await asyncio.sleep(LOOK_AGAIN_S)

    @asynccontextmanager
    async def _running(self) -> AsyncGenerator[None]:
        command = [sys.executable, "-m", "penstock.cli", "run", str(APP), "--workers", str(self.workers)]
        with (self.folder / "workers.log").open("wb") as log:
            given = {"stdin": subprocess.DEVNULL, "stderr": log, "stdout": log}
            env = {**os.environ, **self.environment}
            self.supervisor = await asyncio.to_thread(subprocess.Popen, command, env=env, **given)
        try:
            await self._until_up()
            yield
        finally:
            self.supervisor.send_signal(signal.SIGINT)
            try:
                await asyncio.to_thread(self.supervisor.wait, STOP_S)
            except subprocess.TimeoutExpired:
                for each in psutil.Process(self.supervisor.pid).children(recursive=True):
                    with suppress(psutil.NoSuchProcess):
                        each.kill()
                self.supervisor.kill()
                self.supervisor.wait(STOP_S)

    async def _until_up(self) -> None:
        """Wait until all workers say that they run: what comes before is not theirs to do."""
        for _ in range(int(START_S / LOOK_AGAIN_S)):
            if (self.folder / "workers.log").read_text("utf-8", "replace").count(" runs on ") >= self.workers:
                return
            await asyncio.sleep(LOOK_AGAIN_S)
        raise RuntimeError(f"the workers did not start: {(self.folder / 'workers.log').read_text('utf-8')[-500:]}")

    async def _send_all(self) -> None:
        """Have orders sent until there are enough of them and the fault is over; who sends begins anew when it ends."""
        while not self._enough:
            sender = await self._sender(self.acknowledged)
            assert sender.stdout is not None
            assert sender.stdin is not None
            try:
                while line := await sender.stdout.readline():
                    self.acknowledged = int(line) + 1
                    if self._enough:
                        sender.stdin.close()
            finally:
                await _ended(sender)
            await asyncio.sleep(AGAIN_S)

    @property
    def _enough(self) -> bool:
        return self.injected and self.acknowledged >= self.orders

    async def _sender(self, first: int, *customer: str) -> asyncio.subprocess.Process:
        with (self.folder / "sender.log").open("ab") as log:
            return await asyncio.create_subprocess_exec(
                sys.executable,
                str(HERE / "sender.py"),
                str(first),
                *customer,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
            )

    async def _fault(self) -> None:
        for _ in range(int(START_S / LOOK_AGAIN_S)):
            if self.acknowledged >= self.orders / 3:
                break
            await asyncio.sleep(LOOK_AGAIN_S)
        await self.inject(self)
        self.injected = True

    def _was_fenced(self) -> bool:
        """Whether a worker was away from the store for longer than its claim holds, and another one went on in its place."""
        logs = [self.folder / name for name in ("workers.log", "sender.log")]
        return any("lost its epoch" in each.read_text("utf-8", "replace") for each in logs if each.exists())

    async def _rested(self, outcome: FaultOutcome) -> None:
        with opened_catalog(self.chosen.store) as catalog:
            for _ in range(int(REST_S / LOOK_AGAIN_S)):
                done = await catalog.runs(DONE)
                if len(done) >= self.acknowledged:
                    break
                await asyncio.sleep(LOOK_AGAIN_S)
            await self._letters(catalog, outcome)
            values = [await catalog.values("default", "charge", f"c{each}") for each in range(CUSTOMERS)]
            totals = sum(msgspec.msgpack.decode(each["total"], type=int) for each in values if each)
            # The last order may be there although its sender was ended before it was told.
            outcome.doubled += max(0, totals - self.acknowledged - 1)

    async def _letters(self, catalog: Catalog, outcome: FaultOutcome) -> None:
        letters = await catalog.dead_letters()
        found = {poison_of(each) for each in letters}
        strange = [each for each in letters if poison_of(each) not in self.poison]
        outcome.findings += [f"dead letter: {each.reason}" for each in strange[:LETTERS_SHOWN]]
        outcome.findings += [f"{each} is not in the dead letters" for each in self.poison if each not in found]

    async def _count(self, outcome: FaultOutcome) -> None:
        lines = [line.split() for line in (self.folder / "notes.txt").read_text("utf-8").splitlines()]
        may_repeat = self.ends_workers or self._was_fenced()
        for act in ("ship", "thank"):
            numbers = [int(line[4]) for line in lines if line[2] == act]
            outcome.lost += len(set(range(self.acknowledged)) - set(numbers))
            again = len(numbers) - len(set(numbers))
            if may_repeat:
                outcome.repeated += again
            else:
                outcome.doubled += again
        ships = [line for line in lines if line[2] == "ship"]
        for customer in range(CUSTOMERS):
            mine = [line for line in ships if int(line[4]) % CUSTOMERS == customer]
            first = list(dict.fromkeys(int(line[4]) for line in mine))
            outcome.out_of_order += sum(one > other for one, other in pairwise(first))
            pauses = (other - one for one, other in pairwise(sorted(float(line[0]) for line in mine)))
            outcome.pause_s = max(outcome.pause_s, round(max(pauses, default=0.0), 1))


async def _ended(process: asyncio.subprocess.Process) -> None:
    """See a process that was told to end to its end."""
    try:
        async with asyncio.timeout(STOP_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
