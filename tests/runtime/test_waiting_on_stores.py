"""Runs that wait for events and people on the memory store and on SQLite."""

import pytest

from penstock.testing.waiting_contract import WaitingContract


class TestWaitingOnMemory(WaitingContract):
    @pytest.fixture
    def disk(self, memory_disk):
        return memory_disk


class TestWaitingOnSqlite(WaitingContract):
    @pytest.fixture
    def disk(self, sqlite_disk):
        return sqlite_disk
