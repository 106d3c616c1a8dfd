"""`penstock storage` says what takes space, most first, and what would bound it."""

import asyncio
import json

import pytest
from typer.testing import CliRunner

from penstock import App, Event
from penstock.app_files import load
from penstock.cli import app as commands
from penstock.cli.storage import told_bytes


class Said(Event, key="who"):
    who: str
    text: str


talk = App("talk")


@talk.agent
async def hear(said: Said) -> int:
    return len(said.text)


async def filled(url):
    async with talk.running(store=url) as live:
        for number in range(30):
            await live.call("hear", Said(who=str(number), text="x" * 3000))
        await live.call("hear", Said(who="a", text="y" * 200_000))
    return url


@pytest.fixture
def store(tmp_path):
    return asyncio.run(filled(f"sqlite:{tmp_path / 'talk.db'}"))


def test_what_takes_space_is_told_most_first(store):
    shown = CliRunner().invoke(commands, ["storage", "--store", store, "--json"])
    usage = json.loads(shown.stdout)
    parts = {(each["kind"], each["name"]): each for each in usage["parts"]}
    assert [usage["parts"][0]["kind"], usage["parts"][1]["name"]] == ["blobs", "said"]
    assert (parts["blobs", ""]["rows"], parts["events", "said"]["rows"], parts["runs", "hear"]["rows"]) == (1, 31, 31)
    assert 90_000 < parts["events", "said"]["bytes"] < 110_000
    assert parts["events", "said"]["bytes_a_day"] > 0
    assert usage["total_bytes"] > 200_000


def test_people_get_bars_and_a_hint(store):
    shown = CliRunner().invoke(commands, ["storage", "--store", store])
    assert shown.exit_code == 0
    assert "events said" in shown.stdout
    assert "####################" in shown.stdout
    assert "in all" in shown.stdout


def test_a_store_that_is_not_there_is_an_error_that_says_what_to_do(tmp_path):
    shown = CliRunner().invoke(commands, ["storage", "--store", f"sqlite:{tmp_path / 'none.db'}"])
    assert shown.exit_code == 2
    assert "is missing" in shown.output


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (3 << 40, "3.0 TiB"), (1 << 55, "32768.0 TiB")]
)
def test_bytes_are_told_as_people_read_them(count, text):
    assert told_bytes(count) == text


# pruning by hand

TALK = """
from penstock import App, Event, Keep, Retention

class Said(Event, key="who"):
    who: str
    text: str

talk = App("talk", retention=Retention(events=Keep(count=10), runs_days=0, journals_days=0, archive="{archive}"))

@talk.agent
async def hear(said: Said) -> int:
    return len(said.text)
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "talk.py"
    path.write_text(TALK.replace("{archive}", str(tmp_path / "kept")))
    return path


def pruned(*arguments):
    shown = CliRunner().invoke(commands, ["storage", "prune", *map(str, arguments)])
    assert shown.exit_code == 0, shown.output
    return shown.stdout


def test_what_would_go_is_said_first_and_then_goes_into_the_archive(store, file, tmp_path):
    foreseen = json.loads(pruned(file, "--store", store, "--dry-run", "--json"))
    assert [(each["kind"], each["name"], each["rows"]) for each in foreseen["parts"]] == [("events", "said", 21)]
    assert foreseen["dry_run"]
    assert foreseen["bytes"] > 60_000
    assert "nothing was removed" in pruned(file, "--store", store, "--dry-run")
    assert not (tmp_path / "kept").exists()
    done = json.loads(pruned(file, "--store", store, "--json"))
    assert done == {**foreseen, "dry_run": False}
    (kept,) = (tmp_path / "kept").glob("*/*.jsonl.gz")
    shown = CliRunner().invoke(commands, ["import", str(kept), f"sqlite:{tmp_path / 'other.db'}", "--json"])
    assert json.loads(shown.stdout)["rows"] == {"event": 21, "run": 21}
    assert json.loads(pruned(file, "--store", store, "--json"))["parts"] == []


def test_it_works_beside_the_app_that_runs(store, file):
    async def life():
        async with talk.running(store=store) as live:
            shown = await asyncio.to_thread(pruned, file, "--store", store, "--json")
            await live.call("hear", Said(who="a", text="after"))
            return json.loads(shown)

    assert asyncio.run(life())["parts"][0]["rows"] == 21


# beside a job of the app's streams

LINES = """
from penstock import App, Event, Keep, Retention

class Said(Event, key="who"):
    who: str
    text: str

class Heard(Event, key="who"):
    who: str

def heard(said: Said) -> Heard:
    return Heard(who=said.who)

lines = App("lines", retention=Retention(events=Keep(count=10), runs_days=0, journals_days=0))
lines.stream(Said).map(heard).to(Heard)
"""


def test_events_that_a_job_elsewhere_takes_do_not_wait_for_it_in_the_store(tmp_path):
    file, url = tmp_path / "lines.py", f"sqlite:{tmp_path / 'lines.db'}"
    file.write_text(LINES)
    lines = load(file)
    said = next(each for each in lines.declared.agents["said-stream"].accepts)

    class Beside(App):
        @property
        def declared(self):
            return lines.declared.beside_streams()

    async def filled_beside():
        async with Beside("lines").running(store=url) as live:
            for number in range(30):
                await live.send(said(who=str(number), text="x"))

    asyncio.run(filled_beside())
    asked = (file, "--store", url, "--dry-run", "--json")
    assert json.loads(pruned(*asked))["parts"] == []
    beside = json.loads(pruned(*asked, "--streams", "flink", "--log", "kafka://127.0.0.1:1"))
    assert [(each["kind"], each["name"], each["rows"]) for each in beside["parts"]] == [("events", "said", 20)]
    wrong = CliRunner().invoke(commands, ["storage", "prune", *map(str, asked), "--streams", "flnk"])
    assert wrong.exit_code == 2
