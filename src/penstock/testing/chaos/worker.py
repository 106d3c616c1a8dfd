"""One life of the shop, in a process of its own, which kills itself (SIGKILL) at a write point.

Given as JSON: where the store and the outside are, which life it is, what is asked for, and when to die. What clients were
told stands on stdout, a line each, written before anything else happens.
"""

import asyncio
import json
import os
import signal
import sqlite3
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from penstock.adapters.clock.system import SystemClock
from penstock.app import App, Running
from penstock.brokers import behind_broker, opened_broker, partitions_of
from penstock.core.agents.unit import Writes
from penstock.ports.state import Claim
from penstock.ports.store import Store
from penstock.runtime.engine import running
from penstock.runtime.write_points import WritePoint
from penstock.settings import Settings
from penstock.testing.chaos.shop import CUSTOMERS, Arrived, Order, Shipped, Trip, customer_of, order_id, shop
from penstock.testing.crashing import Fate, MortalBroker, MortalStore
from penstock.testing.outside import Outside
from penstock.testing.stores import SQLITE, durable_store
from penstock.wiring import opened, topology_of

if TYPE_CHECKING:
    from penstock.adapters.sqlite.store import SqliteStore

COMMIT_S_MAX = 0.003  # within which a kill "during commit" comes, where the backend does not say how far it is
PAUSE_S = 0.001  # between two orders of a customer: what is acknowledged too early is not durable by chance
SETTLE_S = 60.0


class KilledStore(MortalStore):
    """Dies in the middle of a commit: in SQLite as it ends its transaction, or else at some moment while it is under way."""

    def __init__(self, inner: Store, fate: Fate, random: Random) -> None:
        super().__init__(inner, fate)
        self._commit = inner.commit
        self._fate_ = fate
        self._random = random
        self.is_told = False  # whether the backend kills by itself

    async def commit(self, claim: Claim, number: int, writes: Writes) -> None:
        last = self._fate_.next_is_last is WritePoint.DURING_COMMIT
        commit = asyncio.ensure_future(self._commit(claim, number, writes))
        if last and not self.is_told:
            await asyncio.wait([commit], timeout=self._random.random() * COMMIT_S_MAX)
            self._fate_.reached(WritePoint.DURING_COMMIT)
        await commit
        if not last:
            self._fate_.reached(WritePoint.DURING_COMMIT)


async def watch_transactions(store: "SqliteStore", fate: Fate) -> None:
    """Kill when SQLite is about to end a transaction: its rows are written, and not yet committed."""

    def traced(statement: str) -> None:
        if statement == "COMMIT" and fate.next_is_last is WritePoint.DURING_COMMIT:
            fate.reached(WritePoint.DURING_COMMIT)

    def watch(connection: sqlite3.Connection) -> None:
        connection.set_trace_callback(traced)

    await store.transact(watch)


@asynccontextmanager
async def _opened(url: str, fate: Fate, *, watched: bool) -> AsyncGenerator[Store]:
    async with durable_store(url) as store:
        if watched and url.startswith(SQLITE):
            sqlite: Any = store
            await watch_transactions(sqlite, fate)
        yield store


async def live(given: dict[str, Any]) -> None:
    """Live one life."""
    life: int = given["life"]
    fate = Fate(lambda: os.kill(os.getpid(), signal.SIGKILL))
    if given["point"]:
        fate.decide(WritePoint(given["point"]), given["nth"])
    app = shop(Outside(Path(given["outside"]), life))
    if given["log"]:
        await _live_beside(app, given, fate)
        return
    watched = life % 2 == 0
    async with (
        _opened(given["store"], fate, watched=watched) as store,
        opened(app.declared, Settings(), storage=(store, None)) as parts,
    ):
        killed = KilledStore(parts.store, fate, Random(life))
        killed.is_told = watched and given["store"].startswith(SQLITE)
        mortal: Any = killed
        async with running(replace(parts, store=mortal, reached=fate.reached), owner=app.name) as engine:
            await _clients(Running(app, engine), given["orders"], given["trips"])
            if not given["point"]:
                assert await engine.settled(SETTLE_S), "it did not come to rest"


async def _live_beside(app: App, given: dict[str, Any], fate: Fate) -> None:
    """Live as one of several workers, whose events go over a broker."""
    clock, log = SystemClock(), given["log"]
    async with AsyncExitStack() as stack:
        plain = await stack.enter_async_context(durable_store(given["store"], shared=True))
        broker = MortalBroker(await opened_broker(log, stack), fate)
        topology = topology_of(app.declared)
        store, carried = await behind_broker(broker, partitions_of(log), plain, clock, topology, stack)
        storage = (store, None)
        parts = await stack.enter_async_context(opened(app.declared, Settings(), storage=storage, shared=True))
        mortal: Any = KilledStore(parts.store, fate, Random(given["life"]))
        watched = replace(parts, store=mortal, reached=fate.reached, carried=carried)
        async with running(watched, owner=app.name, beside=True) as engine:
            await _clients(Running(app, engine), given["orders"], given["trips"])
            if not given["point"]:
                assert await engine.settled(SETTLE_S), "it did not come to rest"


async def _clients(live: Running, orders: int, trips: int) -> None:
    """Send all orders, those of a customer in their order, and ask for all answers."""

    async def send(numbers: range) -> None:
        for number in numbers:
            await live.send(_order(number), id=order_id(number))
            _tell("sent", order_id(number), 0)
            await asyncio.sleep(PAUSE_S)

    async def ask(number: int) -> None:
        shipped = await live.ask(_order(number), Shipped, id=order_id(number))
        _tell("told", order_id(number), shipped.total)

    async def travel(number: int) -> None:
        arrived = await live.ask(Trip(number=number), Arrived, id=f"trip-{number}")
        _tell("told", f"trip-{number}", arrived.number)

    async def in_turn(ask: Callable[[int], Awaitable[None]], numbers: range) -> None:
        for number in numbers:
            await ask(number)

    async with asyncio.TaskGroup() as clients:
        for customer in range(CUSTOMERS):
            clients.create_task(send(range(customer, orders, CUSTOMERS)))
        clients.create_task(in_turn(travel, range(trips)))
    async with asyncio.TaskGroup() as clients:
        for customer in range(CUSTOMERS):
            clients.create_task(in_turn(ask, range(customer, orders, CUSTOMERS)))


def _order(number: int) -> Order:
    return Order(customer=customer_of(number), number=number)


def _tell(what: str, event_id: str, total: int) -> None:
    os.write(1, f"{what} {event_id} {total}\n".encode())  # to a pipe: it is the parent's now, whatever becomes of us


if __name__ == "__main__":
    asyncio.run(live(json.loads(sys.argv[1])))
