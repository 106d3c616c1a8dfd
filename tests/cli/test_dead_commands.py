"""Dead letters on the command line, while no app runs and beside one that does."""

import asyncio
import json
import sys
from contextlib import chdir

import pytest
from typer.testing import CliRunner

from penstock.cli import app
from penstock.cli.loading import load

SHOP = """
from pathlib import Path
from penstock import App, Context, Event, Retry

class Order(Event, key="customer"):
    customer: str
    number: int

app = App("shop")

@app.agent(retry=Retry(attempts_max=1))
async def pay(order: Order, ctx: Context) -> str:
    await ctx.step("charge", str, order.number)
    if not Path("open").exists():
        raise ValueError(f"the bank is closed ({order.number})")
    return f"paid {order.number}"

@app.agent(retry=Retry(attempts_max=1))
async def pack(order: Order) -> str:
    if order.number == 2:
        raise ValueError("no box")
    return "packed"
"""


@pytest.fixture
def folder(tmp_path):
    """A working folder with an app in it that has failed at some orders."""
    (tmp_path / "app.py").write_text(SHOP)
    with chdir(tmp_path):
        asyncio.run(lived(tmp_path, 1, 2, 3))
        yield tmp_path
    sys.path[:] = [each for each in sys.path if each not in (".", str(tmp_path))]
    sys.modules.pop("app", None)


async def lived(folder, *numbers):
    """Run the app until it has come to rest."""
    shop = load(folder / "app.py")
    order = shop.agents["pay"].accepts[0]
    async with shop.running() as live:
        for number in numbers:
            await live.send(order(customer="a", number=number), id=f"o{number}")
        await live.engine.until(lambda: live.engine.parts.store.submitted([0], limit=1), lambda left: not left)
        assert await live.engine.settled(10)


def said(*arguments, code=0, told=None):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], input=told)
    assert result.exit_code == code, result.output
    return result.stdout if code == 0 else result.stderr


def listed(*options):
    return [each["run_id"] for each in json.loads(said("dead", "list", "--json", *options))]


def status_of(run):
    shown = json.loads(said("runs", "show", run, "--json"))
    return shown["status"], shown["result"], shown["reason"]


def test_letters_are_listed_by_filter(folder):
    assert sorted(listed()) == ["o1:pay", "o2:pack", "o2:pay", "o3:pay"]
    assert listed("--agent", "pack") == ["o2:pack"]
    assert listed("--reason", "CLOSED (1)") == ["o1:pay"]
    assert len(listed("--since", "1h")) == 4
    assert len(listed("--limit", 1)) == 1
    assert listed("--since", "2999-01-01") == []
    assert "--since" in said("dead", "list", "--since", "yesterday", code=2)


def test_a_letter_is_shown_whole(folder):
    shown = json.loads(said("dead", "show", "o1:pay", "--json"))
    assert shown["event"]["data"] == {"customer": "a", "number": 1}
    assert [(each["name"], each["value"]) for each in shown["steps"]] == [("charge#0", "1")]
    assert (shown["attempts"], shown["causes"]) == (1, [])
    text = said("dead", "show", "app.py", "o1:pay")
    assert "the bank is closed (1)" in text
    assert 'charge#0  "1"' in text
    assert "dead letter of 'o9:pay' is missing" in said("dead", "show", "o9:pay", code=2)


def test_what_is_redriven_is_handled_at_the_next_start(folder):
    told = said("dead", "redrive", "o1:pay", "--by", "ann", "--why", "it is open")
    assert told.startswith("1 run will be tried again: at once where the app runs, else at its next start")
    (folder / "open").touch()
    asyncio.run(lived(folder))
    assert status_of("o1:pay") == ("succeeded", "paid 1", None)
    assert sorted(listed()) == ["o2:pack", "o2:pay", "o3:pay"]


