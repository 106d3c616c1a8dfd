"""A right that is taken from a running app is said, and everything goes on once it is given back: against a real NATS."""

import asyncio
import secrets
import signal

import psutil
import pytest
from log_lines import logged
from nats_server import secure_nats

from penstock.adapters.clock.system import SystemClock
from penstock.adapters.nats.broker import open_nats
from penstock.errors import NotLetIn
from penstock.layers.publishing_later import published_later
from penstock.testing.broker_contract import fetched, text, values

pytestmark = pytest.mark.timeout(300)  # the first time, a server is built
WITHIN_S = 30
USERS = """authorization {{ users = [
  {{ user: app, password: app, permissions: {{ publish: {{ deny: [{publish}] }}, subscribe: {{ deny: [{subscribe}] }} }} }}
  {{ user: other, password: other }}
] }}
"""


class Rules:
    """What the server's file of settings says, while it runs."""

    def __init__(self, server):
        self._server = server

    def forbid(self, *, publish="", subscribe=""):
        given = {"publish": publish, "subscribe": subscribe}
        said = USERS.format(**{name: f'"{each}"' if each else "" for name, each in given.items()})
        (self._server.process.folder / "nats.conf").write_text(said)
        psutil.Process(self._server.process.pid).send_signal(signal.SIGHUP)


@pytest.fixture(scope="module")
def server():
    with secure_nats(USERS.format(publish="", subscribe="")) as found:
        yield found


@pytest.fixture
async def brokers(server):
    prefix = f"p{secrets.token_hex(6)}-"
    async with (
        open_nats(f"nats://app:app@{server.hosts}?prefix={prefix}") as broker,
        open_nats(f"nats://other:other@{server.hosts}?prefix={prefix}") as other,
    ):
        await broker.require(["t"], 1)
        yield broker, other, Rules(server), prefix


async def test_what_is_sent_waits_while_we_may_not_publish(brokers, caplog):
    broker, other, rules, prefix = brokers
    async with published_later(broker, SystemClock()) as later, asyncio.timeout(WITHIN_S):
        await later.publish([("t", 0, text("a"))])
        await later.published()
        rules.forbid(publish=f"{prefix}t.>")
        await until_forbidden(broker)
        await later.publish([("t", 0, text("b")), ("t", 0, text("c"))])
        await logged(caplog, "2 events that were committed wait for the broker: NATS does not let us in for 'publish'")
        assert "set our user's rights" in caplog.text
        rules.forbid()
        await later.published()
        await logged(caplog, "the broker takes again what was committed")
    found = values(await fetched(other, {("t", 0): 0}, 3))
    assert found == [b"a", b"b", b"c"]


async def until_forbidden(broker):
    """Wait until the server has taken up its new rules, by asking what it forbids."""

    async def publishing():
        for _ in range(1000):
            await broker.publish([("t", 0, text("a"))])  # which it knows, and drops
            await asyncio.sleep(0.02)

    with pytest.raises(NotLetIn, match="our user's rights"):
        await publishing()


async def test_the_server_hears_us_again_after_it_let_us_hear_nothing(brokers, caplog):
    broker, _, rules, _ = brokers
    await broker.publish([("t", 0, text("a"))])
    rules.forbid(subscribe="_INBOX.>")
    await until_forbidden(broker)
    rules.forbid()
    async with asyncio.timeout(WITHIN_S):
        while True:
            try:
                await broker.publish([("t", 0, text("b"))])
                break
            except NotLetIn:
                await asyncio.sleep(0.05)
    assert b"b" in values(await fetched(broker, {("t", 0): 0}, 2))


async def test_what_is_there_is_read_once_we_may_read_again(brokers, caplog):
    broker, other, rules, _ = brokers
    await other.publish([("t", 0, text("a"))])
    (first,) = await fetched(broker, {("t", 0): 0}, 1)
    rules.forbid(publish="$JS.API.CONSUMER.>")
    await logged(caplog, "t cannot be read: NATS does not let us in for 'read'")
    await other.publish([("t", 0, text("b"))])
    rules.forbid()
    assert values(await fetched(broker, {("t", 0): first.position}, 1)) == [b"b"]
    await logged(caplog, "t is read again")
