"""The store in Postgres keeps all contracts, on a real server."""

import pytest
from store_on_server import EngineOnServer, RetryingStoreOnServer, StoreOnServer

from penstock.adapters.postgres.store import open_postgres_store

pytestmark = pytest.mark.timeout(60, func_only=True)  # the server's installation has limits of its own


class _Opens:
    @pytest.fixture
    def opens(self):
        return open_postgres_store


class TestPostgresStore(_Opens, StoreOnServer):
    pass


class TestRetryingPostgresStore(_Opens, RetryingStoreOnServer):
    pass


class TestOnPostgres(_Opens, EngineOnServer):
    pass
