import pytest
from desk import Desk, client_of


@pytest.fixture
async def desk():
    return Desk()


@pytest.fixture
async def running(desk):
    async with desk.app.running(store="memory:") as running:
        yield running
        desk.gate.set()  # whoever waits there must not keep the app from closing


@pytest.fixture
async def client(running):
    async with client_of(running) as client:
        yield client
