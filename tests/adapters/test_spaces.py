"""Every index can say which spaces it has, and empty one."""

import pytest

from penstock.adapters.memory.passages import MemoryPassages
from penstock.adapters.sqlite.passages import open_sqlite_passages
from penstock.testing.spaces_contract import SpacesContract


class TestMemorySpaces(SpacesContract):
    @pytest.fixture
    def index(self):
        return MemoryPassages()


class TestSqliteSpaces(SpacesContract):
    @pytest.fixture
    async def index(self, tmp_path):
        async with open_sqlite_passages(tmp_path / "passages.db") as index:
            yield index
