"""The layer that lets large values lie apart keeps all contracts of a store, with nearly everything offloaded."""

from random import Random

import pytest

from penstock.adapters.clock.system import SystemClock
from penstock.adapters.memory.store import MemoryStore
from penstock.adapters.sqlite.store import open_sqlite_store
from penstock.layers.offloading_store import OffloadingStore
from penstock.layers.retrying_store import RetryingStore
from penstock.testing.blobs_contract import BlobStoreContract
from penstock.testing.catalog_contract import RunCatalogContract
from penstock.testing.engine_contract import EngineContract
from penstock.testing.erasure_contract import ErasableContract
from penstock.testing.faults import Weather
from penstock.testing.faulty_store import FaultyStore
from penstock.testing.log_contract import EventLogContract
from penstock.testing.retention_contract import PrunableStoreContract
from penstock.testing.rows_contract import RowSourceContract
from penstock.testing.state_contract import StateStoreContract
from penstock.testing.virtual_time import VirtualClock

FEW_BYTES = 4


class TestOffloadingStore(
    ErasableContract, EventLogContract, StateStoreContract, RunCatalogContract, PrunableStoreContract
):
    @pytest.fixture
    def disk(self):
        return MemoryStore().disk

    @pytest.fixture
    def store(self, disk):
        return OffloadingStore(MemoryStore(disk), VirtualClock(), bytes_min=FEW_BYTES)

    @pytest.fixture
    def log(self, store):
        return store

    @pytest.fixture
    def reopened(self, disk):
        async def another():
            return OffloadingStore(MemoryStore(disk), VirtualClock(), bytes_min=FEW_BYTES)

        return another


class TestFaultyStoreBehindLayers(
    EventLogContract,
    StateStoreContract,
    RunCatalogContract,
    BlobStoreContract,
    PrunableStoreContract,
    RowSourceContract,
):
    @pytest.fixture
    def inner(self):
        return MemoryStore()

    @pytest.fixture
    def store(self, inner):
        faulty = FaultyStore(inner, Weather(Random(7), loss=0.2, delay_s=0.0))
        return RetryingStore(faulty, Impatient())

    @pytest.fixture
    def log(self, store):
        return store

    @pytest.fixture
    def reopened(self, inner):
        async def another():
            return MemoryStore(inner.disk)

        return another

    @pytest.fixture
    def empty(self):
        async def another():
            return MemoryStore()

        return another


class TestRowsPassThrough(RowSourceContract):
    @pytest.fixture
    def store(self):
        return OffloadingStore(MemoryStore(), VirtualClock())

    @pytest.fixture
    def empty(self):
        async def another():
            return OffloadingStore(MemoryStore(), VirtualClock())

        return another


class Impatient(SystemClock):
    """A clock whose waits take no time."""

    async def sleep(self, delay_s):
        await super().sleep(0)


class TestEngineOnBlobs(EngineContract):
    @pytest.fixture
    def disk(self, tmp_path):
        from contextlib import asynccontextmanager

        @asynccontextmanager
        async def opened():
            async with open_sqlite_store(tmp_path / "app.db") as store:
                yield OffloadingStore(store, SystemClock(), bytes_min=FEW_BYTES)

        return opened
