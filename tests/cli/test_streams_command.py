"""`penstock streams` shows what an app's streams are made of."""

import json

from typer.testing import CliRunner

from penstock.cli import app

APP = """
from penstock import App, Event, Pane, Sessions, Sliding


class Reading(Event, key="device"):
    device: str
    room: str


class Busy(Event):
    count: int


def busy(pane: Pane[int]) -> Busy:
    return Busy(count=pane.value)


app = App("shown")
books = app.knowledge("books")
readings = app.stream(Reading, name="readings").event_time(lambda each: 0)
windows = readings.key_by("room").window(Sliding(60, every_s=10), lateness_s=5)
windows.count().map(busy).to(Busy)
windows.late().embed(books, "room").index(books, id="room", text="room")
readings.window(Sessions(30)).count().map(busy).filter(lambda each: each.count > 1).to(Busy)
"""


def shown(tmp_path, *options, text=APP):
    file = tmp_path / "shown.py"
    file.write_text(text, encoding="utf-8")
    return CliRunner().invoke(app, ["streams", str(file), *options])


def test_streams_are_listed_and_drawn(tmp_path):
    listed = shown(tmp_path)
    assert listed.exit_code == 0, listed.output
    for each in ("windows of 60 s every 10 s, 5 s late", "sessions with gaps of 30 s", "key by room", "Busy to busy"):
        assert each in listed.output
    rows = json.loads(shown(tmp_path, "--json").output)
    assert {row["agent"] for row in rows} == {"readings", "readings-by-room"}
    assert {row["stream"] for row in rows} == {"readings"}
    assert [row["does"] for row in rows if "books" in row["what"]] == ["embed", "indexinto"]
    drawn = shown(tmp_path, "--mermaid").output.splitlines()
    assert drawn[0] == "flowchart LR"
    assert sum("-->" in line for line in drawn) == len(rows) - 1


def test_an_app_without_streams_has_none_and_a_wrong_one_is_told(tmp_path):
    assert shown(tmp_path, text="from penstock import App\napp = App('x')\n").output.strip() == "none"
    wrong = shown(tmp_path, text=APP.replace(".filter(lambda each: each.count > 1).to(Busy)", ""))
    assert wrong.exit_code != 0
    assert "goes nowhere" in wrong.output + wrong.stderr
