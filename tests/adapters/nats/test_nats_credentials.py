"""Credential files and nkeys against real servers that let nobody in without: an app runs, and what is wrong is said at the start."""

import asyncio
import secrets

import pytest
from nats_keys import ACCOUNT, USER, Company, NatsKey
from nats_server import secure_nats
from wrong_settings import goes_over, refusal

from penstock.adapters.clock.system import SystemClock
from penstock.adapters.nats.broker import open_nats
from penstock.adapters.nats.connecting import address_of
from penstock.core.events.messages import Message
from penstock.errors import Invalid, Unavailable

pytestmark = pytest.mark.timeout(300)  # the first time, a server is built
SETTING = "set credentials=FILE in the setting log, or NATS_CREDENTIALS"


@pytest.fixture(scope="module")
def company():
    return Company()


@pytest.fixture(scope="module")
def by_jwt(company):
    with secure_nats(company.settings) as server:
        yield server


@pytest.fixture(scope="module")
def known():
    return NatsKey(USER)


@pytest.fixture(scope="module")
def by_nkey(known):
    with secure_nats(f"authorization {{ users = [ {{ nkey: {known.public} }} ] }}\n") as server:
        yield server


@pytest.fixture
def prefix():
    return f"p{secrets.token_hex(6)}-"


@pytest.fixture
def written(tmp_path):
    def write(text):
        (tmp_path / "user.creds").write_text(text)
        return tmp_path / "user.creds"

    return write


async def test_an_app_runs_by_a_file_of_credentials(by_jwt, company, written, prefix, tmp_path):
    file = written(company.credentials(NatsKey(USER)))
    await goes_over(f"nats://{by_jwt.hosts}?credentials={file}&prefix={prefix}", tmp_path)


async def test_an_app_runs_by_credentials_of_the_environment(by_jwt, company, written, prefix, tmp_path, monkeypatch):
    text = company.credentials(NatsKey(USER)).replace("\n", "\r\n")
    monkeypatch.setenv("NATS_CREDENTIALS", str(written(text)))
    await goes_over(f"nats://{by_jwt.hosts}?prefix={prefix}", tmp_path)


async def test_an_app_runs_by_an_nkey(by_nkey, known, written, prefix, tmp_path):
    await goes_over(f"nats://{by_nkey.hosts}?nkey={written(known.seed)}&prefix={prefix}", tmp_path)


async def test_an_app_runs_by_an_nkey_of_the_environment(by_nkey, known, prefix, tmp_path, monkeypatch):
    monkeypatch.setenv("NATS_NKEY_SEED", known.seed)
    await goes_over(f"nats://{by_nkey.hosts}?prefix={prefix}", tmp_path)


async def test_credentials_of_another_operator_are_said_with_their_setting(by_jwt, written, caplog):
    user = NatsKey(USER)
    file = written(Company().credentials(user))
    assert SETTING in await refusal(f"nats://{by_jwt.hosts}?credentials={file}", Invalid, caplog, user.seed)


async def test_credentials_that_have_expired_are_said_with_their_setting(by_jwt, company, written, caplog):
    user = NatsKey(USER)
    file = written(company.credentials(user, exp=1_700_000_001))
    assert SETTING in await refusal(f"nats://{by_jwt.hosts}?credentials={file}", Invalid, caplog, user.seed)


async def test_no_credentials_where_some_are_asked_for_are_said(by_jwt, caplog):
    assert "credentials=FILE or nkey=FILE" in await refusal(f"nats://{by_jwt.hosts}", Invalid, caplog)


async def test_a_key_that_the_server_does_not_know_is_said(by_nkey, written, caplog):
    stranger = NatsKey(USER)
    said = await refusal(f"nats://{by_nkey.hosts}?nkey={written(stranger.seed)}", Invalid, caplog, stranger.seed)
    assert "set nkey=FILE in the setting log, or NATS_NKEY_SEED" in said


async def test_who_may_not_make_streams_is_told_so(by_jwt, company, written, caplog):
    user = NatsKey(USER)
    rights = {"pub": {"allow": ["nothing"]}, "sub": {"allow": ["_INBOX.>"]}}
    file = written(company.credentials(user, **rights))
    said = await refusal(f"nats://{by_jwt.hosts}?credentials={file}", Invalid, caplog, user.seed)
    assert "our user's rights" in said


async def test_what_was_replaced_is_taken_at_the_next_connection(by_jwt, company, written, prefix):
    file = written(company.credentials(NatsKey(USER), exp=SystemClock().now_ms() // 1000 + 2))
    async with open_nats(f"nats://{by_jwt.hosts}?credentials={file}&prefix={prefix}") as broker, asyncio.timeout(40):
        await broker.require(["t"], 1)
        await asyncio.to_thread(file.write_text, company.credentials(NatsKey(USER)))
        published = 0
        while published < 35:  # the server ends the connection of who has expired
            try:
                await broker.publish([("t", 0, Message(b"{}"))])
                published += 1
            except Unavailable:
                pass
            await asyncio.sleep(0.1)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "holds no JWT and no seed of a user"),
        ("-----BEGIN NATS USER JWT-----\nabc.def.ghi\n------END NATS USER JWT------\n", "holds no seed of a user"),
        ("-----BEGIN NATS USER JWT-----\n", "holds no JWT and no seed"),
    ],
)
def test_a_file_that_holds_no_credentials_is_refused_without_a_server(written, text, why):
    with pytest.raises(Invalid, match=why):
        address_of(f"nats://h:1?credentials={written(text)}", {})


def test_a_file_that_is_not_there_is_said():
    with pytest.raises(Invalid, match=r"'/no/such' cannot be read: No such file"):
        address_of("nats://h:1?nkey=/no/such", {})


def test_no_part_of_a_seed_that_is_wrong_is_shown(company, written):
    user, text = NatsKey(USER), company.credentials(NatsKey(USER))
    for seed, why in (
        (user.seed[:30] + ("A" if user.seed[30] != "A" else "B") + user.seed[31:], "was cut or changed"),
        (user.seed[:40], "was cut or changed"),
        (NatsKey(ACCOUNT).seed, "holds no seed of a user"),
        ("SU9!", "was cut or changed"),
    ):
        for option, body in (("nkey", seed), ("credentials", text.replace(text.split()[-5], seed))):
            with pytest.raises(Invalid) as refused:
                address_of(f"nats://h:1?{option}={written(body)}", {})
            assert seed[2:] not in str(refused.value)
            assert why in str(refused.value) or option == "credentials"
            assert f"set {option}=FILE" in str(refused.value)


def test_one_way_to_say_who_we_are_is_enough(company, written):
    file = written(company.credentials(NatsKey(USER)))
    with pytest.raises(Invalid, match="by a user, or a token and by credentials"):
        address_of(f"nats://me:pass@h:1?credentials={file}", {})
    address = address_of(f"nats://h:1?credentials={file}", {"NATS_USER": "me", "NATS_PASSWORD": "pass"})
    assert set(address.access.answer("nonce")) == {"sig", "jwt"}
    assert "pass" not in repr(address)
