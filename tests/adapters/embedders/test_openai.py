"""The OpenAI-compatible embedder against a real HTTP server that speaks the official request and response shapes."""

import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from penstock.adapters.embedders.openai import OpenAiOptions, open_openai_embedder
from penstock.errors import Refused, Unavailable
from penstock.testing.embedder_contract import EmbedderContract

DIMS = 8
KEY = "sk-secret"


class EmbeddingsServer:
    """`POST /v1/embeddings`. `faults` are (status, body) pairs that are answered first, in order."""

    def __init__(self) -> None:
        self.requests: list[dict] = []
        self.faults: list[tuple[int, bytes]] = []
        self.headers: dict[str, str] = {}
        self.dims = DIMS
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}/v1"

    def close(self) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    def answer(self, path: str, authorization: str | None, body: bytes) -> tuple[int, bytes]:
        question = json.loads(body)
        self.requests.append(question)
        if self.faults:
            return self.faults.pop(0)
        if path != "/v1/embeddings":
            return 404, b"no such page"
        if authorization != f"Bearer {KEY}":
            return 401, _error("Incorrect API key provided.")
        if question["model"] != "text-embedding-test":
            return 404, _error("The model does not exist.")
        texts = question["input"]
        # The official service's own rules: no empty input, at most 2,048 of them, at most 8,191 tokens each.
        if not texts or len(texts) > 2048 or any(not t or len(t.encode()) > 8191 for t in texts):
            return 400, _error("'$.input' is invalid.")
        rows = [{"object": "embedding", "index": i, "embedding": self._vector(text)} for i, text in enumerate(texts)]
        usage = {"prompt_tokens": 1, "total_tokens": 1}
        # The format orders by index, not by place.
        return 200, json.dumps(
            {"object": "list", "data": rows[::-1], "model": question["model"], "usage": usage}
        ).encode()

    def _vector(self, text: str) -> list[float]:
        return [byte / 64 - 2 for byte in hashlib.blake2b(text.encode(), digest_size=self.dims).digest()]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status, answer = server.answer(self.path, self.headers["Authorization"], body)
                self.send_response(status)
                self.send_header("Content-Length", str(len(answer)))
                for name, value in server.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, format: str, *args: object) -> None:
                pass

        return Handler


