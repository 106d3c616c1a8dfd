"""Whoever waits is told: of the end of the engine, of what was skipped, and no later than need be."""

import asyncio

import pytest

from penstock.adapters.memory.store import Disk, MemoryStore
from penstock.core.agents.declaration import Options, declare
from penstock.core.agents.unit import Writes
from penstock.core.events.event import Event
from penstock.errors import PenstockError, RunFailed, Unavailable
from penstock.ports.state import Claim
from penstock.runtime.committer import Committer
from penstock.runtime.engine import Parts, running
from penstock.runtime.models import Models, Prompts
from penstock.runtime.topology import Topology
from penstock.testing.engine_trial import Order, Receipt, engine_of
from penstock.testing.virtual_time import VirtualClock, run_virtually

pytestmark = pytest.mark.usefixtures("any_pace")


class Placed(Event, topic="shop", key="customer"):
    customer: str


class Paid(Event, topic="shop", key="customer"):
    customer: str


class SlowStore(MemoryStore):
    """Takes its time for what it is told to be slow at."""

    slow: tuple[str, ...] = ()

    async def event(self, event_id: str):
        found = await super().event(event_id)
        if "event" in self.slow:
            await asyncio.sleep(1)
        return found

    async def read(self, topic: str, partition: int, *, after: int, limit: int):
        found = await super().read(topic, partition, after=after, limit=limit)
        if "read" in self.slow:
            await asyncio.sleep(1)
        return found

    async def commit(self, claim: Claim, number: int, writes: Writes) -> None:
        if "commit" in self.slow:
            await asyncio.sleep(1)
        await super().commit(claim, number, writes)


def shop(store: MemoryStore, handler) -> Parts:
    agents = {"serve": declare(handler, "serve", Options())}
    models = Models(_no_model, Prompts(None))
    return Parts("shop", Topology(agents, [Placed, Paid]), store, VirtualClock(), models)


def _no_model(name: str):
    raise AssertionError(name)


async def paid(event: Paid) -> None: ...


async def placed(event: Placed) -> None: ...


def test_an_agent_that_takes_nothing_of_a_topic_catches_up_and_remembers_it():
    async def life() -> None:
        disk = Disk()
        async with running(shop(MemoryStore(disk), placed), owner="first") as engine:
            await engine.send_many([Placed(customer=str(number)) for number in range(20)])
            assert await engine.settled(5)
        del disk.progress["serve", "shop", 0]
        async with running(shop(MemoryStore(disk), paid), owner="second") as engine:
            async with asyncio.timeout(5):
                await engine.caught_up("serve")
            assert await engine.settled(5)
        assert disk.progress["serve", "shop", 0].low == 20

    run_virtually(life())


def test_what_is_skipped_as_it_is_appended_is_not_read_again_by_the_next_life():
    async def life() -> None:
        disk = Disk()
        async with running(shop(MemoryStore(disk), paid), owner="first") as engine:
            await engine.send_many([Placed(customer=str(number)) for number in range(20)])
        assert disk.progress["serve", "shop", 0].low == 20

    run_virtually(life())


def test_settled_is_told_when_the_rest_of_a_slow_log_was_done_already():
    async def life() -> None:
        disk = Disk()
        async with running(shop(MemoryStore(disk), placed), owner="first") as engine:
            await engine.send_many([Placed(customer=str(number)) for number in range(600)])
            assert await engine.settled(5)
        done = disk.progress["serve", "shop", 0]
        done.low = 0
        done.__init__(0, [(2, 600)])
        store = SlowStore(disk)
        store.slow = ("read",)
        async with running(shop(store, placed), owner="second") as engine:
            assert await engine.settled(30)

    run_virtually(life())


async def test_whoever_sends_to_an_engine_that_ended_is_told():
    async def serve(order: Order) -> Receipt:
        return Receipt(customer=order.customer, number=order.number)

    async with engine_of(lambda: _opened(MemoryStore()), serve) as (engine, _):
        pass
    async with asyncio.timeout(2):
        with pytest.raises(Unavailable):
            await engine.send(Order(customer="a"))
        with pytest.raises(Unavailable):
            await engine.ask(Order(customer="a"), Receipt)


async def test_whoever_waits_when_the_engine_is_ended_is_told():
    store = SlowStore()

    async def stuck(order: Order) -> Receipt:
        await asyncio.Event().wait()
        raise AssertionError(order)

    waiting: list[asyncio.Task[object]] = []

    async def life() -> None:
        async with engine_of(lambda: _opened(store), stuck) as (engine, _):
            waiting.append(asyncio.ensure_future(engine.ask(Order(customer="a"), Receipt)))
            await asyncio.sleep(0.01)
            store.slow = ("commit",)
            waiting.append(asyncio.ensure_future(engine.send(Order(customer="a"))))
            await asyncio.sleep(0.1)
            waiting.append(asyncio.ensure_future(engine.send(Order(customer="b"))))
            await asyncio.sleep(0.01)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await life()
    async with asyncio.timeout(2):
        told = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(each, PenstockError) for each in told)


async def test_nobody_waits_for_two_commits_when_the_one_under_way_has_all():
    store = SlowStore()
    store.slow = ("commit",)
    committer = Committer(store, await store.claim("me"))
    running_ = asyncio.ensure_future(committer.run())
    committer.add()
    await asyncio.sleep(0.1)
    await committer.durable()
    assert committer.durable_number == 1
    assert committer.idle
    running_.cancel()


def test_an_id_that_two_send_at_once_is_one_event_however_slow_the_store_answers():
    async def life() -> None:
        store = SlowStore()

        async with running(shop(store, placed), owner="first") as engine:
            store.slow = ("event",)
            first = asyncio.ensure_future(engine.send(Placed(customer="a"), id="o1"))
            await asyncio.sleep(0.5)
            second = asyncio.ensure_future(engine.send(Placed(customer="a"), id="o1"))
            assert await first == await second == "o1"
        assert len(store.disk.log("shop")) == 1

    run_virtually(life())


async def test_c6_whoever_asks_again_for_what_failed_is_told_so_at_once():
    store = MemoryStore()

    async def serve(order: Order) -> Receipt:
        raise ValueError("poison")

    async with engine_of(lambda: _opened(store), serve) as (engine, _):
        for _ in range(2):
            with pytest.raises(RunFailed, match="poison"):
                await engine.ask(Order(customer="a"), Receipt, id="o1", within_s=2)


async def test_an_event_is_not_its_own_answer():
    store = MemoryStore()

    async def serve(order: Order) -> Order | None:
        return Order(customer="a", number=order.number + 1) if order.number < 3 else None

    async with engine_of(lambda: _opened(store), serve) as (engine, _):
        first = await engine.ask(Order(customer="a"), Order, id="o1", within_s=2)
        assert await engine.settled(5)
        again = await engine.ask(Order(customer="a"), Order, id="o1", within_s=2)
    assert (first.number, again.number) == (1, 1)


def _opened(store: MemoryStore):
    from contextlib import nullcontext

    return nullcontext(store)
