"""Runs of state machines on Postgres."""

import pytest

from penstock.adapters.postgres.store import open_postgres_store
from penstock.testing.machine_contract import MachineContract

pytestmark = pytest.mark.timeout(60, func_only=True)  # the server's installation has limits of its own


class TestMachinesOnPostgres(MachineContract):
    @pytest.fixture
    def disk(self, url):
        return lambda: open_postgres_store(url)
