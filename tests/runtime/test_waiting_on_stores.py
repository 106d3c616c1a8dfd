"""Runs that wait for events and people on the memory store and on SQLite."""

from contextlib import asynccontextmanager

import pytest

from penstock.adapters.memory.store import Disk, MemoryStore
from penstock.adapters.sqlite.store import open_sqlite_store
from penstock.testing.waiting_contract import WaitingContract


class TestWaitingOnMemory(WaitingContract):
    @pytest.fixture
    def disk(self):
        disk = Disk()

        @asynccontextmanager
        async def opened():
            yield MemoryStore(disk)

        return opened


class TestWaitingOnSqlite(WaitingContract):
    @pytest.fixture
    def disk(self, tmp_path):
        return lambda: open_sqlite_store(tmp_path / "store.db")
