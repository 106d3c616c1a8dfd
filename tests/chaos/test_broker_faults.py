"""Brokers that fail while an app's workers go on: a quick part of `make chaos`. The whole is in docs/chaos.md."""

import pytest
from broker_faults import broker_behind_a_proxy, tried
from own_process import NoServerError, require

from penstock.testing import WritePoint
from penstock.testing.chaos.trial import Trial

pytestmark = [
    pytest.mark.timeout(200),  # the first time, a server is installed
    # Clients of a broker that died leave half-open connections to the collector of garbage.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.mark.parametrize(("broker", "fault"), [("redis", "broker killed"), ("nats", "cut off")])
async def test_nothing_is_lost_doubled_or_out_of_order_when_a_broker_fails(tmp_path, broker, fault):
    try:
        outcome = await tried(broker, fault, tmp_path, orders=60)
    except NoServerError as error:
        require(broker, error)
    assert outcome.holds, outcome


async def test_nothing_is_lost_when_workers_die_before_a_broker(tmp_path):
    (tmp_path / "broker").mkdir()
    try:
        async with broker_behind_a_proxy("redis", tmp_path / "broker") as (log, _, _):
            store = f"sqlite:{tmp_path}/shop.db"
            trial = Trial(WritePoint.DURING_COMMIT, store, tmp_path / "outside", kills=1, orders=16, trips=2, log=log)
            outcome = await trial.outcome()
    except NoServerError as error:
        require("redis", error)
    assert outcome.holds, outcome
    assert outcome.kills == 1
