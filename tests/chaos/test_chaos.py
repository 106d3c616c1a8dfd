"""Real processes killed at write points: a quick part of `make chaos`. The whole is in docs/chaos.md."""

import secrets

import pytest
from postgres_server import required_server

from penstock.testing import WritePoint
from penstock.testing.chaos.trial import Trial

QUICK = (WritePoint.AFTER_EFFECT, WritePoint.DURING_COMMIT)
pytestmark = pytest.mark.timeout(120, func_only=True)


@pytest.fixture(scope="module")
def server():
    with required_server() as server:
        yield server


@pytest.mark.parametrize("point", QUICK)
async def test_nothing_is_lost_or_done_twice_on_sqlite(tmp_path, point):
    await expect_nothing_lost(Trial(point, f"sqlite:{tmp_path}/shop.db", tmp_path / "outside", kills=2, orders=24))


@pytest.mark.parametrize("point", QUICK)
async def test_nothing_is_lost_or_done_twice_on_postgres(tmp_path, server, point):
    store = f"{server.dsn}{'&' if '?' in server.dsn else '?'}schema=chaos_{secrets.token_hex(6)}"
    await expect_nothing_lost(Trial(point, store, tmp_path / "outside", kills=2, orders=24))


async def expect_nothing_lost(trial):
    outcome = await trial.outcome()
    assert outcome.holds, outcome
    assert outcome.kills >= 1
