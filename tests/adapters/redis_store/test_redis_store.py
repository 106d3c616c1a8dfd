"""The store in Redis keeps all contracts, on a real server."""

from contextlib import AsyncExitStack

import pytest

from penstock.adapters.clock.system import SystemClock
from penstock.adapters.redis_store.store import open_redis_store
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

pytestmark = pytest.mark.timeout(60, func_only=True)  # the server's installation has limits of its own


@pytest.fixture
async def store(url):
    async with open_redis_store(url) as opened:
        yield opened


@pytest.fixture
async def reopened(url):
    """Open the store once more, while the first one is open: what is not committed is seen by nobody else."""
    async with AsyncExitStack() as stack:
        yield lambda: stack.enter_async_context(open_redis_store(url))


@pytest.fixture
async def empty(other_url):
    async with AsyncExitStack() as stack:
        yield lambda: stack.enter_async_context(open_redis_store(other_url))


class TestRedisStore(
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
    def store(self, store):
        return store

    @pytest.fixture
    def log(self, store):
        return store

    @pytest.fixture
    def reopened(self, reopened):
        return reopened

    @pytest.fixture
    def empty(self, empty):
        return empty

    @pytest.fixture
    def beside(self, reopened):
        return reopened


class TestRetryingRedisStore(
    EventLogContract,
    StateStoreContract,
    TimerStoreContract,
    StreamStoreContract,
    BlobStoreContract,
    PrunableStoreContract,
    RowSourceContract,
):
    @pytest.fixture
    def store(self, store):
        return RetryingStore(store, SystemClock())

    @pytest.fixture
    def log(self, store):
        return store

    @pytest.fixture
    def reopened(self, reopened):
        async def another():
            return RetryingStore(await reopened(), SystemClock())

        return another

    @pytest.fixture
    def empty(self, empty):
        return empty


class TestOnRedis(EngineContract, TimingContract, EngineStreamContract):
    @pytest.fixture
    def disk(self, url):
        return lambda: open_redis_store(url)