def test_many_are_redriven_by_filter_once_it_is_said_that_they_are_meant(folder):
    assert "--yes" in said("dead", "redrive", "--agent", "pay", code=2)
    redriven = json.loads(said("dead", "redrive", "app.py", "--agent", "pay", "--yes", "--json"))["runs"]
    assert sorted(redriven) == ["o1:pay", "o2:pay", "o3:pay"]  # they died side by side, in any order
    (folder / "open").touch()
    asyncio.run(lived(folder))
    assert listed() == ["o2:pack"]


def test_an_edited_event_is_checked_before_it_is_sent(folder):
    assert "give APP.PY" in said("dead", "redrive", "o2:pack", "--input", "{}", code=2)
    edited = '{"customer": "a", "numero": 4}'
    assert "numero" in said("dead", "redrive", "o2:pack", "app.py", "--input", edited, code=2)
    told = said("dead", "redrive", "o2:pack", "app.py", "--input", '{"customer": "a", "number": 4}')
    asyncio.run(lived(folder))
    run = told.split()[-1]
    assert status_of(run)[:2] == ("succeeded", "packed")
    assert "o2:pack" not in listed()


def test_what_is_dropped_says_by_whom_and_why(folder):
    said("dead", "drop", "--all", "--yes", "--by", "ann", "--why", "test orders")
    asyncio.run(lived(folder))
    assert listed() == []
    status, _, reason = status_of("o1:pay")
    assert status == "failed"
    assert reason.startswith("dropped by ann: test orders (it had failed: ValueError: the bank is closed (1)")


def test_it_must_be_said_what_is_meant(folder):
    assert "RUN" in said("dead", "redrive", code=2)
    assert "with a filter" in said("dead", "drop", "o1:pay", "--all", code=2)
    assert "o8:pay, o9:pay" in said("dead", "redrive", "o8:pay", "o9:pay", code=2)
    assert len(listed()) == 4


def test_a_running_app_does_it_at_once(folder):
    shop = load(folder / "app.py")
    (folder / "open").touch()

    async def beside():
        async with shop.running() as live:
            await asyncio.to_thread(
                said, "dead", "redrive", "--agent", "pay", "--yes", "--store", "sqlite:.penstock/shop.db"
            )
            async with asyncio.timeout(10):
                await live.engine.until(lambda: live.engine.run("o3:pay"), lambda run: run.change.status == "succeeded")
            assert [each.run_id for each in await live.dead_letters()] == ["o2:pack"]

    asyncio.run(beside())


def test_a_run_is_forked_from_the_command_line(folder):
    (folder / "open").touch()
    told = json.loads(said("runs", "fork", "o1:pay", "app.py", "--input", '{"customer": "a", "number": 8}', "--json"))
    at_step = said("runs", "fork", "o1:pay", "--at", "charge#0").split()[-1]
    asyncio.run(lived(folder))
    assert told["forked_from"] == "o1:pay"
    assert status_of(told["run_id"])[:2] == ("succeeded", "paid 8")
    assert status_of(at_step)[:2] == ("succeeded", "paid 1")
    shown = json.loads(said("runs", "show", at_step, "--json"))
    assert (shown["forked_from"], shown["forked_at"]) == ("o1:pay", "charge#0")
    assert "━" in said("runs", "show", at_step)
    assert "charge#0" in said("runs", "fork", "o1:pay", "--at", "charge#9", code=2)


def test_history_is_replayed_against_the_code_of_now(folder):
    everything = ("replay", "app.py", "--topic", "order")
    assert said(*everything) == "6 same\n"
    (folder / "open").touch()
    told = CliRunner().invoke(app, [*everything, "--agent", "pay", "--from", "2", "--to", "2", "--json"])
    assert told.exit_code == 1
    (run,) = json.loads(told.stdout)["runs"]
    assert (run["run_id"], run["outcome"], run["now"]["result"]) == ("o2:pay", "differs", "paid 2")
    assert status_of("o2:pay")[0] == "failed"
