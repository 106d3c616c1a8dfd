"""A server for each worker of the tests, and a fresh schema for each test."""

import asyncio
import secrets
from contextlib import contextmanager

import pytest
from postgres_server import ask, required_server, schema_of


@pytest.fixture(scope="session")
def server():
    with required_server() as server:
        yield server


@pytest.fixture
def own_server(server):
    """A server that a test may crash."""
    if not server.ours:
        pytest.skip("NOT TESTED ON POSTGRES: what only our own server allows (PENSTOCK_POSTGRES_DSN is set)")
    yield server
    if not server.running:
        server.start()


@pytest.fixture
def url(server):
    """The address of a store that is not made yet; what was made is removed from a server that is not ours."""
    with fresh(server) as address:
        yield address


@pytest.fixture
def other_url(server):
    """The address of another store in the same database."""
    with fresh(server) as address:
        yield address


@contextmanager
def fresh(server):
    address = f"{server.dsn}{'&' if '?' in server.dsn else '?'}schema=test_{secrets.token_hex(6)}"
    yield address
    if not server.ours:
        asyncio.run(ask(server.dsn, f"DROP SCHEMA IF EXISTS {schema_of(address)} CASCADE"))
