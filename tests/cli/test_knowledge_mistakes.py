"""`penstock knowledge` with wrong and odd input: each mistake is one message that says what to do, and nothing is made or lost by it."""

import json
import threading
from contextlib import chdir
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from typer.testing import CliRunner

from penstock.cli import app


@pytest.fixture
def penstock(tmp_path):
    def run(*arguments, code=0):
        done = CliRunner().invoke(app, ["knowledge", *arguments])
        assert done.exit_code == code, (done.output, done.exception)
        return done

    with chdir(tmp_path):
        yield run


@pytest.fixture
def library(penstock, tmp_path):
    (tmp_path / "mill.md").write_text("# Mill\n\nA penstock brings water under pressure to a turbine.\n")
    penstock("put", "mill.md")
    return penstock


READING = [
    ("search", "water"),
    ("delete", "mill.md"),
    ("export", "-"),
    ("generations",),
    ("build",),
    ("compare", "2"),
    ("switch", "2"),
    ("rollback",),
    ("drop", "2"),
    ("rebuild",),
    ("verify",),
    ("refine", "static"),
    ("adapt",),
    ("evaluate", "--from-use"),
]


@pytest.mark.parametrize("command", [*READING, ("list",), ("forget", "anna", "--yes")], ids=lambda each: each[0])
def test_a_store_that_is_not_there_is_said_and_none_is_made(penstock, tmp_path, command):
    said = penstock(*command, code=2).stderr
    assert "penstock knowledge put" in said
    assert not (tmp_path / ".penstock").exists()


@pytest.mark.parametrize("command", READING, ids=lambda each: each[0])
def test_a_collection_that_nothing_was_put_into_is_said_with_those_that_there_are(library, command):
    said = library(*command, "--collection", "handbok", code=2).stderr
    assert "the collection 'handbok' is missing" in said
    assert "documents" in said


def test_what_was_created_is_known_though_nothing_is_in_it(penstock):
    penstock("create", "books", "--json")
    assert "nothing found" in penstock("search", "water", "--collection", "books").stdout
    assert "books" in penstock("list").stdout


def test_collections_are_listed(library):
    library("create", "books")
    (books, documents) = json.loads(library("list", "--json").stdout)["collections"]
    assert (books["name"], documents["name"], documents["generation"]) == ("books", "documents", 1)
    assert documents["model"].startswith("static-")


def test_of_several_documents_none_is_deleted_when_one_is_not_there(library):
    assert "tea.md" in library("delete", "mill.md", "tea.md", code=2).stderr
    assert len(library("export", "-").stdout.splitlines()) == 1
    assert json.loads(library("delete", "mill.md", "mill.md", "--json").stdout) == {"deleted": 1}


@pytest.mark.parametrize("to", ["nowhere/passages.jsonl", "folder"])
def test_an_export_that_cannot_be_written_is_said(library, tmp_path, to):
    (tmp_path / "folder").mkdir()
    assert "give FILE another file" in library("export", to, code=2).stderr


def test_an_export_replaces_a_file_when_it_is_whole(library, tmp_path):
    (tmp_path / "out.jsonl").write_text("before")
    assert json.loads(library("export", "out.jsonl", "--json").stdout) == {"passages": 1, "file": "out.jsonl"}
    (line,) = (tmp_path / "out.jsonl").read_text().splitlines()
    assert json.loads(line)["id"] == "mill.md"
    (tmp_path / "out.jsonl").write_text("before")
    library("export", "out.jsonl", "--collection", "odd", code=2)
    assert (tmp_path / "out.jsonl").read_text() == "before"
    assert not list(tmp_path.glob("*.part"))


def test_an_export_can_be_adapted_to_whatever_its_texts_hold(penstock, tmp_path):
    odd = "One\u2028two\x85three\x0bfour. It is a long sentence about the mill and its water. " * 3
    for number in range(60):
        (tmp_path / f"d{number}.txt").write_text(f"Wheel {number}. {odd}")
    penstock("put", *(f"d{number}.txt" for number in range(60)))
    penstock("export", "out.jsonl")
    said = penstock("adapt", "--documents", "out.jsonl", "--json").stdout
    assert json.loads(said)["passages"] == 60


