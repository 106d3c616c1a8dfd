"""Steps that call tools keep their guarantees on each embedded store."""

from contextlib import asynccontextmanager

import pytest

from penstock.adapters.memory.store import Disk, MemoryStore
from penstock.adapters.sqlite.store import open_sqlite_store
from penstock.testing.step_contract import StepContract


class TestOnMemory(StepContract):
    @pytest.fixture
    def disk(self):
        disk = Disk()

        @asynccontextmanager
        async def opened():
            yield MemoryStore(disk)

        return opened


class TestOnSqlite(StepContract):
    @pytest.fixture
    def disk(self, tmp_path):
        return lambda: open_sqlite_store(tmp_path / "store.db")
