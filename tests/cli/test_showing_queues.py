"""`penstock queues` asks the app that runs."""

import json

import pytest
from serving import announced, served
from typer.testing import CliRunner

from penstock.cli import app

APP = """
from penstock import App, Event, Flow

class Job(Event):
    number: int

app = App("works")

@app.agent(flow=Flow(concurrency=3))
async def work(job: Job) -> None: ...
"""


def test_it_shows_what_waits_for_each_agent(tmp_path):
    (tmp_path / "app.py").write_text(APP)
    with served(tmp_path / "app.py", "--store", "memory:", cwd=tmp_path) as process:
        url = announced(process)["url"]
        table = CliRunner().invoke(app, ["queues", "--url", url])
        listed = CliRunner().invoke(app, ["queues", "--url", url, "--json"])
    assert "work" in table.output
    assert "3 at once" in table.output
    assert json.loads(listed.output)[0]["running"] == 0


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "ftp://host"])
def test_an_app_that_does_not_answer_is_said(url):
    assert CliRunner().invoke(app, ["queues", "--url", url]).exit_code != 0
