"""`penstock flink` without Flink: what is checked and written before a job runs."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from penstock.cli import app

APP = """
from penstock import App, Event

class Said(Event, key="who"):
    who: str

app = App("talk")

@app.agent
async def hear(said: Said) -> None: ...
"""
FLOW = """
@app.workflow
async def flow(said: Said) -> None: ...
"""


@pytest.fixture
def talk(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "talk.py").write_text(APP)
    return tmp_path / "talk.py"


def test_what_a_job_cannot_carry_is_listed(talk):
    assert CliRunner().invoke(app, ["flink", "check", "talk.py"]).exit_code == 0
    talk.write_text(APP + FLOW)
    said = CliRunner().invoke(app, ["flink", "check", "talk.py", "--json"])
    assert said.exit_code == 1
    assert [each["path"] for each in json.loads(said.stdout)] == ["agent 'flow'"]


def test_a_job_file_holds_no_address_and_can_be_executed(talk):
    log = "kafka://user:secret@k:9092"
    said = CliRunner().invoke(app, ["flink", "build", "talk.py", "--log", log, "--parallelism", "3"])
    assert said.exit_code == 0, said.output
    text = (talk.parent / "job.py").read_text()
    assert "secret" not in text
    assert "'parallelism': 3" in text
    compile(text, "job.py", "exec")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["flink", "run", "talk.py"], "log"),
        (["run", "talk.py", "--host", "flink", "--log", "redis://x:1"], "log"),
        (["run", "talk.py", "--host", "flink", "--store", "sqlite:x", "--log", "kafka://x:1"], "--store"),
        (["run", "talk.py", "--host", "flink", "--workers", "2", "--log", "kafka://x:1"], "--parallelism"),
        (["run", "talk.py", "--host", "flink", "--streams", "flink", "--log", "kafka://x:1"], "flink run --streams"),
        (["run", "talk.py", "--host", "flink", "--metrics", "x", "--log", "kafka://x:1"], "--metrics"),
    ],
)
def test_what_is_missing_for_a_job_is_named(talk, arguments, told):
    said = CliRunner().invoke(app, arguments)
    assert said.exit_code == 2
    assert told in said.output
