"""A Redis with TLS, users and rules: an app runs over it, and what is wrong is said, with the setting."""

import asyncio
import gc
import secrets
import socket
import threading
import time
from contextlib import contextmanager, suppress

import pytest
from certificates import SECRET, Authority
from redis import asyncio as client
from redis_server import own_redis
from secured_brokers import WRITTEN, Secured, SecuredBrokerContract
from wrong_settings import goes_over, refusal

from penstock.adapters.redis.address import address_of
from penstock.adapters.redis.broker import open_redis
from penstock.errors import Invalid

pytestmark = pytest.mark.timeout(60)
USERS = [
    *("--appendonly", "yes", "--requirepass", SECRET),
    *("--user", "app", "on", f">{SECRET}", "~penstock-*", "+@stream", "+@hash", "+@connection", "+time"),
    *("--user", "reader", "on", f">{SECRET}", "~penstock-*", "+@read", "+@hash", "+@connection"),
]


def tls_of(authority, *, clients):
    signed = authority.signed("server")
    files = ["--tls-cert-file", signed.certificate, "--tls-key-file", signed.key, "--tls-ca-cert-file", authority.ca]
    return [*map(str, files), "--tls-auth-clients", "yes" if clients else "no"]


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def secure(authority):
    with own_redis(*tls_of(authority, clients=False), *USERS, tls=True) as server:
        yield server


@pytest.fixture(scope="module")
def mutual(authority):
    with own_redis(*tls_of(authority, clients=True), "--appendonly", "yes", tls=True) as server:
        yield server


@pytest.fixture
def secured(secure, mutual, authority):
    by_password = f"rediss://app:{{password}}@{secure.hosts}"
    access = "REDIS_USERNAME and REDIS_PASSWORD"
    return Secured(authority, "Redis", "redis", by_password, f"rediss://{mutual.hosts}", access)


@pytest.fixture
def prefix():
    return f"penstock-{secrets.token_hex(6)}:"


class TestRedisSecured(SecuredBrokerContract):
    """The user of this one has few rights: those that docs/deploy/cluster.md names."""


async def test_an_app_runs_with_a_password_from_the_environment(secure, authority, prefix, tmp_path, monkeypatch):
    monkeypatch.setenv("REDIS_PASSWORD", SECRET)
    await goes_over(f"rediss://{secure.hosts}/0?ssl.ca.location={authority.ca}&prefix={prefix}", tmp_path)


async def test_no_password_is_said_with_its_setting(secure, authority, caplog):
    said = await refusal(f"rediss://{secure.hosts}?ssl.ca.location={authority.ca}", Invalid, caplog)
    assert "REDIS_PASSWORD" in said


async def test_speaking_plainly_to_tls_is_said(secure, caplog):
    assert "rediss://" in await refusal(f"redis://app:{WRITTEN}@{secure.hosts}", Invalid, caplog, SECRET)


async def test_speaking_tls_to_who_has_none_is_said(redis, caplog):
    assert "speaks no TLS" in await refusal(f"rediss://app:{WRITTEN}@{redis.hosts}", Invalid, caplog, SECRET)


async def test_a_user_without_rights_is_told_so_at_the_start(secure, authority, prefix, caplog):
    address = f"rediss://reader:{WRITTEN}@{secure.hosts}?ssl.ca.location={authority.ca}&prefix={prefix}"
    assert "+@stream" in await refusal(address, Invalid, caplog, SECRET)


async def test_trying_our_rights_leaves_nothing_behind(redis, prefix):
    async with open_redis(f"{redis.address}?prefix={prefix}") as broker:
        await broker.require(["t"], 1)
    async with client.Redis.from_url(redis.address) as other:
        assert [each async for each in other.scan_iter(f"{prefix}*")] == [f"{prefix}topics".encode()]


async def test_topics_that_others_make_are_not_made(redis, prefix, caplog):
    said = await refusal(f"{redis.address}?prefix={prefix}&create=no", Invalid, caplog)
    assert f"HSET {prefix}topics ordered 8" in said


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("redis://h,i", "names 2 servers"),
        ("redis://h/main", "databases of Redis are numbers"),
        ("redis://h?ssl.ca.location=/etc/hosts", "write rediss://"),
        ("rediss://h?ssl.ca.location=/no/such", "there is no file '/no/such'"),
        ("redis://h?retention_s=0", "retention_s=0"),
    ],
)
def test_an_address_that_cannot_be_is_refused(url, why):
    with pytest.raises(Invalid, match=why):
        address_of(url, {})


def test_an_address_is_not_shown_with_its_secrets():
    assert "pass" not in repr(address_of("redis://me:pass@h:1", {}))
    for wrong in ("redis://me:pa/ss@h:1", "redis://me:pass@h:x"):
        with pytest.raises(Invalid) as refused:
            address_of(wrong, {})
        assert "pa/ss" not in str(refused.value)
        assert "pass@" not in str(refused.value)


@contextmanager
def slow_way(hosts):
    """Lead to a server whose answers take a moment."""
    host, _, port = hosts.rpartition(":")

    def passed(source, target, after_s):
        with suppress(OSError):
            while piece := source.recv(65_536):
                time.sleep(after_s)
                target.sendall(piece)
        for each in (source, target):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def joined(here):
        with here, socket.create_connection((host, int(port))) as there:
            back = threading.Thread(target=passed, args=(there, here, 0.03))
            back.start()
            passed(here, there, 0)
            back.join()

    def accepted(listener, ways):
        with suppress(OSError):
            while True:
                ways.append(threading.Thread(target=joined, args=listener.accept()[:1]))
                ways[-1].start()

    ways = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        accepting = threading.Thread(target=accepted, args=(listener, ways))
        accepting.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
        accepting.join()
    for each in ways:
        each.join()


@pytest.mark.parametrize("password", ["wrong", WRITTEN])
def test_no_connection_is_left_open_by_who_leaves_in_haste(secure, authority, password):
    """Over TLS a connection that is closed is closed a moment later."""

    async def visit(hosts):
        url = f"rediss://app:{password}@{hosts}?ssl.ca.location={authority.ca}&prefix=penstock-"
        try:
            async with open_redis(url) as broker:
                await broker.require(["t"], 1)
                await broker.fetch({("t", 0): 0}, limit=1)
                await asyncio.sleep(0.2)  # it waits for what comes
        except* Invalid:
            assert password == "wrong"

    with slow_way(secure.hosts) as hosts:
        loop = asyncio.new_event_loop()
        try:
            loop.run_until_complete(visit(hosts))
        finally:
            loop.close()  # at once, as no process does that ends well
        gc.collect()
