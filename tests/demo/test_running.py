import json
import os
import signal
import subprocess
import sys
from contextlib import chdir
from pathlib import Path

import pytest

from penstock.app import Running
from penstock.core.knowledge.passages import Passage
from penstock.demo.asking import ask_all
from penstock.demo.command import run
from penstock.demo.options import DemoOptions
from penstock.demo.questions import Asked
from penstock.demo.team import Answer, Question, team
from penstock.errors import Invalid, Missing, Refused, Unavailable

RETURNS = "# Returns\n\nShoes can be returned within 30 days of the purchase, with the receipt.\n"
SHIPPING = "# Shipping\n\nParcels are shipped on working days; express shipping costs five euros.\n"
KEPT_KEYS = {"questions", "answered", "hit_at_5", "turns_per_s", "p50_ms", "p99_ms", "passages"}


@pytest.fixture
def docs(tmp_path):
    """A tiny folder of documents, in a working folder of its own."""
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "returns.md").write_text(RETURNS)
    (folder / "shipping.md").write_text(SHIPPING)
    with chdir(tmp_path):
        yield folder


def told(capsys, *, code=0, **options):
    """Run the demo, and return its report."""
    capsys.readouterr()
    assert run(DemoOptions(json=True, **options)) == code
    return json.loads(capsys.readouterr().out)


def said(*arguments, typed="", code=0, **environment):
    """Run the command in a process of its own, and return what it printed."""
    result = subprocess.run(
        [sys.executable, "-m", "penstock.cli", "demo", *map(str, arguments)],
        input=typed,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "COLUMNS": "80", **environment},
    )
    assert result.returncode == code, result.stderr
    return result.stdout if code == 0 else result.stderr


def test_a_question_that_the_documents_do_not_answer_is_no_failure(docs, capsys):
    report = told(capsys, docs=docs, ask=("How long can I return shoes?", "Where do whales sleep?"))
    assert (report["questions"], report["answers"], report["answered"]) == (2, 2, 1)
    assert report["hit_at_5"] is None
    assert set(report) >= KEPT_KEYS


def test_a_second_start_reads_only_what_changed(docs, capsys):
    assert told(capsys, docs=docs)["passages_put"] == 2
    assert told(capsys, docs=docs)["passages_put"] == 0
    (docs / "shipping.md").write_text(SHIPPING.replace("five", "six"))
    (docs / "returns.md").unlink()
    report = told(capsys, docs=docs)
    assert [report[name] for name in ("passages", "passages_put", "passages_deleted")] == [1, 1, 1]


def test_each_set_of_documents_has_a_store_of_its_own(docs, capsys, tmp_path):
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "a.md").write_text("Something else.")
    first = told(capsys, docs=docs)
    assert told(capsys, docs=tmp_path / "more")["store"] != first["store"]
    again = told(capsys, docs=docs.relative_to(tmp_path))
    assert (again["store"], again["passages_put"], again["passages_deleted"]) == (first["store"], 0, 0)


def test_a_single_file_is_a_set_of_documents(docs, capsys):
    report = told(capsys, docs=docs / "returns.md", ask=("How long can I return shoes?",))
    assert (report["passages"], report["answered"]) == (1, 1)


def test_own_documents_are_not_asked_the_shipped_questions(docs, capsys):
    report = told(capsys, docs=docs)
    assert (report["questions"], report["answered"], report["passages"]) == (0, 0, 2)
    assert set(report) >= KEPT_KEYS


def test_without_a_question_it_shows_what_it_found_and_how_to_ask(docs):
    (docs / "table.csv").write_text("a,b")
    shown = said("--docs", docs)
    assert "2 passages: 2 indexed now" in shown
    assert "1 file of another kind: left out: .csv" in shown
    assert "Give --ask" in shown
    assert "2 passages: nothing changed." in said("--docs", docs)


def test_passages_of_a_document_that_cannot_be_read_now_are_kept(docs, capsys):
    told(capsys, docs=docs)
    (docs / "returns.md").write_bytes(b"\0" * 100)
    report = told(capsys, docs=docs, ask=("How long can I return shoes?",))
    assert [report[name] for name in ("passages", "passages_kept", "passages_deleted", "answered")] == [2, 1, 0, 1]
    assert [each["path"] for each in report["findings"]] == ["returns.md"]
    (docs / "returns.md").unlink()
    assert told(capsys, docs=docs)["passages_deleted"] == 1


