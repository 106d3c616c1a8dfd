"""Runs that wait for events and people on Postgres."""

import pytest

from penstock.adapters.postgres.store import open_postgres_store
from penstock.testing.waiting_contract import WaitingContract

pytestmark = pytest.mark.timeout(60, func_only=True)  # the server's installation has limits of its own


class TestWaitingOnPostgres(WaitingContract):
    @pytest.fixture
    def disk(self, url):
        return lambda: open_postgres_store(url)
