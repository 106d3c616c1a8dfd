"""A Kafka with TLS, passwords, certificates and rules: an app runs over it, and what is wrong is said, with the setting."""

import secrets

import pytest
from certificates import SECRET
from secure_kafka import PLAIN, SCRAM
from secured_brokers import WRITTEN, Secured, SecuredBrokerContract
from wrong_settings import goes_over, refusal

from penstock.adapters.kafka.address import address_of
from penstock.adapters.kafka.broker import open_kafka
from penstock.errors import Invalid
from penstock.settings import shown_url

pytestmark = pytest.mark.timeout(120)  # a JVM starts
ALL = ("READ", "WRITE", "CREATE", "DESCRIBE")


@pytest.fixture
def prefix():
    return f"p{secrets.token_hex(6)}-"


@pytest.fixture
def secured(secure):
    by_password = f"kafka://{PLAIN}:{{password}}@127.0.0.1:{secure.sasl}"
    by_certificate = f"kafka://127.0.0.1:{secure.mutual}"
    return Secured(secure.authority, "Kafka", "kafka", by_password, by_certificate, "KAFKA_USERNAME, KAFKA_PASSWORD")


class TestKafkaSecured(SecuredBrokerContract):
    pass


@pytest.fixture
def sasl(secure):
    """Return the address for who has a password."""

    def address(user, *options, password=WRITTEN, ca=secure.authority.ca):
        return f"kafka://{user}:{password}@127.0.0.1:{secure.sasl}?" + "&".join(
            [f"ssl.ca.location={ca}", f"sasl.mechanism={'PLAIN' if user == PLAIN else 'SCRAM-SHA-512'}", *options]
        )

    return address


async def test_an_app_runs_over_tls_with_a_password_that_is_kept_as_scram(secure, sasl, prefix, tmp_path):
    secure.let(SCRAM, prefix, *ALL)
    await goes_over(sasl(SCRAM, f"prefix={prefix}"), tmp_path)


async def test_an_app_runs_over_tls_with_a_plain_password_from_the_environment(secure, prefix, tmp_path, monkeypatch):
    monkeypatch.setenv("KAFKA_USERNAME", PLAIN)
    monkeypatch.setenv("KAFKA_PASSWORD", SECRET)
    where = f"127.0.0.1:{secure.sasl}?ssl.ca.location={secure.authority.ca}"
    await goes_over(f"kafka://{where}&prefix={prefix}", tmp_path)


async def test_a_wrong_password_is_said_where_it_is_kept_as_scram(sasl, caplog):
    said = await refusal(sasl(SCRAM, password="wr0ng%2Fone"), Invalid, caplog, "wr0ng/one")
    assert "set KAFKA_USERNAME, KAFKA_PASSWORD" in said


async def test_a_mechanism_that_the_server_does_not_have_is_said(secure, caplog):
    address = f"kafka://u:{WRITTEN}@127.0.0.1:{secure.sasl}?ssl.ca.location={secure.authority.ca}"
    said = await refusal(f"{address}&sasl.mechanism=SCRAM-SHA-256", Invalid, caplog, SECRET)
    assert "sasl.mechanism" in said


async def test_speaking_plainly_to_tls_is_said(secure, caplog):
    assert "set security.protocol" in await refusal(f"kafka://127.0.0.1:{secure.sasl}", Invalid, caplog)


async def test_speaking_tls_to_who_has_none_is_said(secure, caplog):
    address = f"kafka://{PLAIN}:{WRITTEN}@127.0.0.1:{secure.plain}?security.protocol=SASL_SSL"
    assert "security.protocol" in await refusal(address, Invalid, caplog, SECRET)


async def test_a_user_without_rights_is_told_which_and_for_which_topics(secure, sasl, prefix, caplog):
    said = await refusal(sasl("guest", f"prefix={prefix}"), Invalid, caplog, SECRET)
    for topic in ("ordered", "packed", "shipped"):
        assert f"{topic}: is not there, and our user may not make it" in said
        assert f"kafka-topics --create --topic {prefix}{topic} --partitions 8" in said


async def test_a_user_who_may_only_read_is_told_so_at_the_start(secure, sasl, prefix, caplog):
    async with open_kafka(f"kafka://127.0.0.1:{secure.plain}?prefix={prefix}") as broker:
        await broker.require(["ordered", "packed", "shipped"], 8)
    secure.let("reader", prefix, "READ", "DESCRIBE")
    said = await refusal(sasl("reader", f"prefix={prefix}"), Invalid, caplog, SECRET)
    for topic in ("ordered", "packed", "shipped"):
        assert f"{topic}: our user may not WRITE (kafka-acls --add --operation WRITE --topic {prefix}{topic})" in said


async def test_topics_that_others_make_are_not_made(secure, prefix, caplog):
    said = await refusal(f"kafka://127.0.0.1:{secure.plain}?prefix={prefix}&create=no", Invalid, caplog)
    assert "ordered: is not there, and is not made (create=no)" in said
    assert "shipped: is not there" in said


async def test_more_copies_than_there_are_brokers_are_said_with_the_setting(secure, prefix, caplog):
    said = await refusal(f"kafka://127.0.0.1:{secure.plain}?prefix={prefix}&replication=3", Invalid, caplog)
    assert "ordered: cannot be made" in said
    assert "replication=" in said


@pytest.mark.parametrize(
    "address",
    [
        "kafka://me:pa/ss@h:1",
        "kafka://me:pa?ss@h:1",
        "kafka://me:pa#ss@h:1",
        "kafka://me:ss@h:1,,",
        "kafka://me:ss@h:1?x=ss&y=ss@h",
        "kafka://me:ss@[h:1",
        "kafka://me:ss@h:1?replication=ss",
    ],
)
def test_a_password_is_not_shown_by_what_is_wrong_with_its_address(address):
    with pytest.raises(Invalid) as refused:
        address_of(address.replace("replication=ss", "replication=no"), {})
    assert "ss@" not in str(refused.value)
    assert "pa/ss" not in str(refused.value)
    assert "me:" not in str(refused.value)


def test_an_address_is_not_shown_with_what_is_secret():
    address = address_of("kafka://me:pass@h:1?ssl.key.password=pass", {"KAFKA_KEY_PASSWORD": "pass"})
    assert "pass" not in repr(address)
    for url in (
        "kafka://me:pass@h:1",
        "nats://pass@h:1",
        "kafka://h?sasl.password=pass&a=1",
        "kafka://h?x.secret=pass",
    ):
        assert "pass@" not in shown_url(url)
        assert "=pass" not in shown_url(url)


def test_files_of_tls_alone_ask_for_tls():
    settings = address_of("kafka://h:1?ssl.ca.location=ca.pem", {}).settings
    assert settings["security.protocol"] == "SSL"
    with pytest.raises(Invalid, match=r"add ssl\.certificate\.location=FILE"):
        address_of("kafka://h:1?ssl.key.location=key.pem", {})


def test_how_topics_are_made_is_said_in_the_address():
    address = address_of("kafka://h:1?retention_s=60&compacted=a,b&create=no", {})
    assert address.config_of("a") == {"cleanup.policy": "compact"}
    assert address.config_of("c") == {"retention.ms": "60000"}
    assert not address.creates
    for wrong in ("retention_s=0", "retention_s=long", "create=perhaps"):
        with pytest.raises(Invalid, match=wrong):
            address_of(f"kafka://h:1?{wrong}", {})
