"""A server for each worker of the tests, and a fresh schema for each test."""

import pytest
from postgres_server import fresh, required_server


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