def _error(message: str) -> bytes:
    return json.dumps(
        {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": None}}
    ).encode()


@pytest.fixture
def server() -> Iterator[EmbeddingsServer]:
    server = EmbeddingsServer()
    yield server
    server.close()


def _open(server: EmbeddingsServer, *, api_key: str = KEY, **options):
    given = {"base_url": server.base_url, "model": "text-embedding-test", "delay_s": 0.0, "timeout_s": 20.0} | options
    return open_openai_embedder(OpenAiOptions(**given), api_key=api_key)


class TestOpenAiEmbedder(EmbedderContract):
    @pytest.fixture
    async def embedder(self, server: EmbeddingsServer):
        async with _open(server) as embedder:
            yield embedder

    @pytest.fixture
    async def twin(self, server: EmbeddingsServer):
        async with _open(server, dims=DIMS) as embedder:
            yield embedder


async def test_the_length_of_the_vectors_is_learned_from_the_service(server):
    server.dims = 5
    async with _open(server) as embedder:
        assert embedder.dims == 5


async def test_a_known_length_costs_no_request(server):
    async with _open(server, dims=DIMS) as embedder:
        assert embedder.dims == DIMS
    assert server.requests == []


async def test_the_request_has_the_official_shape(server):
    async with _open(server, dims=DIMS, shorten=True) as embedder:
        await embedder.embed(["a", "b"])
    assert server.requests == [
        {"model": "text-embedding-test", "input": ["a", "b"], "encoding_format": "float", "dimensions": DIMS}
    ]


async def test_texts_go_in_requests_of_at_most_256(server):
    async with _open(server, dims=DIMS) as embedder:
        await embedder.embed([f"text {n}" for n in range(600)])
    assert [len(r["input"]) for r in server.requests] == [256, 256, 88]


async def test_a_request_stays_below_its_bytes(server):
    async with _open(server, dims=DIMS, request_bytes_max=1_000) as embedder:
        await embedder.embed(["x" * 400] * 5)
    assert [len(r["input"]) for r in server.requests] == [2, 2, 1]


async def test_a_blank_text_is_not_sent_and_is_zero(server):
    async with _open(server, dims=DIMS) as embedder:
        rows = await embedder.embed(["", "a", " \n"])
    assert [abs(row).max() == 0 for row in rows] == [True, False, True]
    assert [r["input"] for r in server.requests] == [["a"]]


async def test_purposes_have_their_own_prefixes(server):
    async with _open(server, dims=DIMS, query_prefix="query: ", passage_prefix="passage: ") as embedder:
        await embedder.embed(["a"], purpose="query")
        await embedder.embed(["a"])
    assert [r["input"] for r in server.requests] == [["query: a"], ["passage: a"]]


@pytest.mark.parametrize("other", [{"model": "other"}, {"dims": 4}, {"query_prefix": "q: "}, {"text_bytes_max": 99}])
async def test_what_changes_the_vectors_changes_the_name(server, other):
    async with _open(server, dims=DIMS) as one, _open(server, **({"dims": DIMS} | other)) as two:
        assert one.name != two.name


@pytest.mark.parametrize("status", [429, 500, 502, 503, 529])
async def test_a_passing_fault_is_tried_again(server, status):
    server.faults = [(status, _error("Come back later."))] * 3
    async with _open(server, dims=DIMS) as embedder:
        assert (await embedder.embed(["a"])).shape == (1, DIMS)
    assert len(server.requests) == 4


async def test_a_lasting_fault_is_unavailable_after_the_last_attempt(server):
    server.faults = [(503, _error("Overloaded."))] * 9
    async with _open(server, dims=DIMS, attempts_max=3) as embedder:
        with pytest.raises(Unavailable, match=r"Overloaded.*3 attempts"):
            await embedder.embed(["a"])
    assert len(server.requests) == 3


async def test_the_wait_that_the_service_asks_for_is_bounded(server):
    server.faults, server.headers = [(429, _error("Slow down."))], {"Retry-After": "3600"}
    async with _open(server, dims=DIMS, delay_s_max=0.01) as embedder:
        assert (await embedder.embed(["a"])).shape == (1, DIMS)


@pytest.mark.parametrize(
    ("status", "body"),
    [(400, _error("Bad.")), (401, b"<html>"), (403, b""), (404, b'{"error": "gone"}'), (422, b"\xff")],
)
async def test_a_refusal_is_not_tried_again(server, status, body):
    server.faults = [(status, body)]
    async with _open(server, dims=DIMS) as embedder:
        with pytest.raises(Refused, match=str(status)):
            await embedder.embed(["a"])
    assert len(server.requests) == 1


async def test_a_wrong_key_is_refused_and_not_shown(server):
    async with _open(server, dims=DIMS, api_key="sk-wrong") as embedder:
        with pytest.raises(Refused, match="Incorrect API key") as refusal:
            await embedder.embed(["a"])
    assert "sk-wrong" not in str(refusal.value)


async def test_a_service_that_is_not_there_is_unavailable(server):
    url = server.base_url
    server.close()
    options = OpenAiOptions(base_url=url, model="m", delay_s=0.0, attempts_max=2)
    with pytest.raises(Unavailable):
        async with open_openai_embedder(options):
            pass


@pytest.mark.parametrize("url", ["no-scheme/v1", "ftp://127.0.0.1/v1", "http://127.0.0.1:port/v1"])
async def test_an_address_that_is_none_is_refused(url):
    with pytest.raises(Refused, match="base_url"):
        async with open_openai_embedder(OpenAiOptions(base_url=url, model="m", delay_s=0.0)):
            pass


@pytest.mark.parametrize(
    "body",
    [
        b"<html>welcome</html>",
        b"{}",
        b'{"data": []}',
        b'{"data": [{"index": 1, "embedding": [1.0]}]}',
        b'{"data": [{"index": 0, "embedding": [1.0]}]}',
        b"\xff\xfe",
    ],
    ids=["html", "empty", "no rows", "other index", "other length", "not text"],
)
async def test_an_answer_of_another_shape_is_refused(server, body):
    server.faults = [(200, body)]
    async with _open(server, dims=DIMS) as embedder:
        with pytest.raises(Refused):
            await embedder.embed(["a"])


async def test_an_answer_without_end_is_refused(server):
    async with _open(server, dims=DIMS, answer_bytes_max=1_000) as embedder:
        with pytest.raises(Refused, match="answer_bytes_max"):
            await embedder.embed([f"text {n}" for n in range(100)])
