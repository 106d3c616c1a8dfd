"""A whole app, whose events go over a real kafka."""

import secrets

import pytest
from app_over_broker import carries_an_app
from real_brokers import expect_errors_as_they_are

from penstock.adapters.kafka.broker import open_kafka

pytestmark = pytest.mark.timeout(300)  # the first time, a server is installed


async def test_an_app_is_carried(kafka, tmp_path):
    await carries_an_app(f"{kafka.address}?prefix={secrets.token_hex(6)}-", tmp_path / "shop.db", open_kafka)


async def test_what_an_app_raises_comes_as_it_is(kafka):
    await expect_errors_as_they_are(kafka.address)
