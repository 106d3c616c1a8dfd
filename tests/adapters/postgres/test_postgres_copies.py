"""A store in Postgres can be moved, and a SQLite file becomes one."""

import pytest

from penstock.testing.copying_contract import CopyingContract

pytestmark = pytest.mark.timeout(60, func_only=True)


class TestPostgresCanBeMoved(CopyingContract):
    @pytest.fixture
    def address(self, url):
        return url
