"""Stores that processes can share: a file, and a schema of a real Postgres."""

import asyncio
import secrets

import pytest
from postgres_server import ask, required_server, schema_of


@pytest.fixture(scope="session")
def server():
    with required_server() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgres"])
def store(request, tmp_path):
    """The address of a store that is not made yet."""
    if request.param == "sqlite":
        yield f"sqlite:{tmp_path / 'shared.db'}"
        return
    server = request.getfixturevalue("server")
    address = f"{server.dsn}{'&' if '?' in server.dsn else '?'}schema=test_{secrets.token_hex(6)}"
    yield address
    if not server.ours:
        asyncio.run(ask(server.dsn, f"DROP SCHEMA IF EXISTS {schema_of(address)} CASCADE"))
