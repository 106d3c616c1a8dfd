"""A faulty store is a store: without faults it keeps all contracts, and with them the layer that asks again keeps those."""

import asyncio
from random import Random

import pytest

from penstock.adapters.memory.store import MemoryStore
from penstock.core.agents.unit import Writes
from penstock.errors import Fenced, Unavailable
from penstock.layers.retrying_store import RetryingStore
from penstock.testing import VirtualClock
from penstock.testing.blobs_contract import BlobStoreContract
from penstock.testing.catalog_contract import RunCatalogContract
from penstock.testing.commits import change, expect_nothing_of_each, expect_one_of_each, ids_in_log, one_of_each
from penstock.testing.erasure_contract import ErasableContract
from penstock.testing.faults import Faults, NthWrite, Weather
from penstock.testing.faulty_store import FaultyStore
from penstock.testing.fixtures import anyio_backend
from penstock.testing.inbox_contract import InboxContract
from penstock.testing.log_contract import EventLogContract, made
from penstock.testing.permits_contract import PermitsContract
from penstock.testing.retention_contract import PrunableStoreContract
from penstock.testing.rows_contract import RowSourceContract
from penstock.testing.state_contract import StateStoreContract
from penstock.testing.stream_contract import StreamStoreContract
from penstock.testing.timer_contract import TimerStoreContract
from penstock.testing.workers_contract import WorkersContract

__all__ = ["anyio_backend"]


def virtual_ms():
    return int(asyncio.get_running_loop().time() * 1000)


class TestFaultyStoreWithoutFaults(
    EventLogContract,
    StateStoreContract,
    RunCatalogContract,
    StreamStoreContract,
    TimerStoreContract,
    WorkersContract,
    PermitsContract,
    InboxContract,
    BlobStoreContract,
    ErasableContract,
    PrunableStoreContract,
    RowSourceContract,
):
    @pytest.fixture
    def disk(self):
        return MemoryStore().disk

    @pytest.fixture
    def store(self, disk):
        return self.wrapped(disk)

    @pytest.fixture
    def log(self, store):
        return store

    @pytest.fixture
    def reopened(self, disk):
        async def another():
            return self.wrapped(disk)

        return another

    @pytest.fixture
    def empty(self):
        async def another():
            return self.wrapped(MemoryStore().disk)

        return another

    @pytest.fixture
    def beside(self, reopened):
        return reopened

    def wrapped(self, disk):
        return FaultyStore(MemoryStore(disk, now_ms=virtual_ms), Faults())


class TestFaultyStoreThatIsAskedAgain(
    EventLogContract, StateStoreContract, RunCatalogContract, StreamStoreContract, TimerStoreContract
):
    @pytest.fixture
    def disk(self):
        return MemoryStore().disk

    @pytest.fixture
    def store(self, disk):
        return self.wrapped(disk)

    @pytest.fixture
    def log(self, store):
        return store

    @pytest.fixture
    def reopened(self, disk):
        async def another():
            return self.wrapped(disk)

        return another

    def wrapped(self, disk):
        weather = Weather(Random(3), loss=0.2, delay_s=0.01)
        return RetryingStore(FaultyStore(MemoryStore(disk), weather), VirtualClock())


@pytest.fixture
def memory():
    return MemoryStore()


async def test_a_request_that_is_lost_never_arrives(memory):
    claim = await memory.claim("w")
    with pytest.raises(Unavailable):
        await FaultyStore(memory, NthWrite(1, "lost request")).commit(claim, 1, one_of_each())
    await expect_nothing_of_each(memory)


async def test_work_whose_answer_is_lost_is_done_and_can_be_repeated(memory):
    claim, faulty = await memory.claim("w"), FaultyStore(memory, NthWrite(1, "lost answer"))
    with pytest.raises(Unavailable):
        await faulty.commit(claim, 1, one_of_each())
    await expect_one_of_each(memory)
    await faulty.commit(claim, 1, one_of_each())
    await expect_one_of_each(memory)


async def test_a_request_that_arrives_twice_is_done_once_by_a_store_that_keeps_its_word(memory):
    claim = await memory.claim("w")
    await FaultyStore(memory, NthWrite(1, "repeated")).commit(claim, 1, one_of_each())
    await expect_one_of_each(memory)


async def test_a_claim_that_arrives_twice_is_fenced_by_its_own_repetition(memory):
    claim = await FaultyStore(memory, NthWrite(1, "repeated")).claim("w")
    with pytest.raises(Fenced):
        await memory.commit(claim, 1, Writes(runs=[change("r:a")]))


@pytest.mark.parametrize(("fault", "refused"), [("full for a while", 5), ("full for long", 40)])
async def test_a_full_disk_takes_no_writes_answers_reads_and_has_room_again(memory, fault, refused):
    claim, faulty = await memory.claim("w"), FaultyStore(memory, NthWrite(2, fault))
    await faulty.commit(claim, 1, one_of_each())
    for _ in range(refused):
        with pytest.raises(Unavailable, match="full"):
            await faulty.commit(claim, 2, Writes(runs=[change("r:a")]))
        await expect_one_of_each(faulty)
    await faulty.commit(claim, 2, Writes(runs=[change("r:a")]))
    assert await memory.run("r:a") is not None


async def test_a_torn_answer_is_the_beginning_of_the_whole_one(memory):
    faulty = FaultyStore(memory, Weather(Random(1), loss=0, delay_s=0, torn=1.0))
    await memory.append("t", [made(f"e{number}") for number in range(10)])
    whole = await ids_in_log(memory)
    for _ in range(20):
        torn = await ids_in_log(faulty)
        assert 1 <= len(torn) < len(whole)
        assert torn == whole[: len(torn)]
