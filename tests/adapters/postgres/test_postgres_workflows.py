"""Workflow runs on Postgres."""

import pytest

from penstock.adapters.postgres.store import open_postgres_store
from penstock.testing.workflow_contract import WorkflowContract

pytestmark = pytest.mark.timeout(60, func_only=True)  # the server's installation has limits of its own


class TestWorkflowsOnPostgres(WorkflowContract):
    @pytest.fixture
    def disk(self, url):
        return lambda: open_postgres_store(url)
