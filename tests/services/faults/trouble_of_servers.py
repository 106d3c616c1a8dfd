"""What befalls brokers, stores, the way to them, their disks and the clocks of workers: each does it, and mends it again."""

import asyncio
import os
import random
import signal
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

from dropping_proxy import Proxy
from fault_trial import APP, UNREADABLE, FaultTrial
from own_process import OwnProcess
from set_clock import SetClock
from small_disk import SmallDisk

from penstock.brokers import opened_broker
from penstock.cli.loading import load
from penstock.core.events.messages import Message
from penstock.errors import PenstockError

AWAY_S = 1.0
FROZEN_S = 4.0
CUT_S = 3.0
FULL_S = 3.0
LATE_S = 0.05
HOUR_S = 3600
CLOCK_S = 3.0  # between two times that a clock is set
STORM_S = 20.0
STORM_MEMBERS = 3
STAY_S = (0.2, 2.0)


@dataclass
class Stage:
    """What a fault can get hold of. What a trial does not have is None."""

    process: OwnProcess | None = None  # the server
    proxy: Proxy | None = None
    disk: SmallDisk | None = None
    clock: SetClock | None = None


async def server_killed(stage: Stage, _: FaultTrial) -> None:
    """SIGKILL; a second later it is started again on the same data."""
    assert stage.process is not None
    stage.process.kill()
    await asyncio.sleep(AWAY_S)
    await asyncio.to_thread(stage.process.start)


async def server_frozen(stage: Stage, _: FaultTrial) -> None:
    assert stage.process is not None
    with stage.process.frozen():
        await asyncio.sleep(FROZEN_S)


async def cut_off(stage: Stage, _: FaultTrial) -> None:
    assert stage.proxy is not None
    stage.proxy.cut()
    await asyncio.sleep(CUT_S)
    stage.proxy.restore()


async def held_up(stage: Stage, _: FaultTrial) -> None:
    assert stage.proxy is not None
    stage.proxy.hold()
    await asyncio.sleep(CUT_S)
    stage.proxy.restore()


async def late(stage: Stage, _: FaultTrial) -> None:
    assert stage.proxy is not None
    stage.proxy.delay_s = LATE_S
    await asyncio.sleep(CUT_S)
    stage.proxy.delay_s = 0.0


async def disk_full(stage: Stage, _: FaultTrial) -> None:
    """Leave no byte free; a server is started again once there is room, as whoever watches it does: NATS writes no more till then."""
    assert stage.disk is not None
    await stage.disk.full_for(FULL_S)
    if stage.process is not None:
        stage.process.kill()
        await asyncio.to_thread(stage.process.start)


async def clock_set(stage: Stage, trial: FaultTrial) -> None:
    """Set the workers' clocks an hour ahead, an hour back, and kill one before they are right again."""
    assert stage.clock is not None
    for seconds in (HOUR_S, -HOUR_S, HOUR_S):
        stage.clock.set(seconds)
        await asyncio.sleep(CLOCK_S)
    await worker_killed(stage, trial)
    stage.clock.set(0)
    await asyncio.sleep(CLOCK_S)


async def worker_killed(_: Stage, trial: FaultTrial) -> None:
    os.kill(await trial.a_worker(), signal.SIGKILL)


async def storm(_: Stage, trial: FaultTrial) -> None:
    """Have workers join and leave, several at a time, so that partitions never come to rest."""
    until_s = asyncio.get_running_loop().time() + STORM_S
    chance = random.Random(7)

    async def member() -> None:
        while asyncio.get_running_loop().time() < until_s:
            try:
                async with load(APP).running(trial.chosen, beside=True):
                    await asyncio.sleep(chance.uniform(*STAY_S))
            except PenstockError:
                await asyncio.sleep(AWAY_S)  # as a supervisor does

    await asyncio.gather(*(member() for _ in range(STORM_MEMBERS)))


async def poisoned(_: Stage, trial: FaultTrial) -> None:
    """Send what no attempt can handle, and wait until it is put aside."""
    for each in trial.poison:
        if each == UNREADABLE:
            await _publish_garbage(trial.chosen.log)
        else:
            await trial.send_poison(each)
    for each in trial.poison:
        await trial.until_dead(each)


async def _publish_garbage(log: str) -> None:
    async with AsyncExitStack() as stack:
        broker = await opened_broker(log, stack)
        await broker.publish([("order", 0, Message(b"\xff no event"))])


Trouble = Callable[[Stage, FaultTrial], Awaitable[None]]
TROUBLES: dict[str, Trouble] = {
    "server killed": server_killed,
    "server frozen": server_frozen,
    "cut off": cut_off,
    "held up": held_up,
    "late": late,
    "disk full": disk_full,
    "clock set": clock_set,
    "worker killed": worker_killed,
    "storm": storm,
    "poison": poisoned,
    "deadly poison": poisoned,
}
POISON = {"poison": ("bad",), "deadly poison": ("deadly",)}  # over a broker also what is no event
ENDS_WORKERS = frozenset({"worker killed", "clock set", "disk full", "deadly poison", "server killed"})
