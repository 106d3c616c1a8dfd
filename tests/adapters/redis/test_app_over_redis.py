"""A whole app, whose events go over a real redis."""

import secrets

import pytest
from app_over_broker import carries_an_app
from real_brokers import expect_errors_as_they_are

from penstock.adapters.redis.broker import open_redis

pytestmark = pytest.mark.timeout(300)  # the first time, a server is installed


async def test_an_app_is_carried(redis, tmp_path):
    await carries_an_app(f"{redis.address}?prefix={secrets.token_hex(6)}-", tmp_path / "shop.db", open_redis)


async def test_what_an_app_raises_comes_as_it_is(redis):
    await expect_errors_as_they_are(redis.address)
