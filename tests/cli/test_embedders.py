"""Which embedders can be chosen: the help, the error and the settings name the same."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from typer.testing import CliRunner

from penstock import App, Passage
from penstock.cli import app as command
from penstock.errors import Invalid, Missing
from penstock.settings import Settings

KINDS = "static, minilm, openai:NAME or sentence-transformers:NAME"
ALL = KINDS.replace("static,", "static, static:FILE,")


class Embeddings(BaseHTTPRequestHandler):
    """A service with OpenAI's format, in which each text is as long as it is."""

    def do_POST(self):
        texts = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["input"]
        self.server.keys.add(self.headers["Authorization"])
        rows = [{"index": number, "embedding": [float(len(text)), 1.0]} for number, text in enumerate(texts)]
        body = json.dumps({"data": rows}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@contextmanager
def embeddings():
    with ThreadingHTTPServer(("127.0.0.1", 0), Embeddings) as server:
        server.keys = set()
        server.daemon_threads = True
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        serving.start()
        try:
            yield server
        finally:
            server.shutdown()
            serving.join()


def library():
    app = App("library")
    app.knowledge("books")
    return app


async def test_an_app_searches_with_a_model_behind_openais_format(monkeypatch):
    with embeddings() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{server.server_port}/v1")
        monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
        async with library().running(Settings(store="memory:", embedder="openai:small")) as running:
            books = running.knowledge("books")
            await books.put([Passage("a", "short"), Passage("b", "a longer one")])
            await books.indexed()
            (found,) = await books.search("other", limit=1, mode="vectors")
        assert found.id == "a"
        assert server.keys == {"Bearer sk-test"}


async def test_without_a_key_it_says_which(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(Missing, match="set OPENAI_API_KEY"):
        async with library().running(Settings(store="memory:", embedder="openai:small")):
            pass


async def test_an_unknown_embedder_is_told_which_there_are():
    for spec in ("word2vec", "openai:", "minilm:x"):
        with pytest.raises(Invalid, match=f"use {ALL}"):
            async with library().running(Settings(store="memory:", embedder=spec)):
                pass


def test_the_help_names_the_same_embedders():
    for name in ("serve", "dev"):
        told = " ".join(CliRunner().invoke(command, [name, "--help"]).stdout.split())
        assert KINDS in told.replace("- ", "-")  # where a line was broken


def test_without_an_app_a_collection_keeps_the_embedder_that_serves_it(monkeypatch, tmp_path):
    def knowledge(*arguments, code=0):
        done = CliRunner().invoke(command, ["knowledge", *arguments, "--store", f"sqlite:{tmp_path / 'k.db'}"])
        assert done.exit_code == code, done.output
        return done

    note = tmp_path / "mill.md"
    note.write_text("water")
    with embeddings() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{server.server_port}/v1")
        monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
        knowledge("put", str(note), "--embedder", "openai:small")
        note.write_text("water, and a turbine")
        knowledge("put", str(note))
        (found,) = json.loads(knowledge("search", "turbine", "--mode", "vectors", "--json").stdout)["results"]
        assert found["payload"] == "water, and a turbine"
        knowledge("build", "--embedder", "static", "--switch")
        note.write_text("water, and a mill")
        knowledge("put", str(note))
        rows = json.loads(knowledge("generations", "--json").stdout)["generations"]
        assert [(each["embedder"], each["status"]) for each in rows] == [
            ("openai:small", "standby"),
            ("static", "serving"),
        ]
        assert "was indexed with static" in knowledge("put", str(note), "--embedder", "openai:other", code=2).stderr
        knowledge("rollback")
        (found,) = json.loads(knowledge("search", "mill", "--json").stdout)["results"]
        assert found["payload"] == "water, and a mill"
