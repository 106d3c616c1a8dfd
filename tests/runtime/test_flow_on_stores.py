"""The flow of an agent on the memory store and on SQLite."""

import pytest

from penstock.testing.flow_contract import FlowContract


class TestFlowOnMemory(FlowContract):
    @pytest.fixture
    def disk(self, memory_disk):
        return memory_disk


class TestFlowOnSqlite(FlowContract):
    @pytest.fixture
    def disk(self, sqlite_disk):
        return sqlite_disk
