"""Steps that call tools keep their guarantees on each embedded store."""

import pytest

from penstock.testing.step_contract import StepContract


class TestOnMemory(StepContract):
    @pytest.fixture
    def disk(self, memory_disk):
        return memory_disk


class TestOnSqlite(StepContract):
    @pytest.fixture
    def disk(self, sqlite_disk):
        return sqlite_disk
