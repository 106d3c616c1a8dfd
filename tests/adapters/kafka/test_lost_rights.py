"""A right that is taken from a running app is said, and everything goes on once it is given back: against a real Kafka."""

import asyncio
import secrets
from contextlib import AsyncExitStack
from urllib.parse import quote

import pytest
from certificates import SECRET
from log_lines import logged
from secure_kafka import SCRAM

from penstock.adapters.clock.system import SystemClock
from penstock.adapters.kafka.broker import open_kafka
from penstock.core.events.messages import Message
from penstock.errors import NotLetIn
from penstock.layers.publishing_later import published_later
from penstock.testing.broker_contract import fetched, text, values

pytestmark = pytest.mark.timeout(120)  # a JVM starts
WITHIN_S = 40


@pytest.fixture
def prefix():
    return f"p{secrets.token_hex(6)}-"


@pytest.fixture
def ours(secure, prefix):
    """Give the address for who has a password."""
    address = f"kafka://{SCRAM}:{quote(SECRET, safe='')}@127.0.0.1:{secure.sasl}?ssl.ca.location={secure.authority.ca}"
    return f"{address}&sasl.mechanism=SCRAM-SHA-512&prefix={prefix}"


@pytest.fixture
async def brokers(secure, ours, prefix):
    """Give a broker of a user who has all rights, and one of who may do everything."""
    secure.let(SCRAM, prefix, "READ", "WRITE", "CREATE", "DESCRIBE")
    async with AsyncExitStack() as stack:
        broker = await stack.enter_async_context(open_kafka(ours))
        await broker.require(["t"], 1)
        yield broker, await stack.enter_async_context(open_kafka(f"kafka://127.0.0.1:{secure.plain}?prefix={prefix}"))


async def test_what_is_sent_waits_while_we_may_not_write(secure, brokers, prefix, caplog):
    broker, other = brokers
    async with published_later(broker, SystemClock()) as later:
        await later.publish([("t", 0, text("a"))])
        await later.published()
        secure.take(SCRAM, prefix)
        secure.let(SCRAM, prefix, "READ", "DESCRIBE")
        await later.publish([("t", 0, text("b")), ("t", 0, text("c"))])
        await logged(caplog, f"our user may not WRITE (kafka-acls --add --operation WRITE --topic {prefix}t)")
        await logged(caplog, "2 events that were committed wait for the broker")
        secure.let(SCRAM, prefix, "WRITE")
        async with asyncio.timeout(WITHIN_S):
            await later.published()
        await logged(caplog, "Kafka lets us in again")
    assert values(await fetched(other, {("t", 0): 0}, 3)) == [b"a", b"b", b"c"]


async def test_what_is_there_is_read_once_we_may_read_again(secure, brokers, prefix, caplog):
    broker, other = brokers
    await other.publish([("t", 0, text("a"))])
    assert values(await fetched(broker, {("t", 0): 0}, 1)) == [b"a"]
    secure.take(SCRAM, prefix)
    secure.let(SCRAM, prefix, "WRITE", "DESCRIBE")
    await logged(caplog, f"our user may not READ (kafka-acls --add --operation READ --topic {prefix}t)")
    await other.publish([("t", 0, text("b"))])
    secure.let(SCRAM, prefix, "READ")
    await logged(caplog, "Kafka lets us in again")
    assert values(await fetched(broker, {("t", 0): 1}, 1)) == [b"b"]


async def test_all_goes_on_after_all_rights_were_away(secure, brokers, prefix, caplog):
    broker, other = brokers
    await broker.publish([("t", 0, text("a"))])
    assert values(await fetched(broker, {("t", 0): 0}, 1)) == [b"a"]
    secure.take(SCRAM, prefix)
    await asyncio.to_thread(broker._sending.producer.list_topics, f"{prefix}t", 5)  # as it does by itself now and then
    with pytest.raises(NotLetIn, match=rf"kafka-acls .* --topic {prefix}t"):
        await broker.publish([("t", 0, text("b"))])
    await logged(caplog, "our user may not READ and WRITE")
    await other.publish([("t", 0, text("c"))])
    secure.let(SCRAM, prefix, "READ", "WRITE", "DESCRIBE")
    await logged(caplog, "Kafka lets us in again")
    await broker.publish([("t", 0, text("b"))])
    assert values(await fetched(broker, {("t", 0): 1}, 2)) == [b"c", b"b"]


async def test_that_the_group_may_not_be_told_is_said(secure, ours, prefix, caplog):
    secure.let(SCRAM, prefix, "READ", "WRITE", "CREATE", "DESCRIBE", group=f"{prefix}g")
    async with open_kafka(f"{ours}&group={prefix}g") as broker:
        await broker.require(["t"], 1)
        await broker.publish([("t", 0, Message(b"{}")) for _ in range(100)])
        await fetched(broker, {("t", 0): 0}, 100)
        secure.take(SCRAM, group=f"{prefix}g")
        await receiving(broker, range(1, 50), caplog, "Kafka's tools do not see how far was received")
        secure.let(SCRAM, prefix, group=f"{prefix}g")
        await receiving(broker, range(50, 99), caplog, "Kafka's tools see again how far was received")


async def receiving(broker, positions, caplog, what):
    """Receive one after the other until something is logged."""
    for position in positions:
        if what in caplog.text:
            return
        await broker.fetch({("t", 0): position}, limit=9)
        await asyncio.sleep(0.5)
    raise AssertionError(caplog.text)
