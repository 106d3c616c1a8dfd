"""Somebody is forgotten on the command line: with an app's file, without any, and what is left is looked for."""

import json
from contextlib import chdir

import pytest
from typer.testing import CliRunner

from penstock.cli import app

APP = """
from penstock import App, Context, Event

app = App("shop")
app.knowledge("goods")


class Bought(Event, key="who", subject="who"):
    who: str
    what: str


@app.agent
async def sell(bought: Bought, ctx: Context) -> str:
    await ctx.values.set("last", bought.what)
    return bought.what
"""
ANNA, SECRET = "anna@example.org", "a very private thing"


@pytest.fixture
def penstock(tmp_path):
    def run(*arguments, code=0):
        done = CliRunner().invoke(app, [*arguments])
        assert done.exit_code == code, done.output
        return done

    with chdir(tmp_path):
        (tmp_path / "shop.py").write_text(APP)
        yield run


async def bought(path):
    from penstock.cli.loading import loaded_app

    shop = loaded_app(path)
    async with shop.running(store="sqlite:shop.db") as live:
        event = next(each for each in shop.agents["sell"].accepts)
        await live.call("sell", event(who=ANNA, what=SECRET), id="sold")


def test_a_subject_is_forgotten_with_a_receipt_that_can_be_checked(penstock, tmp_path):
    import asyncio

    asyncio.run(bought(tmp_path / "shop.py"))
    of_app = ("--app", "shop.py", "--store", "sqlite:shop.db")
    shown = penstock("runs", "show", "sold:sell", "--store", "sqlite:shop.db").output
    assert SECRET in shown  # who looks at the store may read what is sealed
    assert json.loads(penstock("knowledge", "forget", ANNA, "--check", *of_app, "--json", code=1).stdout)["events"] == 1
    assert "say --yes" in penstock("knowledge", "forget", ANNA, *of_app, code=2).output
    done = penstock("knowledge", "forget", ANNA, *of_app, "--yes", "--out", "receipt.json")
    assert "nothing found" in done.output
    assert ANNA not in (tmp_path / "receipt.json").read_text()
    assert "signed by this store" in penstock("knowledge", "receipt", "receipt.json", "--subject", ANNA, *of_app).output
    penstock("knowledge", "receipt", "receipt.json", "--subject", "ben", *of_app, code=1)
    left = json.loads(penstock("knowledge", "forget", ANNA, "--check", "--text", SECRET, *of_app, "--json").stdout)
    assert (left["events"], left["keys"], left["checked"]["found"]) == (0, 0, [])
    shown = penstock("runs", "show", "sold:sell", "--store", "sqlite:shop.db").output
    assert SECRET not in shown
    assert "forgotten" in shown


def test_knowledge_alone_needs_no_app(penstock, tmp_path):
    (tmp_path / "notes.md").write_text(f"# Notes\n\n{SECRET}\n")
    penstock("knowledge", "put", "notes.md", "--store", "sqlite:k.db")
    told = json.loads(penstock("knowledge", "forget", ANNA, "--store", "sqlite:k.db", "--yes", "--json").stdout)
    assert told["erased"] == {}
    assert "notes.md" in penstock("knowledge", "search", "private", "--store", "sqlite:k.db").output
    assert "is no receipt" in penstock("knowledge", "receipt", "notes.md", "--store", "sqlite:k.db", code=2).output