def test_an_emptied_folder_does_not_empty_the_index(docs, capsys):
    told(capsys, docs=docs)
    for name in ("returns.md", "shipping.md"):
        (docs / name).rename(docs.parent / name)
    with pytest.raises(Refused, match="no documents found in"):
        run(DemoOptions(docs=docs, fresh=True))
    (docs / "returns.md").touch()
    with pytest.raises(Refused, match="no text found"):
        run(DemoOptions(docs=docs))
    for name in ("returns.md", "shipping.md"):
        (docs.parent / name).rename(docs / name)
    report = told(capsys, docs=docs)
    assert (report["passages_put"], report["passages_deleted"]) == (0, 0)


def test_documents_that_are_all_unreadable_are_named(docs):
    (docs / "returns.md").write_bytes(b"\0")
    (docs / "shipping.md").write_bytes(b"\0")
    with pytest.raises(Invalid, match=r"returns\.md: binary data(.|\n)*shipping\.md: binary data"):
        run(DemoOptions(docs=docs))


def test_what_is_nowhere_is_missing(docs):
    with pytest.raises(Missing, match="the folder or file nowhere"):
        run(DemoOptions(docs=Path("nowhere")))
    assert not (docs.parent / ".penstock").exists()


@pytest.mark.parametrize(
    ("model", "problem"),
    [
        ("openai:x", "set OPENAI_API_KEY"),
        ("foo", "'foo' names no model"),
        ("http://127.0.0.1:9/v1#x", "did not answer 'chat'"),
    ],
)
def test_a_model_that_cannot_be_used_is_said_before_anything_is_read(docs, model, problem):
    message = said("--docs", docs, "--ask", "x", code=2, PENSTOCK_MODEL=model, OPENAI_API_KEY="")
    assert message.startswith("penstock: ")
    assert problem in message
    assert "reading" not in message
    assert "Traceback" not in message


class Failing(Running):
    """An app whose every question fails."""

    async def ask(self, *_args, **_options):
        raise Unavailable("the model", "chat")


async def test_an_error_of_one_question_leaves_as_itself(docs):
    app = team(lambda _key, _answer: None)
    async with app.running(store="memory:") as live:
        failing = Failing(app, live.engine)
        with pytest.raises(Unavailable):
            await ask_all(failing, [Asked("a"), Asked("b")], "s", lambda *_: None)


async def test_a_second_question_in_one_session_is_answered():
    async with team(lambda _key, _answer: None).running(store="memory:") as live:
        knowledge = live.knowledge("documents")
        await knowledge.put([Passage("returns.md#1", RETURNS), Passage("shipping.md#1", SHIPPING)])
        await knowledge.indexed()
        first = await live.ask(Question(session_id="s", text="How long can I return shoes?"), Answer)
        second = await live.ask(Question(session_id="s", text="And what does express shipping cost?"), Answer)
    assert "30 days" in first.text
    assert "five euros" in second.text


def test_a_conversation_is_held_over_a_pipe(docs):
    typed = "How long can I return shoes?\nWhat does express shipping cost?\n"
    shown = said("--docs", docs, "--interactive", typed=typed)
    assert "within 30 days" in shown
    assert "costs five euros" in shown


def test_a_conversation_is_counted(docs):
    shown = said("--docs", docs, "--interactive", "--json", typed="How long can I return shoes?\n")
    report = json.loads(shown)
    assert (report["questions"], report["answers"], report["answered"]) == (1, 1, 1)


def test_a_crash_and_a_conversation_exclude_each_other(docs):
    with pytest.raises(Invalid, match="--crash: stands beside --interactive"):
        run(DemoOptions(docs=docs, crash=True, interactive=True))


def test_ctrl_c_ends_a_conversation_that_waits_for_a_line(docs):
    command = [sys.executable, "-m", "penstock.cli", "demo", "--docs", str(docs), "--interactive"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as process:
        try:
            while "Ask about" not in process.stdout.readline():
                assert process.poll() is None
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 130
            assert process.stderr.read() == ""
        finally:
            if process.poll() is None:
                process.kill()
