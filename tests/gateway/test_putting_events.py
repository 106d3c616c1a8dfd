"""Events that are put on buses over HTTP, and the rules that the command line shows."""

import json

import pytest
from desk import client_of
from typer.testing import CliRunner

from penstock import App, Event
from penstock.cli import app as command

FILE = """
from penstock import App, Event, Target

class Noted(Event, topic="notes"):
    text: str

app = App("notes")

@app.agent
async def note(noted: Noted) -> None: ...

app.rule("all", pattern={"source": ["till"]}, targets=[note, "topic:notes"])
app.rule("web", pattern={"source": ["web"]}, targets="https://hooks.example/x", bus="web", enabled=False)
"""


class Noted(Event, topic="notes"):
    text: str


@pytest.fixture
def app():
    return App("notes")


async def test_events_are_put_once_and_told_of_one_by_one(app):
    seen = []

    @app.agent
    async def note(noted: Noted) -> None:
        seen.append(noted.text)

    app.rule("all", pattern={"source": ["till"]}, targets=note)
    entries = [{"Source": "till", "DetailType": "t", "Detail": {"text": "hi"}}, {"Source": "till"}]
    async with app.running(store="memory:") as live, client_of(live) as client:
        answers = [
            await client.post("/v1/bus", json={"Entries": entries}, headers={"Idempotency-Key": "k"}) for _ in range(2)
        ]
        assert (await client.post("/v1/bus", json={"Entries": []})).status_code == 422
        assert await live.engine.settled(20)
    assert answers[0].json() == answers[1].json()
    assert (answers[0].status_code, answers[0].json()["FailedEntryCount"]) == (200, 1)
    assert answers[0].json()["Entries"][1]["ErrorCode"] == "InvalidArgument"
    assert seen == ["hi"]


def test_the_rules_of_an_app_are_listed_and_tried(tmp_path):
    file = tmp_path / "notes.py"
    file.write_text(FILE)
    listed = CliRunner().invoke(command, ["events", "rules", str(file), "--json"])
    assert listed.exit_code == 0, listed.output
    assert [(each["rule"], each["state"]) for each in json.loads(listed.output)] == [
        ("all", "enabled"),
        ("web", "disabled"),
    ]
    event = '{"source": "till", "detail-type": "t", "detail": {}}'
    shown = CliRunner().invoke(command, ["events", "rules", str(file), "--event", event])
    assert "agent:note, topic:notes" in shown.output
    assert "hooks.example" not in shown.output
