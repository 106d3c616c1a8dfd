"""NATS JetStream keeps the contract of brokers, against a real one; what is wrong with an address or a server is said at once."""

import asyncio
import secrets
import time
from contextlib import AsyncExitStack

import anyio
import pytest
from nats import connect
from real_brokers import RealBrokerContract

from penstock.adapters.nats.broker import WAIT_S, open_nats
from penstock.core.events.envelope import Envelope
from penstock.core.events.messages import Message, to_structured
from penstock.errors import Invalid, Unavailable
from penstock.testing.broker_contract import fetched

WITHIN_S = 20
pytestmark = pytest.mark.timeout(300)  # the first time, a server is built


@pytest.fixture
def name():
    return f"t-{secrets.token_hex(6)}"


@pytest.fixture
async def opened(nats):
    async with AsyncExitStack() as stack:

        async def another():
            return await stack.enter_async_context(open_nats(nats.address))

        yield another


class TestNatsBroker(RealBrokerContract):
    pass


async def test_what_others_publish_comes_with_its_headers(nats, opened, name):
    broker = await opened()
    await broker.require([name], 1)
    other = await connect(nats.address)
    await other.jetstream().publish(f"{name}.0", b"{}", headers={"type": "Order.v1"})
    await other.close()
    (found,) = await fetched(broker, {(name, 0): 0}, 1)
    assert found.message == Message(b"{}", b"", (("type", b"Order.v1"),))


async def test_what_comes_twice_within_minutes_is_dropped_by_the_server(opened, name):
    broker = await opened()
    await broker.require([name], 1)
    one = Message(b"{}", b"", (("ce_id", b"a"),))
    await broker.publish([(name, 0, one)])
    await broker.publish([(name, 0, one), (name, 0, Message(b"2", b"", (("ce_id", b"b"),)))])
    assert [each.message.value for each in await fetched(broker, {(name, 0): 0}, 2)] == [b"{}", b"2"]


async def test_documents_are_dropped_when_they_come_twice_and_come_as_they_went(nats, opened, name):
    broker = await opened()
    await broker.require([name], 2)
    document = to_structured(Envelope("é a", "/s", "T.v1", "k", 1, b"{}"), "")
    odd = to_structured(Envelope('"', "/s", "T.v1", "k", 1, b"{}"), "")  # an id that is not seen at once
    await broker.publish([(name, 0, document), (name, 0, odd), (name, 1, document)])
    await broker.publish([(name, 0, document), (name, 0, odd)])
    found = await fetched(broker, {(name, 0): 0, (name, 1): 0}, 4)
    assert [each.message for each in found if each.partition == 0] == [document, odd, odd]
    other = await connect(nats.address)
    seen = await other.jetstream().get_msg(name, 1)
    await other.close()
    assert (seen.data, seen.headers["content-type"]) == (document.value, "application/cloudevents+json")


async def test_a_header_beside_a_document_is_kept(nats, opened, name):
    broker = await opened()
    await broker.require([name], 1)
    other = await connect(nats.address)
    headers = {"content-type": "application/cloudevents+json", "Nats-Msg-Id": "1", "mine": "x"}
    await other.jetstream().publish(f"{name}.0", b"{}", headers=headers)
    await other.close()
    (found,) = await fetched(broker, {(name, 0): 0}, 1)
    assert found.message.headers == (("content-type", b"application/cloudevents+json"), ("mine", b"x"))


async def test_what_was_sent_to_a_reader_and_lost_comes_again(nats, opened, name):
    broker = await opened()
    await broker.require([name], 1)
    assert list(await broker.fetch({(name, 0): 0}, limit=9)) == []
    other = await connect(nats.address)
    streams = other.jetstream()
    readers = await streams.consumers_info(name)
    with anyio.fail_after(10):
        while not readers:
            await anyio.sleep(0.01)
            readers = await streams.consumers_info(name)
    lost = await other.subscribe("lost")  # the server sends the reader's next message here, and takes it for delivered
    await other.publish(f"$JS.API.CONSUMER.MSG.NEXT.{name}.{readers[0].name}", b"2", reply="lost")
    await other.flush()
    messages = [Message(b"%d" % number, b"", (("ce_id", b"%d" % number),)) for number in range(1500)]
    await broker.publish([(name, 0, each) for each in messages])
    assert (await lost.next_msg(5)).data in {each.value for each in messages}
    await other.close()
    assert [each.message for each in await fetched(broker, {(name, 0): 0}, 1500, limit=5000)] == messages


async def test_who_slept_ends_although_the_library_loses_the_cancellation_of_its_reader(nats, name):
    """When a machine wakes, time-outs are due in the tick in which the reader is cancelled: the library takes one for the other."""
    async with asyncio.timeout(WITHIN_S):
        async with open_nats(nats.address) as broker:
            await broker.require([name], 1)
            await broker.publish([(name, 0, Message(b"{}"))])
            await fetched(broker, {(name, 0): 0}, 1)
            await asyncio.sleep(0.05)  # for the reader to wait again
            time.sleep(2 * WAIT_S)  # noqa: ASYNC251 - the process sleeps, and no task of it knows


async def test_a_server_that_is_not_there_is_said_at_once():
    with pytest.raises(Unavailable, match="NATS did not answer 'connect'"):
        async with open_nats("nats://127.0.0.1:1"):
            pass


@pytest.mark.parametrize(
    ("url", "why"), [("nats://", "names no server"), ("nats://h:x", "'h:x'"), ("nats://h?a=1", "'a'")]
)
async def test_an_address_that_is_none_is_refused(url, why):
    with pytest.raises(Invalid, match=why):
        async with open_nats(url):
            pass
