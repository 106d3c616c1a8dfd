from collections.abc import Generator

import pytest
from kafka_server import Kafka, required_kafka
from secure_kafka import SecureKafka, secure_kafka


@pytest.fixture(scope="session")
def kafka() -> Generator[Kafka]:
    """Give a Kafka. It is shared: use topics of your own."""
    with required_kafka() as server:
        yield server


@pytest.fixture(scope="session")
def secure() -> Generator[SecureKafka]:
    """Give a Kafka with TLS, passwords and rules. It is shared: use topics of your own."""
    with secure_kafka() as server:
        yield server
