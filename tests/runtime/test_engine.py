"""The engine keeps its guarantees on each embedded store."""

from contextlib import asynccontextmanager

import pytest

from penstock.adapters.memory.store import Disk, MemoryStore
from penstock.adapters.sqlite.store import open_sqlite_store
from penstock.testing.engine_contract import EngineContract
from penstock.testing.engine_stream_contract import EngineStreamContract
from penstock.testing.timing_contract import TimingContract


class TestOnMemory(EngineContract, TimingContract, EngineStreamContract):
    @pytest.fixture
    def disk(self):
        disk = Disk()

        @asynccontextmanager
        async def opened():
            yield MemoryStore(disk)

        return opened


class TestOnSqlite(EngineContract, TimingContract, EngineStreamContract):
    @pytest.fixture
    def disk(self, tmp_path):
        return lambda: open_sqlite_store(tmp_path / "store.db")
