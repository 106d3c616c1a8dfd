"""Steps that call tools keep their guarantees on Postgres."""

import pytest

from penstock.adapters.postgres.store import open_postgres_store
from penstock.testing.step_contract import StepContract

pytestmark = pytest.mark.timeout(60, func_only=True)  # the server's installation has limits of its own


class TestStepsOnPostgres(StepContract):
    @pytest.fixture
    def disk(self, url):
        return lambda: open_postgres_store(url)
