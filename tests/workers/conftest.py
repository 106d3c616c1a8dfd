"""Stores that processes can share: a file, a schema of a real Postgres, a prefix in a real Redis."""

import asyncio
import secrets

import pytest
from postgres_server import ask, required_server, schema_of
from redis_server import required_redis


@pytest.fixture(scope="session")
def server():
    with required_server() as server:
        yield server


@pytest.fixture(scope="session")
def redis():
    with required_redis() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgres", "redis"])
def store(request, tmp_path):
    """The address of a store that is not made yet."""
    if request.param == "sqlite":
        yield f"sqlite:{tmp_path / 'shared.db'}"
        return
    if request.param == "redis":
        yield f"{request.getfixturevalue('redis').address}?prefix=test_{secrets.token_hex(6)}"
        return
    server = request.getfixturevalue("server")
    address = f"{server.dsn}{'&' if '?' in server.dsn else '?'}schema=test_{secrets.token_hex(6)}"
    yield address
    if not server.ours:
        asyncio.run(ask(server.dsn, f"DROP SCHEMA IF EXISTS {schema_of(address)} CASCADE"))
