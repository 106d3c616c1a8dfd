"""`penstock knowledge` with an app that runs: its only collection needs no name, and how it does is said."""

import json

import pytest
from serving import announced, served
from typer.testing import CliRunner

from penstock.cli import app

ONE, TWO = 'app.knowledge("books")', 'app.knowledge("books")\napp.knowledge("films")'


@pytest.fixture
def running(tmp_path):
    def run(collections):
        (tmp_path / "app.py").write_text(f'from penstock import App\n\napp = App("library")\n{collections}\n')
        return served(tmp_path / "app.py", "--store", "memory:", cwd=tmp_path)

    return run


def penstock(*arguments, code=0):
    done = CliRunner().invoke(app, ["knowledge", *arguments])
    assert done.exit_code == code, done.output
    return done


def test_its_only_collection_needs_no_name_and_its_figures_are_shown(running, tmp_path):
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "mill.md").write_text("# Mill\n\nWater drives the wheel.\n")
    (docs / "mill.svg").write_text("<svg/>")
    with running(ONE) as process:
        url = ("--url", announced(process)["url"])
        assert "1 document put" in penstock("put", str(docs), *url).output
        assert json.loads(penstock("search", "wheel", *url, "--json").stdout)["results"][0]["id"] == "mill.md"
        assert json.loads(penstock("generations", *url, "--json").stdout)["collection"] == "books"
        (shown,) = json.loads(penstock("status", *url, "--json").stdout)["collections"]
        figures = shown["indexing"]
        assert (shown["name"], shown["alerts"], figures["lag"], figures["events"], figures["searches"]) == (
            "books",
            [],
            0,
            1,
            1,
        )
        assert 0 < figures["search_p50_ms"] <= figures["search_p99_ms"]
        slow = penstock("status", *url, "--search-ms-max", "0", code=1).output
        assert "books: generation 1 (static-" in slow
        assert "! 1 of 100 searches takes" in slow
        assert "the app has books" in penstock("status", *url, "--collection", "films", code=2).stderr


def test_of_several_collections_one_must_be_named(running):
    with running(TWO) as process:
        url = ("--url", announced(process)["url"])
        assert "one of books, films" in penstock("generations", *url, code=2).stderr
        assert [line.partition(":")[0] for line in penstock("status", *url).output.splitlines()] == ["books", "films"]


def test_documents_of_a_running_app_are_listed_exported_and_deleted(running, tmp_path):
    (tmp_path / "mill.md").write_text("Water drives the wheel.")
    (tmp_path / "tea.md").write_text("The kettle is in the kitchen.")
    with running(ONE) as process:
        url = ("--url", announced(process)["url"])
        penstock("put", str(tmp_path / "mill.md"), str(tmp_path / "tea.md"), *url)
        (listed,) = json.loads(penstock("list", *url, "--json").stdout)["collections"]
        assert (listed["name"], listed["generation"]) == ("books", 1)
        penstock("export", str(tmp_path / "out.jsonl"), *url)
        lines = (tmp_path / "out.jsonl").read_text().splitlines()
        assert [json.loads(each)["id"] for each in lines] == ["mill.md", "tea.md"]
        assert "no.md" in penstock("delete", "mill.md", "no.md", *url, code=2).stderr
        assert json.loads(penstock("delete", "mill.md", *url, "--json").stdout) == {"deleted": 1}
        assert len(penstock("export", "-", *url).stdout.splitlines()) == 1
        assert json.loads(penstock("search", "kettle", *url, "--json").stdout)["model"].startswith("static-")
        built = json.loads(penstock("build", "--by", "tokens", "--words-max", "30", *url, "--json").stdout)
        assert built["status"] == "ready"
        assert "one of structure" in penstock("build", "--by", "odd", *url, code=2).stderr
        assert "missing" in penstock("search", "kettle", "--collection", "odd", *url, code=2).stderr
