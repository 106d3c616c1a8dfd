"""All contracts of a store that lies on a server: who inherits says how one is opened (`opens`), and gives `url` and `other_url`."""

from contextlib import AsyncExitStack

import pytest

from penstock.adapters.clock.system import SystemClock
from penstock.layers.retrying_store import RetryingStore
from penstock.testing.blobs_contract import BlobStoreContract
from penstock.testing.catalog_contract import RunCatalogContract
from penstock.testing.engine_contract import EngineContract
from penstock.testing.engine_stream_contract import EngineStreamContract
from penstock.testing.erasure_contract import ErasableContract
from penstock.testing.inbox_contract import InboxContract
from penstock.testing.log_contract import EventLogContract
from penstock.testing.permits_contract import PermitsContract
from penstock.testing.retention_contract import PrunableStoreContract
from penstock.testing.rows_contract import RowSourceContract
from penstock.testing.state_contract import StateStoreContract
from penstock.testing.stream_contract import StreamStoreContract
from penstock.testing.timer_contract import TimerStoreContract
from penstock.testing.timing_contract import TimingContract
from penstock.testing.workers_contract import WorkersContract


class _Opened:
    """Stores at the addresses of a test."""

    @pytest.fixture
    def opens(self):
        raise NotImplementedError("supply what opens a store at an address")

    @pytest.fixture
    async def plain(self, opens, url):
        async with opens(url) as opened:
            yield opened

    @pytest.fixture
    async def plain_again(self, opens, url):
        """Open the store once more, while the first one is open: what is not committed is seen by nobody else."""
        async with AsyncExitStack() as stack:
            yield lambda: stack.enter_async_context(opens(url))

    @pytest.fixture
    async def empty(self, opens, other_url):
        async with AsyncExitStack() as stack:
            yield lambda: stack.enter_async_context(opens(other_url))

    @pytest.fixture
    def log(self, store):
        return store


class StoreOnServer(
    _Opened,
    EventLogContract,
    StateStoreContract,
    RunCatalogContract,
    TimerStoreContract,
    StreamStoreContract,
    WorkersContract,
    PermitsContract,
    InboxContract,
    BlobStoreContract,
    ErasableContract,
    PrunableStoreContract,
    RowSourceContract,
):
    @pytest.fixture
    def store(self, plain):
        return plain

    @pytest.fixture
    def reopened(self, plain_again):
        return plain_again

    @pytest.fixture
    def beside(self, plain_again):
        return plain_again


class RetryingStoreOnServer(
    _Opened,
    EventLogContract,
    StateStoreContract,
    TimerStoreContract,
    StreamStoreContract,
    BlobStoreContract,
    PrunableStoreContract,
    RowSourceContract,
):
    @pytest.fixture
    def store(self, plain):
        return RetryingStore(plain, SystemClock())

    @pytest.fixture
    def reopened(self, plain_again):
        async def another():
            return RetryingStore(await plain_again(), SystemClock())

        return another


class EngineOnServer(_Opened, EngineContract, TimingContract, EngineStreamContract):
    @pytest.fixture
    def disk(self, opens, url):
        return lambda: opens(url)
