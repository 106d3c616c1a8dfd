"""Kafka keeps the contract of brokers, against a real one; what is wrong with an address or a server is said within seconds."""

import asyncio
import secrets
from contextlib import AsyncExitStack

import pytest
from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition, admin
from real_brokers import RealBrokerContract

from penstock.adapters.kafka.address import address_of
from penstock.adapters.kafka.broker import open_kafka
from penstock.core.events.messages import Message
from penstock.errors import Invalid, Unavailable
from penstock.testing.broker_contract import fetched

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


async def test_topics_are_made_as_the_address_says(kafka):
    prefix, client = f"p{secrets.token_hex(6)}-", admin.AdminClient({"bootstrap.servers": kafka.hosts})
    async with open_kafka(f"{kafka.address}?prefix={prefix}&compacted=profiles&retention_s=60") as broker:
        await broker.require(["profiles", "orders"], 2)
    names = [f"{prefix}profiles", f"{prefix}orders"]
    resources = [admin.ConfigResource(admin.ResourceType.TOPIC, each) for each in names]
    told = {each.name: asked.result(20) for each, asked in client.describe_configs(resources).items()}
    assert told[names[0]]["cleanup.policy"].value == "compact"
    assert (told[names[1]]["cleanup.policy"].value, told[names[1]]["retention.ms"].value) == ("delete", "60000")


async def test_the_group_is_told_how_far_was_received(kafka):
    prefix, client = f"p{secrets.token_hex(6)}-", admin.AdminClient({"bootstrap.servers": kafka.hosts})
    async with open_kafka(f"{kafka.address}?prefix={prefix}&group={prefix}g") as broker, asyncio.timeout(40):
        await broker.require(["t"], 1)
        await broker.publish([("t", 0, Message(b"{}")) for _ in range(3)])
        await fetched(broker, {("t", 0): 0}, 3)
        asked = ConsumerGroupTopicPartitions(f"{prefix}g", [TopicPartition(f"{prefix}t", 0)])
        offset = -1
        while offset != 2:
            await broker.fetch({("t", 0): 2}, limit=9)
            told = client.list_consumer_group_offsets([asked])[f"{prefix}g"]
            offset = (await asyncio.to_thread(told.result, 20)).topic_partitions[0].offset
