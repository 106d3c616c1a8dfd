"""Topics of a real Kafka in Avro: Confluent's own client reads what we write and writes what we read, by a registry of ours."""

import asyncio
import secrets

import pytest
from app_over_broker import Ordered, Shipped, shop
from confluent_kafka import Consumer, Producer
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
from registry_server import registry_server
from wrong_settings import refusal

from penstock.adapters.kafka.broker import open_kafka
from penstock.adapters.schema_registry.confluent import open_registry
from penstock.errors import Invalid
from penstock.layers.brokered_store import AGENT

pytestmark = pytest.mark.timeout(120)  # a JVM starts
THEIRS = """{"type": "record", "name": "Ordered", "namespace": "com.shop", "fields": [
  {"name": "customer", "type": "string"}, {"name": "number", "type": "int"}, {"name": "colour", "type": "string", "default": ""}]}"""
WITHIN_S = 40


@pytest.fixture
def prefix():
    return f"p{secrets.token_hex(6)}-"


def published(hosts, address, topic, values):
    """Write values as Confluent's client does."""
    context = SerializationContext(topic, MessageField.VALUE)
    producer = Producer({"bootstrap.servers": hosts})
    with SchemaRegistryClient({"url": address}) as client:
        serializer = AvroSerializer(client, THEIRS, conf={"auto.register.schemas": True})
        for each in values:
            producer.produce(topic, serializer(each, context), each["customer"].encode(), 0)
    producer.produce(topic, b"\x00\x00\x00\x12\x67?", b"k", 0)  # under a schema that nobody knows
    assert producer.flush(20) == 0


def consumed(hosts, address, topic, count):
    """Read values as Confluent's client does."""
    settings = {"bootstrap.servers": hosts, "group.id": topic, "auto.offset.reset": "earliest"}
    consumer, found = Consumer(settings), []
    consumer.subscribe([topic])
    with SchemaRegistryClient({"url": address}) as client:
        deserializer = AvroDeserializer(client)
        for _ in range(200):
            message = consumer.poll(0.2)
            if message is not None and message.error() is None:
                value = deserializer(message.value(), SerializationContext(topic, MessageField.VALUE))
                found.append((value, dict(message.headers())))
            if len(found) == count:
                break
    consumer.close()
    return found


async def test_confluents_client_and_an_app_understand_each_other(kafka, prefix, tmp_path):
    shipped = []
    async with open_kafka(f"{kafka.address}?prefix={prefix}") as broker:
        await broker.require(["ordered"], 1)
    async with registry_server() as address:
        # What they registered first, ours has to fit.
        await asyncio.to_thread(
            published,
            kafka.hosts,
            address,
            f"{prefix}ordered",
            [{"customer": "c", "number": each, "colour": "red"} for each in range(3)],
        )
        log = f"{kafka.address}?partitions=1&prefix={prefix}&format=avro&registry={address}"
        async with (
            shop(shipped).running(store=f"sqlite:{tmp_path}/shop.db", log=log) as live,
            asyncio.timeout(WITHIN_S),
        ):
            await live.engine.until(lambda: len(shipped) == 3)
            assert (await live.ask(Ordered(customer="ours", number=9), Shipped)).number == 9
            (letter,) = await live.engine.until(live.dead_letters)
            assert (letter.agent, "schema with id 4711" in letter.reason) == (AGENT, True)
        assert shipped == [("c", 0), ("c", 1), ("c", 2), ("ours", 9)]
        found = await asyncio.to_thread(consumed, kafka.hosts, address, f"{prefix}shipped", 4)
        assert [each["customer"] for each, _ in found] == ["c", "c", "c", "ours"]
        assert {headers["ce_type"] for _, headers in found} == {b"Shipped.v1"}
        assert {headers["content-type"] for _, headers in found} == {b"application/avro"}


async def test_schemas_that_do_not_fit_end_the_start_with_the_subject(kafka, prefix, caplog):
    async with registry_server() as address:
        async with open_registry(address, {}) as registry:
            unfit = '{"type": "record", "name": "Ordered", "fields": [{"name": "customer", "type": "long"}]}'
            await registry.registered(f"{prefix}ordered-value", unfit)
        log = f"{kafka.address}?prefix={prefix}&format=avro&registry={address}"
        said = await refusal(log, Invalid, caplog)
        assert f"{prefix}ordered-value: the registry refuses it" in said
        assert "TYPE_MISMATCH" in said


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ("format=xml", "format=xml"),
        ("format=avro", "format=avro without a registry"),
        ("registry=http://h", "values are JSON"),
        ("format=avro&registry=h:1", "names no address"),
    ],
)
async def test_a_form_that_cannot_be_is_refused(options, why, caplog):
    assert why in await refusal(f"kafka://127.0.0.1:1?{options}", Invalid, caplog)


async def test_who_is_let_in_by_the_registry_alone_may_go_on(kafka, prefix, caplog):
    async with registry_server("app", "s3cret") as address:
        said = await refusal(
            f"{kafka.address}?prefix={prefix}&format=avro&registry={address}", Invalid, caplog, "s3cret"
        )
        assert "SCHEMA_REGISTRY_USERNAME" in said
