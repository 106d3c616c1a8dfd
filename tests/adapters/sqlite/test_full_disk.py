"""An engine on a disk that fills up: nothing acknowledged is lost, and it goes on once there is room."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from penstock.adapters.clock.system import SystemClock
from penstock.adapters.sqlite.store import open_sqlite_store
from penstock.core.agents.policy import Retry
from penstock.errors import PenstockError, Unavailable
from penstock.layers.retrying_store import RetryingStore
from penstock.runtime.context import Context
from penstock.testing.engine_trial import Order, Receipt, engine_of

ROOM_PAGES = 30
PAYLOAD = "x" * 2000
ORDERS_MAX = 500
PLENTY_PAGES = 2**30


class Counted:
    """A clock that counts the waits of whoever asks again: that many commits found the disk full."""

    def __init__(self):
        self.inner = SystemClock()
        self.waits = 0
        self.waited = asyncio.Event()

    def __getattr__(self, name):
        return getattr(self.inner, name)

    async def sleep(self, delay_s):
        self.waits += 1
        self.waited.set()
        await self.inner.sleep(min(delay_s, 0.01))


class Disk:
    """A file with a quota, and the engine on it."""

    def __init__(self, path):
        self.path = path
        self.store = None
        self.clock = None

    @asynccontextmanager
    async def opened(self, patience):
        self.clock = Counted()
        async with open_sqlite_store(self.path) as self.store:
            yield RetryingStore(self.store, self.clock, patience)

    async def leave(self, pages):
        def limit(connection):
            (used,) = connection.execute("PRAGMA page_count").fetchone()
            connection.execute(f"PRAGMA max_page_count = {min(PLENTY_PAGES, used + pages)}").fetchone()

        await self.store.transact(limit)


async def serve(order: Order, ctx: Context) -> Receipt:
    await ctx.values.set(f"payload {order.number}", PAYLOAD)
    return Receipt(customer=order.customer, number=order.number)


async def asked(engine, first):
    """Ask for order after order until the engine stops; return those that were answered."""
    answered = []
    for number in range(first, ORDERS_MAX):
        try:
            await engine.ask(Order(customer="c", number=number), Receipt, id=f"o{number}")
        except PenstockError:
            break
        answered.append(number)
    return answered


async def test_an_engine_waits_while_the_disk_is_full_and_goes_on_when_there_is_room(tmp_path):
    disk = Disk(tmp_path / "app.db")
    patient = Retry(attempts_max=10_000, delay_s=0.001, delay_max_s=0.01)
    async with engine_of(lambda: disk.opened(patient), serve) as (engine, _):
        await disk.leave(ROOM_PAGES)
        asking = asyncio.ensure_future(asked(engine, 0))
        await asyncio.wait_for(disk.clock.waited.wait(), 30)
        assert not asking.done()
        await disk.leave(PLENTY_PAGES)
        assert await asyncio.wait_for(asking, 50) == list(range(ORDERS_MAX))
    assert disk.clock.waits >= 1
    await expect_answered(disk, range(ORDERS_MAX))


async def test_an_engine_that_gives_up_on_a_full_disk_has_lost_nothing_and_the_next_goes_on(tmp_path):
    disk = Disk(tmp_path / "app.db")
    hasty = Retry(attempts_max=3, delay_s=0.001, delay_max_s=0.001)
    answered = []

    async def until_it_gives_up():
        async with engine_of(lambda: disk.opened(hasty), serve) as (engine, _):
            await disk.leave(ROOM_PAGES)
            answered.extend(await asked(engine, 0))
            await engine.services.committer.durable()

    with pytest.raises(Unavailable, match="full"):
        await until_it_gives_up()
    assert 1 <= len(answered) < ORDERS_MAX
    await expect_answered(disk, answered)
    async with engine_of(lambda: disk.opened(hasty), serve) as (engine, _):
        assert await asked(engine, len(answered)) == list(range(len(answered), ORDERS_MAX))
    await expect_answered(disk, range(ORDERS_MAX))


async def expect_answered(disk, numbers):
    async with open_sqlite_store(disk.path) as store:
        receipts = await store.read("receipt", 0, after=0, limit=10 * ORDERS_MAX)
        causes = [each.event.causation_id for each in receipts]
        assert {f"o{number}" for number in numbers} <= set(causes)
        assert len(causes) == len(set(causes))
