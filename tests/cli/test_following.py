"""`penstock runs follow`: live from a process that is killed on the way, and from its store."""

import json
import subprocess

import httpx2
import pytest
from serving import PENSTOCK, announced, served
from typer.testing import CliRunner

from penstock.cli import app as command_line
from penstock.core.agents.pieces import Piece, standing

TELLER = """
import asyncio
from pathlib import Path
from penstock import App, Context, Event

class Story(Event):
    name: str

app = App("teller")
lives = Path("lives")

@app.agent
async def tell(story: Story, ctx: Context) -> str:
    if story.name == "short":
        ctx.tell("The end.")
        ctx.stream("notes").write({"words": 2})
        return "short"
    if story.name == "bad":
        ctx.tell("Once")
        raise TypeError("no idea")
    lives.write_text(lives.read_text() + "x" if lives.exists() else "x")
    await ctx.read("first", half, ctx, "a")
    await ctx.read("second", half, ctx, "b")
    return "long"

async def half(ctx: Context, text: str) -> None:
    for number in range(10):
        ctx.tell(f"{text}{number} ")
        await asyncio.sleep(0.01)
        if text == "b" and number == 5 and lives.read_text() == "x":
            Path("halfway").touch()
            await asyncio.sleep(600)
"""
WHOLE = "".join(f"{text}{number} " for text in "ab" for number in range(10))


@pytest.fixture
def app(tmp_path):
    file = tmp_path / "teller.py"
    file.write_text(TELLER)
    return file


def begun(url, name, wait_s=0):
    response = httpx2.post(f"{url}/v1/agents/tell?wait_s={wait_s}", json={"name": name}, timeout=30)
    return response.json()["run_id"]


def follow(tmp_path, *arguments):
    command = [*PENSTOCK, "runs", "follow", *arguments]
    return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)


def test_a_run_is_followed_over_a_kill_of_its_server(tmp_path, app):
    with served(app, cwd=tmp_path) as first:
        url = announced(first)["url"]
        run = begun(url, "long")
        command = [*PENSTOCK, "runs", "follow", run, "--url", url, "--json"]
        with subprocess.Popen(
            command, cwd=tmp_path, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as reader:
            try:
                told = []
                while not told or told[-1].get("text") != "b5 ":
                    told.append(json.loads(reader.stdout.readline()))
                first.kill()
                first.wait()
                port = url.rpartition(":")[2]
                # The last `--port` counts: the reader finds the app where it was.
                with served(app, "--port", port, cwd=tmp_path) as second:
                    announced(second)
                    told += [json.loads(line) for line in reader.stdout]
                    assert reader.wait(timeout=30) == 0, reader.stderr.read()
            finally:
                reader.kill()
    assert (told[-1]["kind"], told[-1]["status"]) == ("ended", "succeeded")
    assert [each["kind"] for each in told].count("reset") == 1
    offsets = [each["offset"] for each in told[:-1]]
    assert offsets == sorted(set(offsets))
    pieces = [Piece(each["kind"], text=each.get("text", ""), offset=each["offset"], data=each) for each in told[:-1]]
    assert "".join(piece.text for piece in standing(pieces)) == WHOLE
    assert (tmp_path / "lives").read_text() == "xx"


def test_a_run_is_followed_in_its_store(tmp_path, app):
    with served(app, cwd=tmp_path) as process:
        url = announced(process)["url"]
        short, bad = begun(url, "short", wait_s=20), begun(url, "bad", wait_s=20)
    store = f"sqlite:{tmp_path / '.penstock' / 'teller.db'}"
    found = follow(tmp_path, short, "--store", store)
    assert (found.returncode, found.stdout) == (0, "The end.\nsucceeded\n"), found.stderr
    notes = follow(tmp_path, short, "--store", store, "--name", "notes", "--json")
    note, end = (json.loads(line) for line in notes.stdout.splitlines())
    assert (note["kind"], note["data"], end["status"]) == ("item", {"words": 2}, "succeeded")
    failed = follow(tmp_path, bad, "--store", store)
    assert failed.returncode == 1
    assert "no idea" in failed.stdout
    assert "Once" in failed.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("x:tell", "--url", "http://127.0.0.1:9"), "did not answer"),
        (("x:tell", "--url", "nowhere"), "--url"),
        (("x:tell", "--store", "sqlite:nothing.db"), "missing"),
        (("x:tell", "--from", "-1"), "--from"),
    ],
)
def test_what_cannot_be_followed_is_told(arguments, said):
    result = CliRunner().invoke(command_line, ["runs", "follow", *arguments])
    assert result.exit_code == 2
    assert said in result.output
