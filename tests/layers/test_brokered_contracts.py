"""A store before which there is a broker keeps all contracts of stores."""

import pytest
from brokered_shop import brokered

from penstock.adapters.memory.broker import MemoryBroker, Topics
from penstock.adapters.memory.store import Disk
from penstock.testing.blobs_contract import BlobStoreContract
from penstock.testing.broker_contract import BrokerContract
from penstock.testing.catalog_contract import RunCatalogContract
from penstock.testing.inbox_contract import InboxContract
from penstock.testing.log_contract import EventLogContract
from penstock.testing.permits_contract import PermitsContract
from penstock.testing.retention_contract import PrunableStoreContract
from penstock.testing.rows_contract import RowSourceContract
from penstock.testing.state_contract import StateStoreContract
from penstock.testing.stream_contract import StreamStoreContract
from penstock.testing.timer_contract import TimerStoreContract
from penstock.testing.workers_contract import WorkersContract


class TestMemoryBroker(BrokerContract):
    @pytest.fixture
    def broker(self):
        return MemoryBroker(bytes_max=1000)

    @pytest.fixture
    def another(self, broker):
        async def opened():
            return MemoryBroker(broker.topics)

        return opened

    @pytest.fixture
    def topic(self):
        return "t"


class TestBrokeredStore(
    EventLogContract,
    StateStoreContract,
    RunCatalogContract,
    StreamStoreContract,
    TimerStoreContract,
    WorkersContract,
    PermitsContract,
    InboxContract,
    BlobStoreContract,
    PrunableStoreContract,
    RowSourceContract,
):
    @pytest.fixture
    def topics(self):
        return Topics()

    @pytest.fixture
    def disk(self):
        return Disk()

    @pytest.fixture
    def store(self, disk, topics):
        return brokered(disk, topics)

    @pytest.fixture
    def log(self, store):
        return store

    @pytest.fixture
    def reopened(self, disk, topics):
        async def another():
            return brokered(disk, topics)

        return another

    @pytest.fixture
    def beside(self, reopened):
        return reopened

    @pytest.fixture
    def empty(self):
        async def another():
            return brokered(Disk(), Topics())

        return another


class TestBrokeredStoreWithDocuments(TestBrokeredStore):
    """The same over a broker that takes events as one document each."""

    @pytest.fixture
    def topics(self):
        topics = Topics()
        topics.structured = True
        return topics
