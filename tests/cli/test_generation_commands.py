"""The generations of a collection on the command line, without an app and with one."""

import json
import sqlite3
from contextlib import chdir

import pytest
from typer.testing import CliRunner

from penstock.cli import app

APP = """
from penstock import App
from penstock.testing.hashed_embedder import HashedEmbedder

app = App("shop")
app.knowledge("goods")
app.embedder("two", HashedEmbedder(16, 2))
"""


@pytest.fixture
def penstock(tmp_path):
    def run(*arguments, code=0):
        done = CliRunner().invoke(app, ["knowledge", *arguments])
        assert done.exit_code == code, done.output
        return done

    with chdir(tmp_path):
        (tmp_path / "shop.py").write_text(APP)
        docs = tmp_path / "docs"
        docs.mkdir()
        for number in range(6):
            (docs / f"d{number}.md").write_text(f"# Thing {number}\n\nA text about thing number {number}.\n")
        run("put", "docs", "--app", "shop.py", "--json")
        yield run


def of_shop(penstock, *arguments, **options):
    return json.loads(penstock(*arguments, "--app", "shop.py", "--json", **options).stdout)


def test_a_generation_is_built_compared_switched_to_taken_back_and_dropped(penstock):
    built = of_shop(penstock, "build", "--embedder", "two")
    assert (built["number"], built["status"], built["model"], built["done"]) == (2, "ready", "hashed-16-2", 1.0)
    compared = of_shop(penstock, "compare", "2", "--queries", "docs/d1.md", "--limit", "3")
    assert (compared["queries"], compared["limit"]) == (2, 3)
    assert 0 < compared["overlap"] <= 1
    assert of_shop(penstock, "switch", "2") == {"serving": 2}
    shown = of_shop(penstock, "generations")
    assert [each["status"] for each in shown["generations"]] == ["standby", "serving"]
    assert "*   2  serving" in penstock("generations", "--app", "shop.py").stdout
    assert of_shop(penstock, "rollback") == {"serving": 1}
    assert of_shop(penstock, "drop", "2") == {"dropped": 2}
    told = penstock("switch", "2", "--app", "shop.py", code=2)
    assert "was dropped" in told.stderr


def test_a_rebuild_gives_the_same_passages(penstock):
    before = penstock("export", "-", "--app", "shop.py").stdout
    assert of_shop(penstock, "rebuild")["status"] == "serving"
    assert penstock("export", "-", "--app", "shop.py").stdout == before
    assert before.count("\n") == 6


def test_a_comparison_that_finds_differences_ends_with_1_and_mends_them(penstock):
    assert of_shop(penstock, "verify")["missing"] == 0
    with sqlite3.connect(".penstock/shop.db") as connection:
        connection.execute("DELETE FROM passage WHERE id LIKE 'd3%'")
    connection.close()
    told = penstock("verify", "--app", "shop.py", code=1)
    assert "1 missing" in told.stdout
    assert "--repair" in told.stdout
    assert of_shop(penstock, "verify", "--repair")["repaired"] == 1
    assert "the index is what the log says" in penstock("verify", "--app", "shop.py").stdout


def test_judged_questions_say_which_generation_is_better(penstock, tmp_path):
    of_shop(penstock, "build", "--embedder", "two")
    ids = [json.loads(line)["id"] for line in penstock("export", "-", "--app", "shop.py").stdout.splitlines()]
    judged = tmp_path / "judged"
    judged.mkdir()
    (judged / "corpus.jsonl").write_text("".join(json.dumps({"_id": each, "text": "x"}) + "\n" for each in ids))
    (judged / "queries.jsonl").write_text(json.dumps({"_id": "q", "text": "thing number 3"}) + "\n")
    (judged / "qrels.tsv").write_text(f"query-id\tcorpus-id\tscore\nq\t{ids[3]}\t1\n")
    found = of_shop(penstock, "compare", "2", "--judged", "judged")
    assert found["judged"] == 1
    assert found["before"]["ndcg"] == found["after"]["ndcg"] == 1.0


def test_what_is_wrong_is_said(penstock):
    assert "'nothing' is not known" in penstock("build", "--app", "shop.py", "--embedder", "nothing", code=2).stderr
    assert "no generation that served before" in penstock("rollback", "--app", "shop.py", code=2).stderr
    assert "generation 7" in penstock("drop", "7", "--app", "shop.py", code=2).stderr
    assert "there are none" in penstock("compare", "1", "--app", "shop.py", code=2).stderr


def test_a_finer_model_follows_is_shown_and_ends_when_it_is_dropped(penstock):
    built = of_shop(penstock, "refine", "two")
    assert (built["number"], built["status"], built["model"], built["done"]) == (2, "ready", "hashed-16-2", 1.0)
    assert "refines what is found" in penstock("generations", "--app", "shop.py").stdout
    assert "refines searches already" in penstock("refine", "two", "--app", "shop.py", code=2).stderr
    assert "'odd' is not known" in penstock("refine", "odd", "--app", "shop.py", code=2).stderr
    refined, plain = (
        json.loads(penstock("search", "thing number 3", "--app", "shop.py", "--limit", "6", "--json", *more).stdout)[
            "results"
        ]
        for more in ((), ("--no-refine",))
    )
    assert {each["id"] for each in refined} == {each["id"] for each in plain}
    assert [each["score"] for each in refined] != [each["score"] for each in plain]
    assert of_shop(penstock, "drop", "2") == {"dropped": 2}
