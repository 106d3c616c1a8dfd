from collections.abc import Generator

import pytest
from redis_server import Redis, required_redis


@pytest.fixture(scope="session")
def redis() -> Generator[Redis]:
    """Give a Redis. It is shared: use topics of your own."""
    with required_redis() as server:
        yield server
