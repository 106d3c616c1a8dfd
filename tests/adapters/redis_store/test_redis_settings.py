"""An app on Redis by its address alone, looking into its store from the command line, and a Redis that is not what it should be."""

import secrets

import pytest
from certificates import Authority
from own_process import free_port
from redis_server import own_redis
from store_faces import StoreByItsAddress, greeted

from penstock import App
from penstock.adapters.redis_store.reader import open_redis_moment, open_redis_reader
from penstock.adapters.redis_store.server import warnings
from penstock.adapters.redis_store.store import open_redis_store
from penstock.core.agents.unit import Writes
from penstock.errors import Invalid, Unavailable
from penstock.settings import Settings
from penstock.testing.commits import value

pytestmark = pytest.mark.timeout(60, func_only=True)


class TestRedisByItsAddress(StoreByItsAddress):
    @pytest.fixture
    def opens(self):
        return open_redis_store

    @pytest.fixture
    def reads(self):
        return open_redis_reader

    @pytest.fixture
    def option(self):
        return "prefix"

    @pytest.fixture
    def extra(self):
        return "redis", "redis", "redis://127.0.0.1"


async def test_redis_alone_is_store_and_log(redis, url):
    log = f"{redis.address}?prefix=log{secrets.token_hex(4)}:&partitions=2"
    settings = Settings(store=url, log=log)
    assert await greeted(settings, "one", "two", "two") == [1, 2, 2]


async def test_a_moment_stays_what_it_was_and_leaves_nothing_behind(url):
    async with open_redis_store(url) as store:
        claim = await store.claim("app")
        await store.commit(claim, 1, Writes(values=[value("x", b"before")]))
        keys = await store._server.client.keys()
        async with open_redis_moment(url) as moment:
            await store.commit(claim, 2, Writes(values=[value("x", b"after"), value("y", b"new")]))
            page = await moment.rows("values", after=b"", limit=9)
            assert [(each.name, each.body) for each in page.rows.values] == [("x", b"before")]
            assert await moment.partitions() == 1
        assert sorted(await store._server.client.keys()) == sorted(keys)


async def test_an_app_with_knowledge_is_refused_before_anything_is_opened(url):
    app = App("knowing")
    app.knowledge("handbook")
    with pytest.raises(Invalid, match="Redis keeps no knowledge, and the app has handbook"):
        async with app.running(Settings(store=url)):
            pass


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("redis://", "names no Redis"),
        ("redis://127.0.0.1:no", "names no Redis"),
        ("redis://127.0.0.1/main", "databases of Redis are numbers"),
        ("redis://127.0.0.1?prefix=a{b", "has the prefix"),
        ("redis://127.0.0.1?schema=a&prefix=", "has the option 'schema'"),
    ],
)
async def test_an_address_that_is_none_is_invalid_with_the_setting(address, problem):
    with pytest.raises(Invalid, match=r"(?s)store: .*") as refusal:
        async with open_redis_store(address):
            pass
    assert problem in str(refusal.value)


async def test_no_server_is_unavailable():
    with pytest.raises(Unavailable):
        async with open_redis_store(f"redis://127.0.0.1:{free_port()}"):
            pass


async def test_a_wrong_password_a_missing_right_and_no_such_database_name_the_setting():
    users = ("--requirepass", "secret", "--user", *["guest", "on", ">guest", "~*", "+@read", "+info"])
    with own_redis(*users) as redis:
        host = redis.address.removeprefix("redis://")
        for who, problem in (
            ("", "does not let us in"),
            (":wrong@", "does not let us in"),
            ("guest:guest@", "give the user"),
        ):
            with pytest.raises(Invalid, match="store: ") as refusal:
                async with open_redis_store(f"redis://{who}{host}"):
                    pass
            assert problem in str(refusal.value)
        with pytest.raises(Invalid, match="name a database that it has"):
            async with open_redis_store(f"redis://:secret@{host}/4711"):
                pass


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (("--maxmemory-policy", "allkeys-lru"), "throws keys away when memory is short"),
        (("--cluster-enabled", "yes"), "is a node of a Redis cluster"),
        (("--replicaof", "127.0.0.1", "1"), "is a replica"),
    ],
)
async def test_a_redis_in_which_no_store_is_safe_is_refused(options, problem):
    with own_redis(*options) as redis, pytest.raises(Invalid, match=problem):
        async with open_redis_store(redis.address):
            pass


@pytest.mark.parametrize(
    ("options", "warning"),
    [
        ((), "keeps no log on disk"),
        (("--appendonly", "yes", "--appendfsync", "everysec"), "last second or two"),
        (("--appendonly", "yes", "--appendfsync", "no"), "half minute"),
        (("--appendonly", "yes", "--appendfsync", "always"), ""),
    ],
)
async def test_what_may_be_lost_is_said_when_the_store_is_opened(options, warning, caplog):
    with own_redis(*options) as redis:
        async with open_redis_store(redis.address):
            pass
    assert warning in caplog.text if warning else not caplog.text


def test_what_is_lost_with_snapshots_is_said():
    assert "everything" in warnings({"aof_enabled": 0, "rdb_last_bgsave_time_sec": -1}, "")[0]
    assert "since its last snapshot" in warnings({"aof_enabled": 0, "rdb_last_bgsave_time_sec": 0}, "")[0]


async def test_a_store_lies_in_a_redis_that_speaks_tls_to_who_knows_its_authority(tmp_path, monkeypatch):
    authority = Authority(tmp_path)
    signed = authority.signed("server")
    files = ("--tls-cert-file", signed.certificate, "--tls-key-file", signed.key, "--tls-ca-cert-file", authority.ca)
    options = [*map(str, files), "--tls-auth-clients", "no", "--requirepass", "s3cret"]
    with own_redis(*options, "--appendonly", "yes", tls=True) as redis:
        monkeypatch.setenv("REDIS_PASSWORD", "s3cret")
        address = f"rediss://{redis.hosts}/0?prefix=t&ssl.ca.location={authority.ca}"
        async with open_redis_store(address) as store:
            assert await store.claim("app")
        for wrong, problem in (
            (f"rediss://{redis.hosts}", "set ssl.ca.location"),
            (address.replace("ss:", "s:"), "write rediss"),
        ):
            with pytest.raises(Invalid, match="store: ") as refused:
                async with open_redis_store(wrong):
                    pass
            assert problem in str(refused.value)
            assert "s3cret" not in str(refused.value)
