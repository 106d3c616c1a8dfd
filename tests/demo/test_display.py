from io import StringIO
from pathlib import Path

from rich.console import Console

from penstock.demo.display import Display, show
from penstock.demo.options import DemoOptions
from penstock.demo.questions import Asked, Tally, Told
from penstock.demo.team import Answer
from penstock.errors import Finding
from penstock.runtime.ingestion import Ingestion

LONG = "xml.etree.ElementTree.a_name_that_is_longer_than_any_column_of_a_table_may_be.of_eighty"


def told(number, *, expected=(), sources=("a", "b", "a")):
    answer = Answer(
        session_id="s", question="q", text="It is so. [1]", sources=list(sources), cited=["a"], supported=True, why=""
    )
    return Told(Asked(f"Question {number}?", tuple(expected)), answer, 1.0)


def shown(told, *, ingestion=None, width=80, **options):
    console = Console(width=width, record=True, file=StringIO())
    tally = Tally(len(told), told, 1.0)
    place = Path(".penstock/demo.db")
    show(console, tally, ingestion or Ingestion(3), DemoOptions(**options), store=place, model="m:x")
    return console.export_text()


def test_ten_answers_are_shown_and_all_where_that_is_asked_for():
    answers = [told(number) for number in range(60)]
    text = shown(answers)
    assert text.count("Question") == 10
    assert "10 of 60 answers; --all" in text
    assert shown(answers, everything=True).count("Question") == 60


def test_every_miss_is_named_with_what_was_expected_and_what_was_found():
    answers = [told(number, expected=["a" if number < 12 else "z"]) for number in range(14)]
    lines = [line for line in shown(answers, width=200).splitlines() if line.startswith("- ")]
    assert lines == ["- Question 12? -> z; a, b", "- Question 13? -> z; a, b"]


def test_sources_have_the_numbers_by_which_they_are_cited():
    text = shown([told(0)])
    assert "[1][3] a" in text
    assert "[2] b" in text


def test_a_long_name_is_folded_and_not_cut():
    cells = [line.split("│")[3].strip() for line in shown([told(0, sources=[LONG])]).splitlines() if "│" in line]
    assert "".join(cells).endswith(LONG)


def test_what_was_expected_is_spoken_of_only_where_something_was():
    assert "xpected" not in shown([told(0)])
    text = shown([told(0, expected=["a"]), told(1, expected=["z"])], width=140)
    assert "sources (expected in green)" in text
    assert "for 1 of 2 (hit@5: 0.50)" in text


def test_the_figures_are_the_last_on_the_screen():
    ingestion = Ingestion(5, put=2, deleted=1, kept=3, seconds=0.5, findings=[Finding("a.md", "cannot be read")])
    text = shown([told(0)], ingestion=ingestion, width=120)
    assert text.rstrip().splitlines()[-1] == (
        "5 passages: 2 indexed now (4/s), 1 removed, 3 kept of documents that could not be read now."
    )
    assert "note a.md: cannot be read" in text


def test_nothing_to_do_is_said_instead_of_zero_of_zero():
    console = Console(width=80, record=True, file=StringIO())
    with Display(console) as display:
        display.progress("indexing", 0, 0)
    text = console.export_text()
    assert "nothing changed" in text
    assert "0/" not in text
