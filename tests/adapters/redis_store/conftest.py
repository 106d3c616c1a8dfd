"""A server for each worker of the tests, and a prefix of its own for each test."""

import secrets
from collections.abc import Generator

import pytest
from redis_server import Redis, required_redis


@pytest.fixture(scope="session")
def redis() -> Generator[Redis]:
    """Give a Redis. It is shared: use a prefix of your own."""
    with required_redis() as server:
        yield server


@pytest.fixture
def url(redis: Redis) -> str:
    """The address of a store that is not made yet."""
    return f"{redis.address}?prefix=test_{secrets.token_hex(6)}"


@pytest.fixture
def other_url(redis: Redis) -> str:
    return f"{redis.address}?prefix=test_{secrets.token_hex(6)}"
