import fork_server  # what its server imports is told before anybody starts it
import pytest
from postgres_server import fresh, required_server

assert "ingesting" in fork_server.IMPORTED


@pytest.fixture(scope="session")
def server():
    with required_server() as server:
        yield server


@pytest.fixture
def url(server):
    """The address of a store that is not made yet."""
    with fresh(server) as address:
        yield address
