"""The store in Redis keeps all contracts, on a real server."""

import pytest
from store_on_server import EngineOnServer, RetryingStoreOnServer, StoreOnServer

from penstock.adapters.redis_store.store import open_redis_store

pytestmark = pytest.mark.timeout(60, func_only=True)  # the server's installation has limits of its own


class _Opens:
    @pytest.fixture
    def opens(self):
        return open_redis_store


class TestRedisStore(_Opens, StoreOnServer):
    pass


class TestRetryingRedisStore(_Opens, RetryingStoreOnServer):
    pass


class TestOnRedis(_Opens, EngineOnServer):
    pass
