"""Runs of state machines on the memory store and on SQLite."""

from contextlib import asynccontextmanager

import pytest

from penstock.adapters.memory.store import Disk, MemoryStore
from penstock.adapters.sqlite.store import open_sqlite_store
from penstock.testing.machine_contract import MachineContract


@pytest.fixture
def anyio_backend():
    return "asyncio"


class TestMachinesOnMemory(MachineContract):
    @pytest.fixture
    def disk(self):
        disk = Disk()

        @asynccontextmanager
        async def opened():
            yield MemoryStore(disk)

        return opened


class TestMachinesOnSqlite(MachineContract):
    @pytest.fixture
    def disk(self, tmp_path):
        return lambda: open_sqlite_store(tmp_path / "store.db")
