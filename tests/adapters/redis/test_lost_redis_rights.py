"""A right that is taken from a running app is said, and everything goes on once it is given back: against a real Redis."""

import asyncio
import secrets

import pytest
from log_lines import logged
from redis import asyncio as client
from redis_server import own_redis

from penstock.adapters.clock.system import SystemClock
from penstock.adapters.redis.broker import open_redis
from penstock.layers.publishing_later import published_later
from penstock.testing.broker_contract import fetched, text, values

pytestmark = pytest.mark.timeout(60)
WITHIN_S = 30
RIGHTS = "+@stream +@hash +@connection +time"


@pytest.fixture(scope="module")
def server():
    with own_redis("--appendonly", "yes", "--user", "app", "on", ">app", "~penstock-*", *RIGHTS.split()) as found:
        yield found


@pytest.fixture
async def brokers(server):
    """Give a broker of a user with rights, one of who may do everything, and what changes rights."""
    prefix = f"penstock-{secrets.token_hex(6)}:"
    rules = client.Redis(host=server.hosts.partition(":")[0], port=int(server.hosts.partition(":")[2]))
    async with (
        open_redis(f"redis://app:app@{server.hosts}?prefix={prefix}") as broker,
        open_redis(f"redis://{server.hosts}?prefix={prefix}") as other,
    ):
        await broker.require(["t"], 1)
        yield broker, other, lambda *said: rules.execute_command("ACL", "SETUSER", "app", *said)
    await rules.aclose()


async def test_what_is_sent_waits_while_we_may_not_write(brokers, caplog):
    broker, other, let = brokers
    async with published_later(broker, SystemClock()) as later, asyncio.timeout(WITHIN_S):
        await let("-xadd")
        await later.publish([("t", 0, text("a")), ("t", 0, text("b"))])
        await logged(caplog, "2 events that were committed wait for the broker: Redis does not let us in for 'publish'")
        assert "set the user's rights" in caplog.text
        await let("+xadd")
        await later.published()
        await logged(caplog, "the broker takes again what was committed")
    assert values(await fetched(other, {("t", 0): 0}, 2)) == [b"a", b"b"]


async def test_what_is_there_is_read_once_we_may_read_again(brokers, caplog):
    broker, other, let = brokers
    await let("-xread")
    await other.publish([("t", 0, text("a"))])
    assert list(await broker.fetch({("t", 0): 0}, limit=9)) == []
    await logged(caplog, "Redis does not let us in for 'read'")
    await let("+xread")
    assert values(await fetched(broker, {("t", 0): 0}, 1)) == [b"a"]
    await logged(caplog, "Redis is read again")
    assert caplog.text.count("for 'read'") == 1
