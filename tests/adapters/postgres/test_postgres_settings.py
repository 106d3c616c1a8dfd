"""An app on Postgres by its address alone, and looking into its store from the command line."""

import asyncio
import json
import subprocess
import sys

import pytest
from postgres_server import ask, schema_of
from typer.testing import CliRunner

from penstock import App, Context, Event
from penstock.adapters.postgres.reader import open_postgres_reader
from penstock.adapters.postgres.store import open_postgres_store
from penstock.cli import app as command_line
from penstock.errors import Missing
from penstock.ports.state import RunFilter
from penstock.settings import Settings, shown_url
from penstock.testing.commits import expect_one_of_each, one_of_each

pytestmark = pytest.mark.timeout(60, func_only=True)


class Hello(Event, key="name"):
    name: str


class Greeting(Event, key="name"):
    name: str
    met: int


def greeting_app():
    app = App("greeting")

    @app.agent
    async def greeter(hello: Hello, ctx: Context) -> Greeting:
        met = await ctx.values.get("met", 0) + 1
        await ctx.values.set("met", met)
        return Greeting(name=hello.name, met=met)

    return app


async def greeted(url, *, id):
    async with greeting_app().running(Settings(store=url)) as running:
        return (await running.ask(Hello(name="Ada"), Greeting, id=id)).met


def said(*arguments, code=0):
    result = CliRunner().invoke(command_line, arguments)
    assert result.exit_code == code, result.output
    return result.stdout if code == 0 else result.stderr


@pytest.mark.parametrize("scheme", ["postgresql", "postgres"])
async def test_an_app_remembers_over_a_restart(url, scheme):
    url = f"{scheme}:{url.partition(':')[2]}"
    assert [await greeted(url, id=each) for each in ("one", "two", "two", "three")] == [1, 2, 2, 3]


def test_runs_events_and_dead_letters_are_shown_beside_the_app(url):
    asyncio.run(greeted(url, id="one"))
    (run,) = json.loads(said("runs", "list", "--store", url, "--json"))
    assert (run["run_id"], run["status"]) == ("one:greeter", "succeeded")
    assert "one:greeter" in said("runs", "list", "--store", url)
    assert json.loads(said("runs", "show", "one:greeter", "--store", url, "--json"))["result"] == {
        "name": "Ada",
        "met": 1,
    }
    (led_to,) = json.loads(said("events", "show", "one", "--store", url, "--json"))["led_to"]
    assert led_to["data"] == {"name": "Ada", "met": 1}
    assert json.loads(said("dead", "list", "--store", url, "--json")) == []


def test_a_store_that_is_not_there_is_missing_and_not_made(url, server):
    assert "run the app once" in said("runs", "list", "--store", url, code=2)
    assert asyncio.run(ask(server.dsn, f"SELECT FROM pg_namespace WHERE nspname = '{schema_of(url)}'")) == []


async def test_a_reader_takes_no_claim_and_writes_nothing(url):
    async with open_postgres_store(url) as store:
        claim = await store.claim("app")
        reader = open_postgres_reader(url)
        assert list(await reader.runs(RunFilter())) == []
        await store.commit(claim, 1, one_of_each())
        await expect_one_of_each(store)
        assert (await reader.run("each:a")).change.status == "failed"
        assert [letter.run_id for letter in await reader.dead_letters()] == ["each:a"]
        assert [each.event.id for each in await reader.origin("each")] == ["each"]
        assert (await reader.event("each")).position.offset == 1


async def test_a_reader_of_no_schema_of_ours_is_missing(url):
    with pytest.raises(Missing, match=r"\?schema=NAME"):
        await open_postgres_reader(url).runs(RunFilter())


def test_without_the_extra_it_says_what_to_install():
    code = """
import asyncio, sys
sys.modules["asyncpg"] = None
from penstock.adapters.postgres.store import open_postgres_store
from penstock.errors import Missing
async def opened():
    async with open_postgres_store("postgresql://127.0.0.1/app"):
        pass
try:
    asyncio.run(opened())
except Missing as error:
    print(error)
"""
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "pip install 'penstock[postgres]'" in told


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
