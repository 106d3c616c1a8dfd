"""Kafka keeps the contract of brokers, against a real one; what is wrong with an address or a server is said within seconds."""

from contextlib import AsyncExitStack

import pytest
from real_brokers import RealBrokerContract

from penstock.adapters.kafka.address import address_of
from penstock.adapters.kafka.broker import open_kafka
from penstock.errors import Invalid, Unavailable

pytestmark = pytest.mark.timeout(120)  # a JVM starts


@pytest.fixture
async def opened(kafka):
    async with AsyncExitStack() as stack:

        async def another():
            return await stack.enter_async_context(open_kafka(kafka.address))

        yield another


class TestKafkaBroker(RealBrokerContract):
    pass


async def test_a_server_that_is_not_there_is_said_within_seconds():
    async with open_kafka("kafka://127.0.0.1:1") as broker:
        with pytest.raises(Unavailable, match=r"Kafka did not answer 'list topics'.*127\.0\.0\.1:1"):
            await broker.require(["t"], 1)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("kafka://", "names no broker"),
        ("kafka://h:1,,h:2", "names no broker"),
        ("kafka://h:1?partition=3", "has the option 'partition'"),
        ("kafka://h:1?replication=many", "replication=many"),
        ("kafka://h:1?no.such.option=1", "no.such.option"),
    ],
)
async def test_an_address_that_is_none_is_refused(url, why):
    with pytest.raises(Invalid, match=why):
        async with open_kafka(url):
            pass


def test_an_address_says_who_one_is_and_what_the_client_is_told():
    address = address_of("kafka://me:s%40fe@h:1,i:2?prefix=a.&group=g&security.protocol=SASL_PLAINTEXT", {})
    assert address.settings == {
        "bootstrap.servers": "h:1,i:2",
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.username": "me",
        "sasl.password": "s@fe",
        "sasl.mechanism": "PLAIN",
    }
    assert (address.topic("orders"), address.group) == ("a.orders", "g")
    with pytest.raises(Invalid, match="no name of a topic"):
        address.topic("ord ers")
    assert address_of("kafka://h:1", {"KAFKA_USERNAME": "u", "KAFKA_PASSWORD": "p"}).settings["sasl.password"] == "p"
