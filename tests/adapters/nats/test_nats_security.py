"""A NATS with TLS, passwords, tokens, certificates and rules: an app runs over it, and what is wrong is said, with the setting."""

import asyncio
import secrets

import pytest
from certificates import SECRET, Authority
from nats_server import secure_nats
from secured_brokers import WRITTEN, Secured, SecuredBrokerContract
from wrong_settings import goes_over, refusal

from penstock.adapters.nats.broker import open_nats
from penstock.adapters.nats.connecting import address_of
from penstock.errors import Invalid

pytestmark = pytest.mark.timeout(300)  # the first time, a server is built
TOKEN = "t0ken-of-the-app"
USERS = f"""authorization {{ users = [
  {{ user: app, password: "{SECRET}" }},
  {{ user: guest, password: "{SECRET}", permissions: {{ publish: ["nothing"], subscribe: ["_INBOX.>"] }} }}
] }}
"""


def tls_of(authority, *, verify):
    signed = authority.signed("server")
    files = f'cert_file: "{signed.certificate}", key_file: "{signed.key}", ca_file: "{authority.ca}"'
    return f"tls {{ {files}, verify: {str(verify).lower()} }}\n"


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def secure(authority):
    with secure_nats(tls_of(authority, verify=False) + USERS) as server:
        yield server


@pytest.fixture(scope="module")
def mutual(authority):
    with secure_nats(tls_of(authority, verify=True)) as server:
        yield server


@pytest.fixture(scope="module")
def by_token():
    with secure_nats(f'authorization {{ token: "{TOKEN}" }}\n') as server:
        yield server


@pytest.fixture
def secured(secure, mutual, authority):
    by_password = f"nats://app:{{password}}@{secure.hosts}"
    return Secured(authority, "NATS", "nats", by_password, f"tls://{mutual.hosts}", "NATS_USER and NATS_PASSWORD")


@pytest.fixture
def prefix():
    return f"p{secrets.token_hex(6)}-"


class TestNatsSecured(SecuredBrokerContract):
    pass


async def test_an_app_runs_with_a_token_from_the_environment(by_token, prefix, tmp_path, monkeypatch):
    monkeypatch.setenv("NATS_TOKEN", TOKEN)
    await goes_over(f"nats://{by_token.hosts}?prefix={prefix}", tmp_path)


async def test_a_wrong_token_is_said_with_its_setting(by_token, caplog):
    assert "NATS_TOKEN" in await refusal(f"nats://wr0ng@{by_token.hosts}", Invalid, caplog, "wr0ng")


async def test_speaking_plainly_to_tls_is_said(secure, caplog):
    # The library speaks TLS as soon as the server asks for it, and then the server's authority is not known.
    assert "ssl.ca.location" in await refusal(f"nats://app:{WRITTEN}@{secure.hosts}", Invalid, caplog, SECRET)


async def test_who_we_are_is_not_told_in_the_clear_where_tls_is_asked_for(authority, caplog):
    heard = bytearray()

    async def listen(reader, writer):
        writer.write(
            b'INFO {"server_id":"x","version":"2.10.0","headers":true,"auth_required":true,"max_payload":1048576}\r\n'
        )
        while piece := await reader.read(1000):
            heard.extend(piece)
            writer.write(b"PONG\r\n")
        writer.close()

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    said = await refusal(
        f"nats://app:{WRITTEN}@127.0.0.1:{port}?ssl.ca.location={authority.ca}", Invalid, caplog, SECRET
    )
    assert "without TLS" in said
    assert SECRET.encode() not in heard
    server.close()


async def test_a_server_without_streams_is_said(caplog):
    with secure_nats("", streams=False) as server:
        assert "set jetstream" in await refusal(server.address, Invalid, caplog)


async def test_a_user_without_rights_is_told_so(secure, authority, caplog):
    said = await refusal(
        f"nats://guest:{WRITTEN}@{secure.hosts}?ssl.ca.location={authority.ca}", Invalid, caplog, SECRET
    )
    assert "set our user's rights" in said
    assert "$JS.API" in said


async def test_more_copies_than_there_are_servers_are_said(by_token, prefix, caplog):
    said = await refusal(f"nats://{TOKEN}@{by_token.hosts}?prefix={prefix}&replicas=3", Invalid, caplog, TOKEN)
    assert "replicas=" in said


async def test_streams_that_others_make_are_not_made(by_token, prefix, caplog):
    said = await refusal(f"nats://{TOKEN}@{by_token.hosts}?prefix={prefix}&create=no", Invalid, caplog, TOKEN)
    assert f"make the stream {prefix}ordered with the subjects {prefix}ordered.0 to {prefix}ordered.7" in said


async def test_how_long_messages_are_kept_is_said_in_the_address(by_token, prefix):
    async with open_nats(f"nats://{TOKEN}@{by_token.hosts}?prefix={prefix}&retention_s=60") as broker:
        await broker.require(["t"], 1)
        assert (await broker._streams.stream_info(f"{prefix}t")).config.max_age == 60


def test_an_address_is_not_shown_with_its_secrets():
    assert "pass" not in repr(address_of("nats://pass@h:1", {}))
    for wrong in ("nats://me:pa/ss@h:1", "nats://pa/ss@h:1", "nats://me:pass@h:1,,"):
        with pytest.raises(Invalid) as refused:
            address_of(wrong, {})
        assert "pa/ss" not in str(refused.value)
        assert "pass@" not in str(refused.value)
