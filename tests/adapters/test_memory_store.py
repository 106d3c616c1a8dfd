"""The store in memory keeps all contracts: what would lie on a disk is its `Disk`."""

import pytest

from penstock.adapters.memory.store import MemoryStore
from penstock.core.agents.unit import Writes
from penstock.testing.blobs_contract import BlobStoreContract
from penstock.testing.catalog_contract import RunCatalogContract
from penstock.testing.commits import recorded
from penstock.testing.erasure_contract import ErasableContract
from penstock.testing.inbox_contract import InboxContract
from penstock.testing.log_contract import EventLogContract
from penstock.testing.permits_contract import PermitsContract
from penstock.testing.retention_contract import PrunableStoreContract
from penstock.testing.rows_contract import RowSourceContract
from penstock.testing.state_contract import StateStoreContract
from penstock.testing.stream_contract import StreamStoreContract
from penstock.testing.timer_contract import TimerStoreContract
from penstock.testing.workers_contract import WorkersContract


class TestMemoryStore(
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
    def store(self):
        return MemoryStore()

    @pytest.fixture
    def log(self, store):
        return store

    @pytest.fixture
    def reopened(self, store):
        async def another():
            return MemoryStore(store.disk)

        return another

    @pytest.fixture
    def beside(self, reopened):
        return reopened

    @pytest.fixture
    def empty(self):
        async def another():
            return MemoryStore()

        return another


async def test_an_offset_that_leaves_a_gap_is_a_bug_of_the_writer():
    store = MemoryStore()
    with pytest.raises(AssertionError, match="gap"):
        await store.commit(await store.claim("w"), 1, Writes(events=[recorded("e", offset=2)]))
    assert await store.ends() == {}
