"""`penstock memory`: what agents remember, with the app that runs and while none does."""

import asyncio
import json
from contextlib import chdir

import pytest
from serving import announced, served
from typer.testing import CliRunner

from penstock.cli import app
from penstock.cli.loading import loaded_app

APP = "from penstock import App\n\napp = App('companion')\napp.memory('turns')\n"


def penstock(*arguments, code=0):
    done = CliRunner().invoke(app, ["memory", *arguments])
    assert done.exit_code == code, done.output
    return done


@pytest.fixture
def companion(tmp_path):
    (tmp_path / "companion.py").write_text(APP)

    async def fill():
        async with loaded_app(tmp_path / "companion.py").running(store=f"sqlite:{tmp_path}/c.db") as live:
            turns = live.memory("turns")
            await turns.remember("Mia must not eat nuts", user="anna", scope="user", importance=9, id="nuts")
            await turns.remember("short answers please", session="s", id="style")
            await turns.remember("for a while", session="s", ttl_s=0.001, consistency="strong")
            await live.memory("turns", tenant="t2").remember(
                "of others", user="anna", scope="user", consistency="strong"
            )

    asyncio.run(fill())
    with chdir(tmp_path):
        yield tmp_path


def ids(*arguments):
    return [each["id"] for each in json.loads(penstock(*arguments, "--json").stdout)["memories"]]


def both(place):
    assert set(ids("list", *place)) == {"style", "nuts"}
    assert ids("list", "--user", "anna", *place) == ids("list", "--scope", "user", *place) == ["nuts"]
    assert ids("recall", "what may Mia eat", "--user", "anna", "--session", "s", *place)[0] == "nuts"
    assert ids("recall", "Mia", "--session", "s", *place) == ["style"]
    shown = penstock("list", *place).stdout
    assert "user (user anna)  importance 9" in shown
    assert "Mia must not eat nuts" in shown
    assert "importance 0.89" in penstock("recall", "nuts", "--user", "anna", *place).stdout
    assert penstock("forget", "nuts", *place).stdout == "1 memory forgotten\n"
    assert ids("list", *place) == ["style"]
    assert "of others" in penstock("list", "--tenant", "t2", *place).stdout
    assert "nothing comes up" in penstock("recall", "x", "--user", "ben", *place).stdout


def test_memories_of_a_store_are_listed_recalled_and_forgotten(companion):
    both(("--app", "companion.py", "--store", f"sqlite:{companion}/c.db"))


def test_memories_of_an_app_that_runs_are_listed_recalled_and_forgotten(companion):
    with served(companion / "companion.py", "--store", f"sqlite:{companion}/c.db", cwd=companion) as process:
        url = announced(process)["url"]
        both(("--url", url))
        told = penstock("list", "--app", "companion.py", "--store", f"sqlite:{companion}/c.db", code=2).stderr
        assert "--url" in told


def test_what_is_wrong_is_said(companion):
    assert "--app" in penstock("list", code=2).stderr
    place = ("--app", "companion.py", "--store", f"sqlite:{companion}/c.db")
    assert "declare it" in penstock("list", "--memory", "odd", *place, code=2).stderr
    assert "scope" in penstock("list", "--scope", "odd", *place, code=2).stderr
