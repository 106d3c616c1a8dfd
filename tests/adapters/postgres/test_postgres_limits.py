"""Schemas that are not ours, servers that refuse, texts and sizes that Postgres cannot keep."""

import asyncio
import random
import socket
from contextlib import closing

import pytest
from postgres_server import ask, schema_of

from penstock.adapters.postgres import database as connections
from penstock.adapters.postgres.address import Address, address_of
from penstock.adapters.postgres.schema import FORMAT
from penstock.adapters.postgres.store import open_postgres_store
from penstock.adapters.postgres.texts import digest, stored, told
from penstock.core.agents.unit import SessionDelta, ValueWrite, Writes
from penstock.errors import Invalid, Missing, Refused, Unavailable
from penstock.testing.commits import (
    NOW_MS,
    change,
    delta,
    expect_nothing_of_each,
    expect_one_of_each,
    one_of_each,
)

pytestmark = pytest.mark.timeout(60, func_only=True)


@pytest.fixture
async def store(url):
    async with open_postgres_store(url) as opened:
        yield opened


async def opened_and_closed(url):
    async with open_postgres_store(url):
        pass


# schemas


async def test_many_may_open_a_new_store_at_the_same_moment(url):
    await asyncio.gather(*(opened_and_closed(url) for _ in range(6)))
    async with open_postgres_store(url) as store:
        assert (await store.claim("w")).epoch == 1


async def test_stores_in_two_schemas_of_one_database_do_not_see_each_other(other_url, store):
    claim = await store.claim("w")
    async with open_postgres_store(other_url) as other:
        await other.commit(await other.claim("w"), 1, one_of_each())
        await expect_nothing_of_each(store)
        await store.commit(claim, 1, one_of_each())
        await expect_one_of_each(other)


async def test_a_schema_of_another_program_is_refused_and_left_alone(url, server):
    schema = schema_of(url)
    await ask(server.dsn, f"CREATE SCHEMA {schema}", f"CREATE TABLE {schema}.bookmark (url text)")
    with pytest.raises(Invalid, match="another program"):
        await opened_and_closed(url)
    tables = await ask(server.dsn, f"SELECT tablename FROM pg_tables WHERE schemaname = '{schema}'")
    assert tables == [("bookmark",)]


async def test_an_empty_schema_becomes_a_store(url, server):
    await ask(server.dsn, f"CREATE SCHEMA {schema_of(url)}")
    async with open_postgres_store(url) as store:
        await store.commit(await store.claim("w"), 1, one_of_each())
        await expect_one_of_each(store)


async def test_a_newer_format_is_refused_with_what_to_do(url, server):
    await opened_and_closed(url)
    await ask(server.dsn, f"UPDATE {schema_of(url)}.penstock_format SET number = {FORMAT + 1}")
    with pytest.raises(Invalid, match=r"format: is 3, .* \(open it with the version of penstock that wrote it"):
        await opened_and_closed(url)


@pytest.mark.parametrize("name", ["A", "1a", "a-b", 'a"b', "a b", "pg_temp", "a" * 41, "a;b"])
def test_a_schema_that_would_need_quotes_is_refused(name):
    with pytest.raises(Invalid, match="schema"):
        address_of("postgresql://localhost/app", name)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://u:p@h:1/d", Address("postgresql://u:p@h:1/d", "penstock")),
        ("postgres://h/d?schema=a", Address("postgres://h/d", "a")),
        ("postgresql://h/d?sslmode=require&schema=a", Address("postgresql://h/d?sslmode=require", "a")),
        ("postgresql:///d?host=%2Frun%2Fpg", Address("postgresql:///d?host=%2Frun%2Fpg", "penstock")),
    ],
)
def test_the_schema_is_taken_out_of_the_address(url, expected):
    assert address_of(url) == expected


@pytest.mark.parametrize("url", ["mysql://h/d", "postgresql://h:port/d", "h/d", ""])
def test_what_is_no_address_is_not_valid(url):
    with pytest.raises(Invalid, match="postgresql://USER@HOST:PORT/DATABASE"):
        address_of(url)


async def test_a_database_that_cannot_hold_every_text_is_refused(own_server, url):
    await ask(
        own_server.dsn,
        "DROP DATABASE IF EXISTS latin",
        "CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0",
    )
    with pytest.raises(Invalid, match="createdb --encoding=UTF8"):
        await opened_and_closed(url.replace("/postgres?", "/latin?"))


# servers


async def test_where_no_server_listens_is_unavailable():
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(Unavailable, match="postgres did not answer 'connecting'"):
        await opened_and_closed(f"postgresql://nobody@127.0.0.1:{port}/app")


async def test_a_database_that_is_not_there_is_missing(own_server):
    with pytest.raises(Missing, match="createdb"):
        await opened_and_closed(own_server.dsn.replace("/postgres?", "/that_is_not_there?"))


async def test_a_user_who_is_not_known_is_refused(own_server):
    with pytest.raises(Refused, match="check the user"):
        await opened_and_closed(own_server.dsn.replace("//postgres", "//nobody"))


