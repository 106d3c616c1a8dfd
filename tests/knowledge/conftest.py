import multiprocessing

import pytest
from postgres_server import fresh, required_server

multiprocessing.get_context("forkserver").set_forkserver_preload(
    ["ingesting", "numpy", "penstock.adapters.sqlite.passages"]
)


@pytest.fixture(scope="session")
def server():
    with required_server() as server:
        yield server


@pytest.fixture
def url(server):
    """The address of a store that is not made yet."""
    with fresh(server) as address:
        yield address
