"""A store in a file can be moved."""

import pytest

from penstock.testing.copying_contract import CopyingContract


class TestSqliteCanBeMoved(CopyingContract):
    @pytest.fixture
    def address(self, tmp_path):
        return f"sqlite:{tmp_path / 'moved.db'}"