async def test_a_user_without_rights_is_refused_with_what_to_grant(own_server, url):
    await ask(own_server.dsn, "DROP ROLE IF EXISTS guest", "CREATE ROLE guest LOGIN")
    with pytest.raises(Refused, match="grant the user of the setting `store` the rights"):
        await opened_and_closed(url.replace("//postgres", "//guest"))


async def test_a_commit_is_on_the_disk_also_where_the_database_would_not_wait_for_it(own_server, url):
    await ask(own_server.dsn, "ALTER ROLE postgres SET synchronous_commit = off")
    try:
        async with connections.open_database(address_of(url)) as database:
            assert await database.ask("show", lambda each: each.fetchval("SHOW synchronous_commit")) == "on"
    finally:
        await ask(own_server.dsn, "ALTER ROLE postgres RESET synchronous_commit")


async def test_more_questions_at_once_than_connections_wait_for_their_turn(store, server, url):
    claim = await store.claim("w")
    await store.commit(claim, 1, Writes(runs=[change("e:a")]))
    found = await asyncio.gather(*(store.run("e:a") for _ in range(20 * connections.CONNECTIONS_MAX)))
    assert {each.change.run_id for each in found} == {"e:a"}
    (count,) = await ask(server.dsn, f"SELECT count(*) FROM pg_locks WHERE relation = '{schema_of(url)}.run'::regclass")
    assert count == (0,)


async def test_a_statement_that_takes_too_long_is_ended_and_unavailable(url):
    async with connections.open_database(address_of(url)) as database:

        async def slow(connection):
            await connection.execute("SET statement_timeout = 50")
            await connection.execute("SELECT pg_sleep(30)")

        with pytest.raises(Unavailable, match="statement timeout"):
            await database.ask("sleeping", slow)


async def test_a_claim_that_another_program_holds_is_unavailable(url, store):
    claim = await store.claim("w")
    async with connections.open_database(address_of(url)) as database:

        async def blocked(connection):
            await connection.execute("SELECT FROM owner FOR UPDATE")

            async def impatient(other):
                await other.execute("SET lock_timeout = 50")
                await other.execute("UPDATE owner SET number = 7")

            with pytest.raises(Unavailable, match="lock timeout"):
                await database.ask("waiting", impatient)

        await database.transact("blocking", blocked)
    await store.commit(claim, 1, one_of_each())
    await expect_one_of_each(store)


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        ("08006", Unavailable),
        ("40P01", Unavailable),
        ("53100", Unavailable),
        ("53300", Unavailable),
        ("57P01", Unavailable),
        ("57P03", Unavailable),
        ("25006", Unavailable),
        ("28P01", Refused),
        ("42501", Refused),
        ("54000", Refused),
        ("42601", Refused),
        ("3D000", Missing),
        ("42P01", Missing),
        ("XX001", Invalid),
    ],
)
def test_each_state_of_the_server_is_an_error_of_ours(state, kind):
    class Foreign(Exception):
        sqlstate = state

    assert type(connections.translated(Foreign("why"), "commit")) is kind


# texts and sizes


@pytest.mark.parametrize("text", ["", "\\", "\0", "\\0", "\0\\", "\\\\0", "a\\\0b\\0c\0\\", "plain / text."])
def test_each_text_is_told_as_it_was(text):
    assert told(stored(text)) == text
    assert "\0" not in stored(text)


def test_texts_made_of_backslashes_and_zeros_stay_apart_and_keep_their_prefixes():
    texts = [bytes(chosen).decode() for chosen in _words(b"\0\\0.", 5)]
    assert len({stored(text) for text in texts}) == len(texts)
    assert all(told(stored(text)) == text for text in texts)
    assert all(stored(f"{text}.x").startswith(stored(text)) for text in texts)


def _words(letters, length):
    words = [()]
    for _ in range(length):
        words = [(*word, letter) for word in words for letter in letters]
    return words


def test_names_together_have_a_digest_of_their_own():
    names = [("a", "bc"), ("ab", "c"), ("abc",), ("", "abc"), ("abc", ""), ("a", "b", "c")]
    assert len({digest(*each) for each in names}) == len(names)


async def test_long_names_that_cannot_be_packed_are_kept(store):
    chance = random.Random(1)  # the same names each time
    tenant, agent, key, name = ("".join(chr(chance.randint(0x100, 0xD7FF)) for _ in range(3000)) for _ in range(4))
    claim = await store.claim("w")
    session = SessionDelta(tenant, key, 0, 2, delta(0, 2).body, NOW_MS + 1)
    await store.commit(claim, 1, Writes(values=[ValueWrite(tenant, agent, key, name, b"1")], sessions=[session]))
    assert await store.values(tenant, agent, key) == {name: b"1"}
    assert (await store.history(tenant, key, now_ms=NOW_MS)).number == 2
    run = "".join(chr(chance.randint(0x100, 0xD7FF)) for _ in range(3000))
    with pytest.raises(Refused, match="shorter names"):
        await store.commit(claim, 2, Writes(runs=[change(run)]))
