"""A store in Redis can be moved, a SQLite file becomes one, and it can be tidied while its processes are killed."""

import pytest

from penstock.testing.copying_contract import CopyingContract
from penstock.testing.tidying_contract import TidyingContract

pytestmark = pytest.mark.timeout(60, func_only=True)


class TestRedisCanBeMoved(CopyingContract):
    @pytest.fixture
    def address(self, url):
        return url


@pytest.mark.timeout(180, func_only=True)
class TestRedisIsTidied(TidyingContract):
    @pytest.fixture
    def address(self, url):
        return url
