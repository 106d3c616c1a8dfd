"""The engine keeps its guarantees on each embedded store."""

import pytest

from penstock.testing.engine_contract import EngineContract
from penstock.testing.engine_stream_contract import EngineStreamContract
from penstock.testing.timing_contract import TimingContract


class TestOnMemory(EngineContract, TimingContract, EngineStreamContract):
    @pytest.fixture
    def disk(self, memory_disk):
        return memory_disk


class TestOnSqlite(EngineContract, TimingContract, EngineStreamContract):
    @pytest.fixture
    def disk(self, sqlite_disk):
        return sqlite_disk
