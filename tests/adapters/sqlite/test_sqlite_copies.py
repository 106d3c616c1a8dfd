"""A store in a file can be moved, and tidied while its processes are killed."""

import pytest

from penstock.testing.copying_contract import CopyingContract
from penstock.testing.tidying_contract import TidyingContract


class TestSqliteCanBeMoved(CopyingContract):
    @pytest.fixture
    def address(self, tmp_path):
        return f"sqlite:{tmp_path / 'moved.db'}"


@pytest.mark.timeout(180)
class TestSqliteIsTidied(TidyingContract):
    @pytest.fixture
    def address(self, tmp_path):
        return f"sqlite:{tmp_path / 'tidied.db'}"
