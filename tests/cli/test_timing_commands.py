"""`penstock schedules` and `penstock timers`: beside the app, and while it does not run."""

import json
import sys
from contextlib import chdir

import pytest
from typer.testing import CliRunner

from penstock.cli import app

CLOCK = """
from penstock import App, Event

class Report(Event):
    pass

app = App("clock")
app.schedule("nightly", "cron(0 3 * * ? *)", event=Report(), timezone="Europe/Berlin")
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "app.py").write_text(CLOCK)
    with chdir(tmp_path):
        yield tmp_path
    sys.path[:] = [each for each in sys.path if each not in (".", str(tmp_path))]
    sys.modules.pop("app", None)


def asked(*arguments):
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    return result.output


def test_the_next_due_times_of_an_expression_need_no_app(tmp_path):
    with chdir(tmp_path):
        found = json.loads(asked("schedules", "next", "cron(0 3 * * ? 2199)", "--count", "2", "--json"))
        assert found == ["2199-01-01T03:00:00+00:00", "2199-01-02T03:00:00+00:00"]
        assert asked("schedules", "next", "at(2001-01-01T00:00:00)") == "never\n"
        lines = asked("schedules", "next", "rate(1 day)", "--timezone", "Europe/Berlin").splitlines()
        assert len(lines) == 5
        assert CliRunner().invoke(app, ["schedules", "next", "cron(x)"]).exit_code != 0


def test_a_schedule_is_paused_resumed_and_triggered_while_its_app_does_not_run(folder):
    asked("schedules", "trigger", "app.py", "nightly")
    (shown,) = json.loads(asked("schedules", "list", "app.py", "--json"))
    assert (shown["name"], shown["status"]) == ("nightly", "active")
    assert shown["last_event"].startswith("nightly@")
    timers = json.loads(asked("timers", "list", "app.py", "--json"))
    assert [each["type"] for each in timers] == ["ScheduleDue.v1"]
    asked("schedules", "pause", "app.py", "nightly")
    assert json.loads(asked("schedules", "show", "app.py", "nightly", "--json"))["status"] == "paused"
    assert json.loads(asked("timers", "list", "app.py", "--json")) == []
    asked("schedules", "resume", "app.py", "nightly")
    assert len(json.loads(asked("schedules", "show", "app.py", "nightly", "--count", "3", "--json"))["next"]) == 3
    assert "nightly" in asked("schedules", "list", "app.py")
    assert asked("timers", "list", "app.py").startswith("timer")
    result = CliRunner().invoke(app, ["schedules", "pause", "app.py", "daily"])
    assert result.exit_code != 0
