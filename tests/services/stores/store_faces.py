"""A store on a server as users meet it: by its address alone, and from the command line beside the app.

Who inherits gives `url`, `opens` and `reads` (what opens the store, and a reader of it), `option` (what names a store in an address), and
`extra`: the library without which it says what to install, and the name of the extra.
"""

import asyncio
import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from penstock import App, Context, Event
from penstock.cli import app as command_line
from penstock.errors import Missing
from penstock.ports.state import RunFilter
from penstock.settings import Settings
from penstock.testing.commits import expect_one_of_each, one_of_each

WITHOUT = """
import asyncio, sys
sys.modules[{library!r}] = None
from penstock import App
from penstock.errors import Missing
async def opened():
    async with App("bare").running(store={address!r}):
        pass
try:
    asyncio.run(opened())
except Missing as error:
    print(error)
"""


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


async def greeted(settings, *ids):
    """Greet once for each id, each time in an app that was started anew; return how often each had met."""
    met = []
    for each in ids:
        async with greeting_app().running(settings) as running:
            met.append((await running.ask(Hello(name="Ada"), Greeting, id=each)).met)
    return met


def said(*arguments, code=0):
    result = CliRunner().invoke(command_line, arguments)
    assert result.exit_code == code, result.output
    return result.stdout if code == 0 else result.stderr


class StoreByItsAddress:
    async def test_an_app_remembers_over_a_restart(self, url):
        assert await greeted(Settings(store=url), "one", "two", "two", "three") == [1, 2, 2, 3]

    def test_runs_events_usage_and_dead_letters_are_shown_beside_the_app(self, url, tmp_path):
        asyncio.run(greeted(Settings(store=url), "one"))
        (run,) = json.loads(said("runs", "list", "--store", url, "--json"))
        assert (run["run_id"], run["status"]) == ("one:greeter", "succeeded")
        assert "one:greeter" in said("runs", "list", "--store", url)
        result = json.loads(said("runs", "show", "one:greeter", "--store", url, "--json"))["result"]
        assert result == {"name": "Ada", "met": 1}
        (led_to,) = json.loads(said("events", "show", "one", "--store", url, "--json"))["led_to"]
        assert led_to["data"] == {"name": "Ada", "met": 1}
        assert json.loads(said("dead", "list", "--store", url, "--json")) == []
        assert "events" in said("storage", "--store", url)
        said("export", url, "--to", str(tmp_path / "all.jsonl"))
        assert "one:greeter" in (tmp_path / "all.jsonl").read_text()

    def test_a_store_that_is_not_there_is_missing_and_not_made(self, url):
        assert "run the app once" in said("runs", "list", "--store", url, code=2)
        assert "run the app once" in said("runs", "list", "--store", url, code=2)

    async def test_a_reader_takes_no_claim_and_writes_nothing(self, url, opens, reads):
        async with opens(url) as store:
            claim = await store.claim("app")
            reader = reads(url)
            assert list(await reader.runs(RunFilter())) == []
            await store.commit(claim, 1, one_of_each())
            await expect_one_of_each(store)
            assert (await reader.run("each:a")).change.status == "failed"
            assert [letter.run_id for letter in await reader.dead_letters()] == ["each:a"]
            assert [each.event.id for each in await reader.origin("each")] == ["each"]
            assert (await reader.event("each")).position.offset == 1

    async def test_a_reader_of_what_is_none_of_ours_is_missing(self, url, reads, option):
        with pytest.raises(Missing, match=rf"\?{option}=NAME"):
            await reads(url).runs(RunFilter())

    def test_without_the_extra_it_says_what_to_install(self, extra):
        library, name, address = extra
        code = WITHOUT.format(library=library, address=address)
        told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        assert f"pip install 'penstock[{name}]'" in told
