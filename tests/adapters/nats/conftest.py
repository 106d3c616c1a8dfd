from collections.abc import Generator

import pytest
from nats_server import Nats, required_nats


@pytest.fixture(scope="session")
def nats() -> Generator[Nats]:
    """Give a NATS. It is shared: use topics of your own."""
    with required_nats() as server:
        yield server
