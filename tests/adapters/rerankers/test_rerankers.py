"""Every re-ranker keeps the contract; that of a service against a server of its own shape."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from penstock.adapters.rerankers.local import MeaningReranker, WordsReranker
from penstock.adapters.rerankers.service import open_service_reranker
from penstock.core.knowledge.proximity import proximity
from penstock.errors import Refused, Unavailable
from penstock.ports.reranker import Candidate
from penstock.testing.hashed_embedder import HashedEmbedder
from penstock.testing.reranker_contract import CANDIDATES, QUERY, RerankerContract


class TestWordsReranker(RerankerContract):
    @pytest.fixture
    def reranker(self):
        return WordsReranker()


class TestMeaningReranker(RerankerContract):
    @pytest.fixture
    def reranker(self):
        return MeaningReranker(HashedEmbedder())


class Service(BaseHTTPRequestHandler):
    """Answers as Cohere does: refuses blank documents, gives results in the order of their scores."""

    status, body = 200, None

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        assert asked.keys() == {"model", "query", "documents", "top_n"}
        status = 400 if not all(asked["documents"]) else self.server.status
        words = set(asked["query"].split())
        scores = [len(words & set(each.split())) / (1 + len(words)) for each in asked["documents"]]
        results = [{"index": at, "relevance_score": score} for at, score in enumerate(scores)]
        results.sort(key=lambda each: -each["relevance_score"])
        body = self.server.body or json.dumps({"id": "x", "results": results}).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def service():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
    server.status, server.body = 200, None
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
async def asked(service):
    service.status, service.body = 200, None
    async with open_service_reranker(f"http://127.0.0.1:{service.server_port}/v1", "m", api_key="k") as reranker:
        yield reranker


class TestServiceReranker(RerankerContract):
    @pytest.fixture
    async def reranker(self, asked):
        return asked


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (500, None, Unavailable),
        (429, None, Unavailable),
        (401, None, Refused),
        (200, b"<html>", Refused),
        (200, b'{"results": []}', Refused),
    ],
)
async def test_what_a_service_answers_in_place_of_scores_is_one_of_our_errors(service, asked, status, body, kind):
    service.status, service.body = status, body
    with pytest.raises(kind):
        await asked.rerank(QUERY, CANDIDATES)


async def test_nobody_at_the_address_is_unavailable():
    async with open_service_reranker("http://127.0.0.1:9/v1", "m") as reranker:
        with pytest.raises(Unavailable):
            await reranker.rerank("x", [Candidate("y", 1.0)])


def test_words_that_stand_together_are_nearer():
    together, apart = "a cold start is slow", "a start that is slow, when it is cold outside"
    assert proximity("cold start", together) > proximity("cold start", apart) > proximity("cold start", "cold") > 0
    assert proximity("cold start", "nothing of it") == proximity("", "x") == 0
