"""What others put into Kafka that is not as we would: it is read, or becomes a dead letter, and holds nobody up."""

import secrets

import pytest
from confluent_kafka import Producer

from penstock.adapters.kafka.broker import open_kafka
from penstock.adapters.kafka.records import message_of
from penstock.core.events.messages import UNREADABLE, Message, Place, problem_of, to_event
from penstock.testing.broker_contract import fetched


@pytest.mark.timeout(120)  # a JVM starts
async def test_headers_without_values_and_records_without_anything_are_read(kafka):
    prefix = f"r{secrets.token_hex(6)}-"
    producer = Producer({"bootstrap.servers": kafka.hosts})
    async with open_kafka(f"{kafka.address}?prefix={prefix}") as broker:
        await broker.require(["bare"], 1)
        producer.produce(f"{prefix}bare", b"1", headers=[("none", None), ("some", b"x"), ("none", b"y")])
        producer.produce(f"{prefix}bare", None)
        producer.flush(20)
        found = await fetched(broker, {("bare", 0): 0}, 2)
    headers = (("none", b""), ("some", b"x"), ("none", b"y"))
    assert [each.message for each in found] == [Message(b"1", b"", headers), Message(b"")]


class _Nameless:
    """A record with a header whose name is no UTF-8, as the client gives it: its own producers cannot make one."""

    def headers(self):
        b"\xff".decode()

    def value(self):
        return b"{}"

    def key(self):
        return b"k"


def test_a_record_whose_headers_have_no_readable_names_becomes_a_dead_letter():
    event = to_event(message_of(_Nameless()), Place("t", 0, 7))
    assert (event.type, event.id) == (UNREADABLE, "t/0/7")
    assert "no name in UTF-8" in problem_of(event)
