"""A real Flink and a real Kafka, for the tests of jobs (`make flink`)."""

from collections.abc import Iterator

import pytest
from flink_installed import Flink, installed_flink
from kafka_server import Kafka, required_kafka
from own_process import NoServerError, require


@pytest.fixture(scope="module")
def flink() -> Flink:
    try:
        return installed_flink()
    except NoServerError as error:
        require("flink", error)
        raise


@pytest.fixture(scope="module")
def kafka() -> Iterator[Kafka]:
    with required_kafka() as server:
        yield server
