"""`penstock asl start` and its kin: durable runs of an app's machines, while the app runs and while it does not."""

import json
import sys
from contextlib import chdir

import pytest
from serving import announced, served
from typer.testing import CliRunner

from penstock.cli import app

CLERK = """
from pathlib import Path
from penstock import App, TaskFailed, TaskInput
from penstock.core.agents.policy import Retry

app = App("clerk")

@app.agent
async def keep(given: TaskInput) -> None:
    Path("token").write_text(given.input)

@app.agent(retry=Retry(attempts_max=1))
async def toil(given: TaskInput) -> object:
    if not Path("mended").exists():
        raise TaskFailed("Toil.Broken", "oh")
    return given.input

app.workflow("ask", definition="ask.json")
app.workflow("work", definition={"StartAt": "Work", "States": {"Work": {"Type": "Task", "Resource": "agent:toil", "End": True}}})
"""
ASK = {
    "StartAt": "Ask",
    "States": {
        "Ask": {
            "Type": "Task",
            "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken",
            "Parameters": {"FunctionName": "keep", "Payload.$": "$$.Task.Token"},
            "Next": "Done",
        },
        "Done": {"Type": "Succeed"},
    },
}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "app.py").write_text(CLERK)
    (tmp_path / "ask.json").write_text(json.dumps(ASK))
    with chdir(tmp_path):
        yield tmp_path
    sys.path[:] = [each for each in sys.path if each not in (".", str(tmp_path))]
    sys.modules.pop("app", None)


def said(*arguments, code=0):
    result = CliRunner().invoke(app, ["asl", *map(str, arguments)])
    assert result.exit_code == code, (result.output, result.exception)
    return result.output


def told(*arguments, code=0):
    return json.loads(said(*arguments, "--json", code=code))


def test_a_run_is_started_shown_redriven_and_drawn_while_no_app_runs(folder):
    failed = told("start", "work", "app.py", "--input", "[1]", "--name", "first", "--wait", code=1)
    assert (failed["status"], failed["error"], failed["cause"]) == ("FAILED", "Toil.Broken", "oh")
    run = failed["run_id"]
    assert told("describe", run) == failed
    assert "Toil.Broken" in said("describe", run, "app.py")
    assert [each["run_id"] for each in told("list", "work", "--status", "FAILED")] == [run]
    assert "first" in said("list", "work")
    events = told("history", run)["events"]
    assert [each["type"] for each in events][-2:] == ["TaskFailed", "ExecutionFailed"]
    assert "TaskStateEntered" in said("history", run)
    assert "Toil.Broken" in said("draw", "--run", run)
    (folder / "mended").touch()
    said("redrive", run)
    assert told("start", "work", "app.py", "--input", "[1]", "--name", "first", "--wait")["output"] == [1]
    assert told("describe", run)["redrives"] == 1
    assert "Refused" not in said("history", failed["arn"])


def test_a_task_is_answered_and_a_run_stopped_while_no_app_runs(folder):
    told("start", "app.py", "ask", "--name", "one")
    stopped = told("start", "ask", "app.py", "--name", "two")["run_id"]
    token = (folder / "token").read_text()
    assert "two:ask" in stopped
    said("answer", "nonsense", "--output", "1", code=2)
    said("answer", token, "--output", '{"said": "yes"}')
    said("stop", "ask~one:ask", "--error", "Enough", "--cause", "rain")
    assert told("start", "ask", "app.py", "--name", "two", "--wait")["output"] == {"said": "yes"}
    found = told("describe", "ask~one:ask")
    assert (found["status"], found["error"], found["cause"]) == ("ABORTED", "Enough", "rain")


def test_it_works_over_http_while_the_app_runs(folder):
    (folder / "mended").touch()
    with served("app.py", cwd=folder) as process:
        url = announced(process)["url"]
        assert told("start", "work", "--input", "7", "--wait", "--url", url)["output"] == 7
        run = told("start", "ask", "--url", url)["run_id"]
        said("stop", run, "--error", "Enough", "--url", url)
        assert told("describe", run)["status"] == "ABORTED"


def test_a_run_under_way_fits_a_changed_definition_which_is_for_new_runs(folder):
    run = told("start", "ask", "app.py")["run_id"]
    (folder / "ask.json").write_text(json.dumps({"StartAt": "Done", "States": {"Done": ASK["States"]["Done"]}}))
    sys.modules.pop("app", None)
    result = CliRunner().invoke(app, ["runs", "check", "app.py", "--json"])
    assert result.exit_code == 0, result.output
    (checked,) = json.loads(result.stdout)["runs"]
    assert (checked["run_id"], checked["outcome"]) == (run, "fits")
    assert "goes on with the definition that it began with" in checked["reason"]


@pytest.mark.parametrize("large", [7, "x" * 100_000])
def test_a_run_that_is_exported_takes_its_definition_with_it(folder, large):
    (folder / "mended").touch()
    run = told("start", "work", "app.py", "--input", json.dumps(large), "--wait")["run_id"]
    events = said("history", run, "--store", "sqlite:.penstock/clerk.db")
    for part in (["--run", run], ["--topic", "work-input"], ["--tenant", "default"]):
        runner = CliRunner()
        exported = runner.invoke(app, ["export", "app.py", "--to", "part.jsonl", *part])
        assert exported.exit_code == 0, (exported.output, exported.exception)
        imported = runner.invoke(app, ["import", "part.jsonl", f"sqlite:{part[0]}.db"])
        assert imported.exit_code == 0, (imported.output, imported.exception)
        assert said("history", run, "--store", f"sqlite:{part[0]}.db") == events
        (folder / "part.jsonl").unlink()
