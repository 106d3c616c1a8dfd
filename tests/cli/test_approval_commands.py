"""`penstock approvals` and `penstock runs query`: beside the app that runs, and while none does."""

import asyncio
import json
import sys
from contextlib import chdir

import pytest
from serving import announced, call, served
from typer.testing import CliRunner

from penstock.cli import app
from penstock.cli.loading import load

DESK = """
from penstock import App, Event, WorkflowContext

class Claim(Event, key="who"):
    who: str

app = App("desk")

@app.workflow
async def handle(claim: Claim, ctx: WorkflowContext) -> list:
    ctx.expose("asked", claim.who)
    refund, gift = await ctx.gather(ctx.approval("Refund?", to=int), ctx.approval("Gift?", options=["tea", "cake"]))
    return [refund.value, refund.by, gift.value]
"""
REFUND, GIFT = "c1:handle/gather#0[0]/approval#0", "c1:handle/gather#0[1]/approval#0"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "app.py").write_text(DESK)
    with chdir(tmp_path):
        yield tmp_path
    sys.path[:] = [each for each in sys.path if each not in (".", str(tmp_path))]
    sys.modules.pop("app", None)


@pytest.fixture
def asking(folder):
    """A run of a process that is gone asks for two things."""

    async def worked(desk):
        (claim,) = desk.agents["handle"].accepts
        async with desk.running() as running:
            await running.send(claim(who="ada"), id="c1")
            await running.engine.until(running.approvals, lambda asked: len(asked) == 2)

    asyncio.run(worked(load(folder / "app.py")))
    return folder


def said(*arguments, code=0):
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == code, (result.output, result.exception)
    return result.output


def test_approvals_are_listed_and_what_the_run_exposes_is_shown(asking):
    refund, gift = json.loads(said("approvals", "list", "--json"))
    assert (refund["id"], refund["title"], refund["json_schema"]) == (REFUND, "Refund?", {"type": "integer"})
    assert (gift["id"], gift["options"]) == (GIFT, ["tea", "cake"])
    assert "Refund?" in said("approvals", "list", "app.py")
    assert json.loads(said("approvals", "list", "--json", "--tenant", "other")) == []
    assert json.loads(said("runs", "query", "c1:handle", "asked")) == "ada"
    assert json.loads(said("runs", "query", "c1:handle", "asked", "app.py", "--json"))["value"] == "ada"
    assert [each["name"] for each in json.loads(said("runs", "query", "c1:handle", "--json"))] == ["asked"]
    assert "ada" in said("runs", "query", "c1:handle")
    assert "the approval 'Refund?' since 20" in said("runs", "show", "c1:handle")
    assert "it exposes asked" in said("runs", "query", "c1:handle", "other", code=2)
    assert "is missing" in said("runs", "query", "c2:handle", code=2)


def test_answers_while_no_app_runs_are_what_the_app_goes_on_from(asking):
    assert "approved" in said("approvals", "answer", GIFT, "--value", '"tea"', "--by", "bob")
    assert 'approved with "tea" by bob' in said("approvals", "answer", "app.py", GIFT, "--reject", code=2)
    assert "approved" in said("approvals", "answer", REFUND, "--approve", "--value", "5", "--by", "cleo")
    with served("app.py", cwd=asking) as process:
        url = announced(process)["url"]
        answer = call(url, "handle", {"who": "ada"}, headers={"Idempotency-Key": "c1"})
        assert (answer["status"], answer["result"]) == ("succeeded", [5, "cleo", "tea"])
    assert json.loads(said("approvals", "list", "--json")) == []
    assert "answered already (approved with 5 by cleo)" in said("approvals", "answer", REFUND, "--reject", code=2)


def test_while_an_app_runs_it_is_the_one_to_be_told(asking):
    with served("app.py", cwd=asking) as process:
        url = announced(process)["url"]
        assert "is missing" in said("approvals", "answer", "c9:handle/approval#0", "--reject", code=2)
        assert "value" in said("approvals", "answer", REFUND, "--value", '"much"', "--url", url, code=2)
        assert "is missing" in said("approvals", "answer", "c9:handle/approval#0", "--reject", "--url", url, code=2)
        said("approvals", "answer", REFUND, "--reject", "--reason", "no", "--by", "bob", "--url", url)
        assert "rejected by bob: no" in said("approvals", "answer", REFUND, "--reject", "--url", url, code=2)
        assert "Gift?" in said("approvals", "list", "app.py")
        said("approvals", "answer", GIFT, "--value", '"cake"', "--url", url)
        answer = call(url, "handle", {"who": "ada"}, headers={"Idempotency-Key": "c1"})
        assert answer["result"] == [None, "bob", "cake"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "--approve, --reject or --value JSON"),
        (("--reject", "--approve"), "give one of them"),
        (("--value", "text"), "is not JSON"),
        (("--approve", "--url", "ftp://host"), "http://HOST:PORT"),
    ],
)
def test_what_is_no_answer_is_refused(asking, arguments, told):
    assert told in said("approvals", "answer", REFUND, *arguments, code=2)
