"""NATS JetStream keeps the contract of brokers, against a real one; what is wrong with an address or a server is said at once."""

import secrets
from contextlib import AsyncExitStack

import pytest
from nats import connect
from real_brokers import RealBrokerContract

from penstock.adapters.nats.broker import open_nats
from penstock.core.events.messages import Message
from penstock.errors import Invalid, Unavailable
from penstock.testing.broker_contract import fetched

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
