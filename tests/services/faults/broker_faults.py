"""The faults of brokers, and how the way to them fails: each is a function that does it, and mends it again."""

import asyncio
import json
import os
import secrets
import signal
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict
from pathlib import Path

from dropping_proxy import Proxy, proxy_to
from fault_trial import APP, FaultOutcome, FaultTrial
from kafka_server import kafka_cluster, own_kafka
from nats_server import own_nats
from own_process import OwnProcess
from redis_server import started_redis

from penstock.cli.loading import load

FAULTS = ("broker killed", "broker frozen", "cut off", "held up", "late", "worker killed", "storm")
CLUSTER_FAULT = "node lost"
AWAY_S = 1.0
FROZEN_S = 4.0
CUT_S = 3.0
LATE_S = 0.05
STORM = 4


@asynccontextmanager
async def broker_behind_a_proxy(name: str, folder: Path) -> AsyncGenerator[tuple[str, OwnProcess, Proxy]]:
    """Yield the address of a broker of our own, its process, and the proxy before it."""
    async with AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(proxy_to("127.0.0.1", None))
        if name == "kafka":
            server = await asyncio.to_thread(own_kafka, folder, proxy.port)
        else:
            server = await asyncio.to_thread({"nats": own_nats, "redis": started_redis}[name], folder)
        process = server.process
        assert process is not None
        stack.callback(process.stop)
        stack.callback(process.kill)
        proxy.lead_to("127.0.0.1", int(server.address.rpartition(":")[2]))
        yield f"{name}://127.0.0.1:{proxy.port}?partitions=4&prefix={secrets.token_hex(4)}-", process, proxy


def fault_of(name: str, process: OwnProcess, proxy: Proxy) -> Callable[[FaultTrial], object]:
    """Return what does a fault."""

    async def killed(_: FaultTrial) -> None:
        process.kill()
        await asyncio.sleep(AWAY_S)
        await asyncio.to_thread(process.start)

    async def frozen(_: FaultTrial) -> None:
        with process.frozen():
            await asyncio.sleep(FROZEN_S)

    async def cut(_: FaultTrial) -> None:
        proxy.cut()
        await asyncio.sleep(CUT_S)
        proxy.restore()

    async def held(_: FaultTrial) -> None:
        proxy.hold()
        await asyncio.sleep(CUT_S)
        proxy.restore()

    async def late(_: FaultTrial) -> None:
        proxy.delay_s = LATE_S
        await asyncio.sleep(CUT_S)
        proxy.delay_s = 0.0

    async def worker_killed(trial: FaultTrial) -> None:
        os.kill(trial.worker_pids()[0], signal.SIGKILL)

    async def storm(trial: FaultTrial) -> None:
        for _ in range(STORM):
            async with load(APP).running(trial.chosen, beside=True):
                await asyncio.sleep(1.0)

    faults = (killed, frozen, cut, held, late, worker_killed, storm)
    return dict(zip(FAULTS, faults, strict=True))[name]


async def tried(broker: str, fault: str, folder: Path, orders: int = 400) -> FaultOutcome:
    """Run one trial, with a broker of its own."""
    if fault == CLUSTER_FAULT:
        return await _node_lost(folder, orders)
    (folder / "broker").mkdir()
    async with broker_behind_a_proxy(broker, folder / "broker") as (log, process, proxy):
        trial = FaultTrial(broker, fault, log, folder, fault_of(fault, process, proxy), orders)
        trial.kills = fault == "worker killed"
        return await trial.outcome()


async def _node_lost(folder: Path, orders: int) -> FaultOutcome:
    cluster = kafka_cluster()
    log, nodes = await asyncio.to_thread(cluster.__enter__)
    try:

        async def lost(_: FaultTrial) -> None:
            nodes[1].kill()

        log = f"{log}&partitions=4&prefix={secrets.token_hex(4)}-"
        return await FaultTrial("kafka, 3 nodes", CLUSTER_FAULT, log, folder, lost, orders).outcome()
    finally:
        await asyncio.to_thread(cluster.__exit__, None, None, None)


if __name__ == "__main__":  # in a process of its own: what clients of a dead broker leave open ends with it
    found = asyncio.run(tried(sys.argv[1], sys.argv[2], Path(sys.argv[3]), int(sys.argv[4])))
    sys.stdout.write(json.dumps({**asdict(found), "holds": found.holds}) + "\n")
