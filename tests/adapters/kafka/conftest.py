from collections.abc import Generator

import pytest
from kafka_server import Kafka, required_kafka


@pytest.fixture(scope="session")
def kafka() -> Generator[Kafka]:
    """Give a Kafka. It is shared: use topics of your own."""
    with required_kafka() as server:
        yield server
