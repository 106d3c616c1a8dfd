"""An app on Postgres by its address alone, and looking into its store from the command line."""

import asyncio

import pytest
from postgres_server import ask, schema_of
from store_faces import StoreByItsAddress, greeted, said

from penstock.adapters.postgres.reader import open_postgres_reader
from penstock.adapters.postgres.store import open_postgres_store
from penstock.settings import Settings, shown_url

pytestmark = pytest.mark.timeout(60, func_only=True)


class TestPostgresByItsAddress(StoreByItsAddress):
    @pytest.fixture
    def opens(self):
        return open_postgres_store

    @pytest.fixture
    def reads(self):
        return open_postgres_reader

    @pytest.fixture
    def option(self):
        return "schema"

    @pytest.fixture
    def extra(self):
        return "asyncpg", "postgres", "postgresql://127.0.0.1/app"


async def test_both_names_of_the_scheme_lead_to_one_store(url):
    other = f"postgres:{url.partition(':')[2]}"
    assert await greeted(Settings(store=url), "one") == [1]
    assert await greeted(Settings(store=other), "one", "two") == [1, 2]


def test_to_look_at_a_store_that_is_not_there_makes_no_schema(url, server):
    said("runs", "list", "--store", url, code=2)
    assert asyncio.run(ask(server.dsn, f"SELECT FROM pg_namespace WHERE nspname = '{schema_of(url)}'")) == []


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://ada:se:c/r@t@h:1/d", "postgresql://ada:***@h:1/d"),
        ("postgresql://ada@h/d?password=secret&schema=a", "postgresql://ada@h/d?password=***&schema=a"),
        ("postgresql://ada@h:5432/d", "postgresql://ada@h:5432/d"),
        ("sqlite:a.db", "sqlite:a.db"),
    ],
)
def test_an_address_is_shown_without_its_password(url, shown):
    assert shown_url(url) == shown
