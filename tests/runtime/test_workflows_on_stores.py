"""Workflow runs on the memory store and on SQLite."""

import pytest

from penstock.testing.workflow_contract import WorkflowContract


class TestWorkflowsOnMemory(WorkflowContract):
    @pytest.fixture
    def disk(self, memory_disk):
        return memory_disk


class TestWorkflowsOnSqlite(WorkflowContract):
    @pytest.fixture
    def disk(self, sqlite_disk):
        return sqlite_disk