def test_nobody_is_forgotten_when_the_receipt_cannot_be_written(penstock, tmp_path):
    (tmp_path / "app.py").write_text(
        'from penstock import App\n\napp = App("library")\nbooks = app.knowledge("books")\n'
    )
    (tmp_path / "anna.md").write_text("Anna was here.")
    penstock("put", "anna.md", "--app", "app.py")
    said = penstock("forget", "anna", "--yes", "--app", "app.py", "--out", "nowhere/receipt.json", code=2).stderr
    assert "give --out another file" in said
    assert "no folder" in said


@pytest.mark.parametrize("file", ["nowhere.json", "folder"])
def test_a_receipt_that_cannot_be_read_is_said(library, tmp_path, file):
    (tmp_path / "folder").mkdir()
    assert "forget --out" in library("receipt", file, code=2).stderr


def test_where_a_picture_cannot_be_written_nothing_is_measured(penstock, tmp_path):
    (tmp_path / "judged").mkdir()
    (tmp_path / "judged" / "corpus.jsonl").write_text('{"_id": "1", "text": "water"}\n')
    (tmp_path / "judged" / "queries.jsonl").write_text('{"_id": "q", "text": "water"}\n')
    (tmp_path / "judged" / "qrels.tsv").write_text("q\t1\t1\n")
    assert "--plot" in penstock("evaluate", "judged", "--plot", "nowhere/plot.svg", code=2).stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("build", "--by", "chapters"), "one of structure, sentences, tokens"),
        (("search", "water", "--tenant", "no such tenant"), "tenant"),
        (("search", "x" * 10_001), "10000"),
        (("put", "nowhere"), "nowhere"),
        (("put", "empty"), "no documents found"),
        (("search", "water", "--url", "localhost:8080"), "--url"),
        (("search", "water", "--url", "http://127.0.0.1:9"), "did not answer"),
        (("search", "water", "--url", "http://no host:80"), "did not answer"),
        (("search", "water", "--vectors", "milvas://h:1"), "milvas"),
        (("search", "water", "--threshold", "nan"), "score_min"),
        (("search", "water", "--as-of", "yesterday"), "2026-11-26T09:30Z"),
    ],
    ids=lambda each: str(each)[:40],
)
def test_what_is_wrong_is_said(library, tmp_path, arguments, said):
    (tmp_path / "empty").mkdir()
    assert said in library(*arguments, code=2).stderr


def test_a_file_that_cannot_be_read_is_said_and_the_others_go_in(penstock, tmp_path):
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "mill.md").write_text("Water drives the wheel.")
    (docs / "binary.txt").write_bytes(bytes(range(256)))
    (docs / "broken.pdf").write_bytes(b"%PDF-1.7 no more")
    (docs / "broken.docx").write_bytes(b"PK no more")
    (docs / "empty.md").write_bytes(b"")
    done = json.loads(penstock("put", "docs", "--json", code=1).stdout)
    assert {each["path"] for each in done["findings"]} == {"binary.txt", "broken.pdf", "broken.docx"}
    assert done["put"] == 2


@pytest.mark.parametrize("command", [("search", "water"), ("generations",), ("list",), ("status",), ("verify",)])
def test_an_address_where_no_app_is_is_said(penstock, command):
    class Other(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>hello</html>")

        do_POST = do_GET  # noqa: N815 - its name is given

        def log_message(self, *_):
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Other) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        assert "penstock app" in penstock(*command, "--url", url, code=2).stderr
        server.shutdown()


def test_other_passages_are_another_generation(penstock, tmp_path):
    (tmp_path / "mill.txt").write_text("Water drives the wheel. " * 60)
    penstock("put", "mill.txt")
    before = len(penstock("export", "-").stdout.splitlines())
    built = json.loads(penstock("build", "--by", "sentences", "--words-max", "20", "--switch", "--json").stdout)
    assert built["status"] == "serving"
    after = len(penstock("export", "-").stdout.splitlines())
    assert after > before
    penstock("rebuild")
    assert len(penstock("export", "-").stdout.splitlines()) == after, "the index anew from the log cut otherwise"
