"""One fault of one kind of servers, with servers of its own, in a process of its own: what clients of dead servers leave open ends with it.

    python fault_scene.py PLACE FAULT FOLDER [ORDERS]

prints the outcome as JSON. A place is a broker with SQLite behind it, or a store alone.
"""

import asyncio
import json
import secrets
import sys
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path

from dropping_proxy import proxy_to
from fault_trial import UNREADABLE, FaultOutcome, FaultTrial
from kafka_server import kafka_cluster, own_kafka
from nats_server import own_nats
from own_process import NoServerError
from postgres_server import NoServerError as NoPostgresError
from postgres_server import postgres_server
from redis_server import started_redis
from set_clock import SetClock
from small_disk import small_disk
from trouble_of_servers import ENDS_WORKERS, POISON, TROUBLES, Stage

from penstock.settings import Settings

KAFKA, NATS, REDIS = "kafka", "nats", "redis"
CLUSTER = "kafka, 3 nodes"
SQLITE, REDIS_STORE, POSTGRES = "sqlite", "redis store", "postgres"
ORDERS = 300
OF_A_BROKER = ("server killed", "server frozen", "cut off", "held up", "late", "worker killed", "storm", "poison")
SCENES: tuple[tuple[str, str], ...] = (
    *((broker, fault) for broker in (KAFKA, NATS, REDIS) for fault in (*OF_A_BROKER, "disk full")),
    (CLUSTER, "node lost"),
    (NATS, "clock set"),
    (REDIS, "deadly poison"),
    (REDIS_STORE, "server killed"),
    (REDIS_STORE, "cut off"),
    (REDIS_STORE, "worker killed"),
    (REDIS_STORE, "storm"),
    (POSTGRES, "server killed"),
    (POSTGRES, "worker killed"),
    (SQLITE, "worker killed"),
    (SQLITE, "clock set"),
    (SQLITE, "disk full"),
    (SQLITE, "deadly poison"),
)


async def tried(place: str, fault: str, folder: Path, orders: int = ORDERS) -> FaultOutcome:
    """Try one fault; where its servers cannot be had here, the outcome says so."""
    try:
        async with AsyncExitStack() as stack:
            if place == CLUSTER:
                return await _without_a_node(stack, folder, orders)
            stage = Stage()
            data = folder / "data"
            data.mkdir()
            if fault == "disk full":
                stage.disk = stack.enter_context(small_disk(data, _SIZE.get(place, _SIZE[SQLITE])))
            if fault == "clock set":
                stage.clock = SetClock(folder)
            chosen = await stack.enter_async_context(_servers(place, folder, data, stage))
            trial = FaultTrial(place, fault, chosen, folder, partial(TROUBLES[fault], stage), orders)
            trial.ends_workers = fault in ENDS_WORKERS
            trial.poison = (*POISON.get(fault, ()), *((UNREADABLE,) if fault == "poison" and chosen.log else ()))
            trial.environment = {} if stage.clock is None else stage.clock.environment
            return await trial.outcome()
    except (NoServerError, NoPostgresError) as error:
        return FaultOutcome(place, fault, untried=str(error))


_SIZE = {KAFKA: 96 << 20, NATS: 32 << 20, REDIS: 32 << 20, SQLITE: 32 << 20}  # of a disk that is to be filled


@asynccontextmanager
async def _servers(place: str, folder: Path, data: Path, stage: Stage) -> AsyncGenerator[Settings]:
    """Start the servers of a place, and yield what leads to them."""
    if place == SQLITE:
        yield Settings(store=f"sqlite:{data / 'shop.db'}")
        return
    async with AsyncExitStack() as stack:
        if place == POSTGRES:
            server = stack.enter_context(postgres_server())
            stage.process = _Postgres(server)  # type: ignore[assignment] - what is asked of a server's process
            yield Settings(store=server.dsn)
            return
        proxy = stage.proxy = await stack.enter_async_context(proxy_to("127.0.0.1", None))
        if place == KAFKA:
            broker = await asyncio.to_thread(own_kafka, data, proxy.port)
        else:
            broker = await asyncio.to_thread(own_nats if place == NATS else started_redis, data)
        process = stage.process = broker.process
        assert process is not None
        stack.callback(process.stop)
        stack.callback(process.kill)
        proxy.lead_to("127.0.0.1", int(broker.address.rpartition(":")[2]))
        where = f"127.0.0.1:{proxy.port}"
        if place == REDIS_STORE:
            yield Settings(store=f"redis://{where}?prefix=chaos")
            return
        log = f"{place}://{where}?partitions=4&prefix={secrets.token_hex(4)}-"
        yield Settings(store=f"sqlite:{folder / 'shop.db'}", log=log)


class _Postgres:
    """A Postgres of ours, as the process of a server."""

    def __init__(self, server: object) -> None:
        self._server = server
        self.running = True

    def kill(self) -> None:
        self._server.crash()

    def start(self) -> None:
        self._server.start()


async def _without_a_node(stack: AsyncExitStack, folder: Path, orders: int) -> FaultOutcome:
    """Lose one of three nodes of Kafka for good; all topics lie on all of them."""
    cluster = kafka_cluster()
    log, nodes = await asyncio.to_thread(cluster.__enter__)
    stack.push_async_callback(asyncio.to_thread, cluster.__exit__, None, None, None)

    async def lost(_: FaultTrial) -> None:
        nodes[1].kill()

    chosen = Settings(store=f"sqlite:{folder / 'shop.db'}", log=f"{log}&partitions=4&prefix={secrets.token_hex(4)}-")
    return await FaultTrial(CLUSTER, "node lost", chosen, folder, lost, orders).outcome()


if __name__ == "__main__":
    more = [int(each) for each in sys.argv[4:]]
    found = asyncio.run(tried(sys.argv[1], sys.argv[2], Path(sys.argv[3]), *more))
    sys.stdout.write(json.dumps({**asdict(found), "holds": found.holds}) + "\n")
