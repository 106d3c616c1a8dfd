"""Redis Streams keep the contract of brokers, against a real one; what is wrong with an address or a server is said at once."""

import asyncio
import secrets
import time
from contextlib import AsyncExitStack

import pytest
from real_brokers import RealBrokerContract
from redis import asyncio as client

from penstock.adapters.redis.broker import WAIT_MS, open_redis
from penstock.core.events.envelope import Envelope
from penstock.core.events.messages import Message, to_structured
from penstock.errors import Invalid, Unavailable
from penstock.testing.broker_contract import fetched

WITHIN_S = 20


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


async def test_documents_are_plain_fields_that_others_read(redis, opened, name):
    broker = await opened()
    await broker.require([name], 1)
    document = to_structured(Envelope("a", "/s", "T.v1", "k", 1, b"{}"), "")
    await broker.publish([(name, 0, document)] * 600)
    async with client.Redis.from_url(redis.address) as other:
        entries = await other.xrange(f"penstock:{{{name}:0}}")
    assert [fields for _, fields in entries] == [{b"event": document.value}] * 600


async def test_a_user_who_may_run_no_scripts_publishes_one_by_one(redis, opened, name):
    await (await opened()).require([name], 1)
    async with client.Redis.from_url(redis.address) as other:
        rights = {"categories": ["+@all", "-@scripting"], "keys": ["*"], "channels": ["*"]}
        await other.acl_setuser(name, enabled=True, passwords=["+secret"], **rights)
        try:
            async with open_redis(redis.address.replace("redis://", f"redis://{name}:secret@")) as broker:
                messages = [to_structured(Envelope(f"{n}", "/s", "T.v1", "k", 1, b"{}"), "") for n in range(9)]
                await broker.publish([(name, 0, each) for each in messages])
                assert [each.message for each in await fetched(broker, {(name, 0): 0}, 9)] == messages
        finally:
            await other.acl_deluser(name)


async def test_who_slept_ends_although_the_library_loses_the_cancellation_of_its_reader(redis, name):
    """When a machine wakes, what came meanwhile and the end are there in one tick: the library may take one for the other."""
    async with asyncio.timeout(WITHIN_S):
        async with open_redis(redis.address) as broker:
            await broker.require([name], 1)
            await broker.publish([(name, 0, Message(b"{}"))])
            await fetched(broker, {(name, 0): 0}, 1)
            await asyncio.sleep(0.05)  # for the reader to wait again
            time.sleep(2 * WAIT_MS / 1000)  # noqa: ASYNC251 - the process sleeps, and no task of it knows


async def test_a_server_that_is_not_there_is_said_at_once():
    async with open_redis("redis://127.0.0.1:1") as broker:
        with pytest.raises(Unavailable, match="Redis did not answer"):
            await broker.require(["t"], 1)


@pytest.mark.parametrize(
    ("url", "why"), [("redis://", "names no Redis"), ("redis://h:x", "names no Redis"), ("redis://h?a=1", "'a'")]
)
async def test_an_address_that_is_none_is_refused(url, why):
    with pytest.raises(Invalid, match=why):
        async with open_redis(url):
            pass
