import json
from contextlib import chdir

import pytest

from penstock.demo.command import run
from penstock.demo.crash import KILLS_WANTED, STEPS_BETWEEN_KILLS, lives
from penstock.demo.options import DemoOptions
from penstock.errors import Refused


@pytest.fixture
def docs(tmp_path):
    """A tiny folder of documents, in a working folder of its own."""
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "returns.md").write_text("# Returns\n\nShoes can be returned within 30 days of the purchase.\n")
    with chdir(tmp_path):
        yield folder


@pytest.mark.parametrize("questions", [1, 2, 3, 7, 10, 59, 60, 61, 500])
def test_all_lives_that_answer_are_killed_before_the_questions_are_done(questions):
    first, *others = lives(questions)
    assert first.kill_after_passages
    steps = [life.kill_after_steps for life in others]
    assert len(steps) >= KILLS_WANTED
    assert all(2 <= each <= most for each, most in zip(steps, STEPS_BETWEEN_KILLS, strict=True))
    finished_before_the_last_kill = sum(steps) - len(steps)
    assert finished_before_the_last_kill < 5 * questions


def test_without_questions_only_the_indexing_is_killed():
    assert [life.kill_after_steps for life in lives(0)] == [0]


def test_a_single_question_is_answered_once_over_four_kills_and_nothing_is_left_behind(docs, capsys):
    assert run(DemoOptions(docs=docs, ask=("How long can I return shoes?",), crash=True, json=True)) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["crashes"] == 1 + len(STEPS_BETWEEN_KILLS)
    assert report["steps_executed_twice"] == 0
    assert (report["questions"], report["answers"], report["answered_once"]) == (1, 1, 1)
    assert report["answers_delivered"] == 1
    assert list((docs.parent / ".penstock").iterdir()) == []


def test_too_few_kills_are_admitted_and_a_given_store_is_kept(docs, capsys):
    store = docs.parent / "kept.db"
    assert run(DemoOptions(docs=docs, crash=True, store=store)) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "Kills: only 1 of at least 3: nothing was asked" in shown
    assert store.exists()


def test_after_a_failure_all_is_kept_and_it_is_said_where(docs, capsys):
    broken = docs.parent / "broken.db"
    broken.write_text("this is no database " * 100)
    with pytest.raises(Refused, match="life 0 ended with code 1"):
        run(DemoOptions(docs=docs, ask=("How long?",), crash=True, store=broken))
    (folder,) = (docs.parent / ".penstock").iterdir()
    assert f"kept in .penstock/{folder.name}" in " ".join(capsys.readouterr().out.split())
