"""Runs of state machines on the memory store and on SQLite."""

import pytest

from penstock.testing.machine_contract import MachineContract


@pytest.fixture
def anyio_backend():
    return "asyncio"  # files and threads need real time; the tests beside this one run in virtual time


class TestMachinesOnMemory(MachineContract):
    @pytest.fixture
    def disk(self, memory_disk):
        return memory_disk


class TestMachinesOnSqlite(MachineContract):
    @pytest.fixture
    def disk(self, sqlite_disk):
        return sqlite_disk
