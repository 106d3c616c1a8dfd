"""`penstock knowledge evaluate` measures search on judged queries."""

import json
from xml.etree import ElementTree as ET

import pytest
from typer.testing import CliRunner

from penstock.cli import app as commands

TOPICS = ("apples and pears", "volcanoes", "the sea", "chess openings", "bicycle repair")


@pytest.fixture
def folder(tmp_path):
    here = tmp_path / "judged"
    here.mkdir()
    documents = [
        {"_id": f"d{at}", "title": topic.title(), "text": f"What is known about {topic}."}
        for at, topic in enumerate(TOPICS)
    ]
    queries = [{"_id": f"q{at}", "text": f"tell me of {topic}"} for at, topic in enumerate(TOPICS)]
    (here / "corpus.jsonl").write_text("\n".join(map(json.dumps, documents)))
    (here / "queries.jsonl").write_text("\n".join(map(json.dumps, queries)))
    (here / "qrels.tsv").write_text("".join(f"q{at}\td{at}\t1\n" for at in range(len(TOPICS))))
    return here


def run(*arguments):
    return CliRunner().invoke(commands, ["knowledge", "evaluate", *map(str, arguments)])


def test_each_mode_is_measured_and_drawn(folder, tmp_path):
    done = run(folder, "--json", "--plot", tmp_path / "plot.svg")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert list(told) == ["words", "vectors", "hybrid"]
    for figures in told.values():
        assert (figures["ndcg@10"], figures["recall@100"], figures["mrr"], figures["queries"]) == (1.0, 1.0, 1.0, 5)
        assert 0 < figures["p50_ms"] <= figures["p99_ms"]
    assert "ndcg@10" in "".join(ET.parse(tmp_path / "plot.svg").getroot().itertext())


def test_people_get_a_table_and_programs_each_query_if_they_ask(folder):
    assert "hybrid   1.000    1.000       1.000" in run(folder).output
    assert json.loads(run(folder, "--json", "--per-query").stdout)["words"]["ndcg@10_of"]["q3"] == 1.0


def test_a_bad_folder_says_all_that_is_wrong_with_it(tmp_path):
    done = run(tmp_path)
    assert done.exit_code == 2
    assert all(name in done.output for name in ("corpus.jsonl", "queries.jsonl", "qrels"))
