"""The flow of an agent on Postgres."""

import pytest

from penstock.adapters.postgres.store import open_postgres_store
from penstock.testing.flow_contract import FlowContract

pytestmark = pytest.mark.timeout(60, func_only=True)  # the server's installation has limits of its own


class TestFlowOnPostgres(FlowContract):
    @pytest.fixture
    def disk(self, url):
        return lambda: open_postgres_store(url)
