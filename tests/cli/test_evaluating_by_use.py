"""`penstock knowledge evaluate --from-use`, of a store and of an app that runs."""

import json
from contextlib import chdir

import pytest
from serving import announced, served
from typer.testing import CliRunner

from penstock import Passage
from penstock.cli import app
from penstock.cli.knowing import on_collection
from penstock.cli.knowledge_options import place_of

APP = "from penstock import App\n\napp = App('library')\napp.knowledge('books')\n"
TEXTS = {"mill": "Water drives the mill wheel.", "cat": "Cats purr when they are content.", "sea": "The sea is deep."}


def penstock(*arguments, code=0):
    done = CliRunner().invoke(app, ["knowledge", "evaluate", *arguments])
    assert done.exit_code == code, done.output
    return done


async def filled(books):
    await books.put([Passage(each, text) for each, text in TEXTS.items()], consistency="strong")
    await books.used("what drives the wheel", ["mill"], shown=["mill", "sea"])
    await books.used("why do cats purr", ["cat"], verdict="helpful")
    await books.used("how deep is it", ["sea", "was removed"])
    await books.used("of no use", ["sea"], verdict="unhelpful")


def test_what_was_asked_is_asked_again_and_judged_by_what_was_used(tmp_path):
    with chdir(tmp_path):
        penstock("--from-use", code=2)
        on_collection(place_of(None, None, (None, None), None), filled, makes=True)
        found = json.loads(penstock("--from-use", "--json", "--per-query").stdout)
        assert set(found) == {"words", "vectors", "hybrid"}
        assert {each["queries"] for each in found.values()} == {3}
        assert set(found["hybrid"]["ndcg@10_of"]) == {"what drives the wheel", "why do cats purr", "how deep is it"}
        assert found["hybrid"]["ndcg@10"] == found["hybrid"]["recall@100"] == 1.0
        assert json.loads(penstock("--from-use", "--json", "--queries", "1").stdout)["words"]["queries"] == 1
        shown = penstock("--from-use", "--plot", "use.svg").stdout
        assert "what was asked and used, 3 judged queries" in shown
        assert "real use" in (tmp_path / "use.svg").read_text()


@pytest.mark.parametrize("arguments", [("--from-use", "."), ()])
def test_a_folder_or_real_use_is_measured_and_not_both(arguments):
    assert "--from-use" in penstock(*arguments, code=2).stderr


def test_an_app_that_runs_is_asked_and_told_of_use_over_http(tmp_path):
    (tmp_path / "app.py").write_text(APP)
    with served(tmp_path / "app.py", "--store", "memory:", cwd=tmp_path) as process:
        url = announced(process)["url"]
        from penstock.cli.remote import posted

        documents = [{"id": each, "text": text, "whole": True} for each, text in TEXTS.items()]
        posted(url, "/v1/knowledge/books/documents?consistency=strong", {"documents": documents}, tenant="default")
        used = {"query": "why do cats purr", "used": ["cat"], "shown": ["cat", "sea"]}
        posted(url, "/v1/knowledge/books/used", used, tenant="default")
        found = json.loads(penstock("--from-use", "--url", url, "--json").stdout)
        assert (found["hybrid"]["queries"], found["hybrid"]["mrr"]) == (1, 1.0)
        assert "nobody said" in penstock("--from-use", "--url", url, "--tenant", "other", code=2).stderr
