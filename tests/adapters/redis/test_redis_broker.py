"""Redis Streams keep the contract of brokers, against a real one; what is wrong with an address or a server is said at once."""

import secrets
from contextlib import AsyncExitStack

import pytest
from real_brokers import RealBrokerContract
from redis import asyncio as client

from penstock.adapters.redis.broker import open_redis
from penstock.core.events.messages import Message
from penstock.errors import Invalid, Unavailable
from penstock.testing.broker_contract import fetched


@pytest.fixture
def name():
    return f"t-{secrets.token_hex(6)}"


@pytest.fixture
async def opened(redis):
    async with AsyncExitStack() as stack:

        async def another():
            return await stack.enter_async_context(open_redis(redis.address))

        yield another


class TestRedisBroker(RealBrokerContract):
    pass


async def test_what_others_add_to_a_stream_comes_with_its_fields_as_headers(redis, opened, name):
    broker = await opened()
    await broker.require([name], 1)
    async with client.Redis.from_url(redis.address) as other:
        await other.xadd(f"penstock:{{{name}:0}}", {"value": b"{}", "type": b"Order.v1"})
    (found,) = await fetched(broker, {(name, 0): 0}, 1)
    assert found.message == Message(b"{}", b"", (("type", b"Order.v1"),))


async def test_a_server_that_is_not_there_is_said_at_once():
    async with open_redis("redis://127.0.0.1:1") as broker:
        with pytest.raises(Unavailable, match="Redis did not answer"):
            await broker.require(["t"], 1)


@pytest.mark.parametrize(
    ("url", "why"), [("redis://", "names no Redis"), ("redis://h:x", "Port"), ("redis://h?a=1", "'a'")]
)
async def test_an_address_that_is_none_is_refused(url, why):
    with pytest.raises(Invalid, match=why):
        async with open_redis(url):
            pass
