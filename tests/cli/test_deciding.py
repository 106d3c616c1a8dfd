"""`penstock questions`: a person decides, beside the app that runs and while none does."""

import asyncio
import json
import sys
from contextlib import chdir

import pytest
from serving import announced, call, served
from typer.testing import CliRunner

from penstock.cli import app
from penstock.cli.loading import load

SHOP = """
from penstock import App, Context, Event, tool

class Buy(Event):
    cents: int

app = App("shop")

@tool(unknown="ask")
async def charge(cents: int) -> int:
    raise TimeoutError("no answer")

@app.agent
async def buy(event: Buy, ctx: Context) -> int:
    return await ctx.step("charge", charge, event.cents)
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "app.py").write_text(SHOP)
    with chdir(tmp_path):
        yield tmp_path
    sys.path[:] = [each for each in sys.path if each not in (".", str(tmp_path))]
    sys.modules.pop("app", None)


@pytest.fixture
def asking(folder):
    """A run of a process that is gone asks what became of a charge."""

    async def worked(shop):
        (buy,) = shop.agents["buy"].accepts
        async with shop.running() as running:
            await running.send(buy(cents=7), id="b1")
            await running.engine.until(running.questions)

    asyncio.run(worked(load(folder / "app.py")))
    return folder


def said(*arguments, code=0):
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == code, (result.output, result.exception)
    return result.output


def test_a_question_is_listed(asking):
    (question,) = json.loads(said("questions", "list", "--json"))
    assert (question["run_id"], question["step"], question["call"]) == ("b1:buy", "charge#0", "charge(7)")
    assert "charge#0" in said("questions", "list", "app.py")
    assert json.loads(said("questions", "list", "--json", "--tenant", "other")) == []


def test_an_answer_while_no_app_runs_is_what_the_app_goes_on_from(asking):
    assert "is done" in said("questions", "answer", "b1:buy", "charge#0", "done", "--value", "7", "--by", "ada")
    assert "decided already" in said("questions", "answer", "b1:buy", "charge#0", "fail", code=2)
    with served("app.py", cwd=asking) as process:
        url = announced(process)["url"]
        answer = call(url, "buy", {"cents": 7}, headers={"Idempotency-Key": "b1"})
        assert (answer["status"], answer["result"]) == ("succeeded", 7)
    assert json.loads(said("questions", "list", "--json")) == []


def test_while_an_app_runs_it_hears_what_is_left_in_its_store(asking):
    with served("app.py", cwd=asking) as process:
        url = announced(process)["url"]
        assert "is missing" in said("questions", "answer", "b2:buy", "charge#0", "fail", code=2)
        assert "other#0" in said("questions", "answer", "b1:buy", "other#0", "fail", code=2)
        assert "left in" not in said("questions", "answer", "b1:buy", "charge#0", "done", "--value", "7")
        answer = call(url, "buy", {"cents": 7}, headers={"Idempotency-Key": "b1"})
        assert (answer["status"], answer["result"]) == ("succeeded", 7)


def test_while_an_app_runs_it_is_told_over_http(asking):
    with served("app.py", cwd=asking) as process:
        url = announced(process)["url"]
        assert "is missing" in said("questions", "answer", "b1:buy", "other#0", "fail", "--url", url, code=2)
        said("questions", "answer", "b1:buy", "charge#0", "fail", "--by", "ada", "--url", url)
        answer = call(url, "buy", {"cents": 7}, headers={"Idempotency-Key": "b1"})
        assert answer["status"] == "failed"
        assert "decided by ada" in answer["reason"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("perhaps",), "one of done, retry, fail"),
        (("done", "--value", "text"), "is not JSON"),
        (("done", "--url", "ftp://host"), "http://HOST:PORT"),
    ],
)
def test_what_is_no_answer_is_refused(asking, arguments, told):
    assert told in said("questions", "answer", "b1:buy", "charge#0", *arguments, code=2)
