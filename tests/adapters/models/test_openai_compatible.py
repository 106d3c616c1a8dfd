import asyncio
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

pytest.importorskip("httpx2", reason="the extra penstock[models] is not installed: its adapter is not tested")

from penstock.adapters.models.openai_compatible import ChatOptions, OpenAICompatibleModel
from penstock.errors import Missing, Refused, Unavailable
from penstock.ports.chat_model import ChatEnd, ChatRequest, Message, TextDelta, Usage
from penstock.testing.chat_model_contract import ASKED, ChatModelContract, Question, pieces

WORDS = ["It", " brings", " water", " 🙂."]


def chunk(delta, reason=None, **fields):
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    return {
        "id": "c1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "gpt-x-2026",
        "choices": [choice],
        **fields,
    }


USAGE = {**chunk({}), "choices": [], "usage": {"prompt_tokens": 11, "completion_tokens": 4, "total_tokens": 15}}
ANSWER = [chunk({"role": "assistant", "content": ""}), *(chunk({"content": word}) for word in WORDS), chunk({}, "stop")]


def error(message):
    return {"error": {"message": message, "type": "error", "param": None, "code": None}}


class ChatServer(BaseHTTPRequestHandler):
    """A server of streaming chat completions. The name of the model in the request says what it does."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.heard.append((self.path, self.headers["Authorization"], body))
        with self.server.watched_call():
            getattr(self, body["model"].replace("-", "_"))(body)

    def fine(self, body):
        self.events([*ANSWER, *([USAGE] if body.get("stream_options", {}).get("include_usage") else [])], "[DONE]")

    def no_done(self, body):
        self.events(ANSWER)

    def busy_once(self, body):
        if len(self.server.heard) == 1:
            self.refuse(429, error("slow down"), {"Retry-After": "3"})
        else:
            self.fine(body)

    def busy(self, body):
        self.refuse(503, error("overloaded"))

    def busy_long(self, body):
        self.refuse(429, error("come back tomorrow"), {"Retry-After": "86400"})

    def cut(self, body):
        self.events(ANSWER[:3], close=True)

    def cut_before(self, body):
        self.events([], close=True)

    def short_of_end(self, body):
        self.events(ANSWER[:3])

    def unauthorized(self, body):
        self.refuse(401, error("Incorrect API key provided"))

    def too_long(self, body):
        self.refuse(400, error("maximum context length is 10 tokens"))

    def unknown(self, body):
        self.refuse(404, error("The model does not exist"))

    def html(self, body):
        self.refuse(418, b"<h1>teapot</h1>")

    def plain(self, body):
        self.refuse(200, {"choices": []})

    def error_within(self, body):
        self.events([ANSWER[1], {"error": {"message": "backend lost", "code": 502}}])

    def refusal_within(self, body):
        self.events([{"error": {"message": "bad tool", "code": 400}}])

    def garbage(self, body):
        self.events([ANSWER[1]], "{not json")

    def long(self, body):
        self.events([chunk({"content": "so"}), chunk({}, "length")], "[DONE]")

    def filtered(self, body):
        self.events([chunk({"refusal": "I cannot."}), chunk({}, "stop")], "[DONE]")

    def endless(self, body):
        self.start()
        try:
            while not self.server.stopped.is_set():
                self.event(json.dumps(chunk({"content": "more "})))
        except OSError:
            self.close_connection = True

    def start(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def events(self, chunks, *more, close=False):
        self.start()
        for data in [*map(json.dumps, chunks), *more]:
            self.event(data)
        if close:
            self.close_connection = True
        else:
            self.wfile.write(b"0\r\n\r\n")

    def event(self, data):
        event = f"data: {data}\n\n".encode()
        self.wfile.write(f"{len(event):x}\r\n".encode() + event + b"\r\n")

    def refuse(self, status, body, headers=None):
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {
            "Content-Type": "application/json",
            "Content-Length": len(content),
            **(headers or {}),
        }.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), ChatServer)
        self.heard = []
        self.stopped = threading.Event()
        self._under_way = 0
        self._changed = threading.Condition()
        self.base_url = f"http://127.0.0.1:{self.server_address[1]}/v1"

    def watched_call(self):
        server = self

        class Call:
            def __enter__(self):
                with server._changed:
                    server._under_way += 1

            def __exit__(self, *_):
                with server._changed:
                    server._under_way -= 1
                    server._changed.notify_all()

        return Call()

    async def open_calls(self):
        def settled():
            with self._changed:
                self._changed.wait_for(lambda: self._under_way == 0, timeout=10)
                return self._under_way

        return await asyncio.to_thread(settled)


@pytest.fixture
def server():
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.stopped.set()
        running.shutdown()
        thread.join()


@pytest.fixture
def waits():
    return []


@pytest.fixture
def opened(server, waits):
    def model(name, **options):
        async def sleep(delay_s):
            waits.append(delay_s)

        return OpenAICompatibleModel(name, server.base_url, "secret", options=ChatOptions(**options), sleep=sleep)

    return model


async def asked(model, request=ASKED):
    *deltas, end = await pieces(model.stream(request))
    assert isinstance(end, ChatEnd)
    return "".join(delta.text for delta in deltas), end


class TestOpenAICompatibleModel(ChatModelContract):
    @pytest.fixture
    def model(self, opened):
        return opened("fine")

    @pytest.fixture
    def refusing(self, opened):
        return Question(opened("too-long"), ASKED)

    @pytest.fixture
    def open_calls(self, server):
        return server.open_calls


class TestAModelThatNeverStops(ChatModelContract):
    """Only closing can end its answers, so what needs a whole answer is given a short one."""

    @pytest.fixture
    def model(self, opened):
        return opened("endless", answer_chars_max=40)

    @pytest.fixture
    def refusing(self, opened):
        return Question(opened("unauthorized"), ASKED)

    @pytest.fixture
    def open_calls(self, server):
        return server.open_calls

    async def test_m1_the_end_tells_what_the_answer_cost(self, model):
        _, end = await asked(model)
        assert end.reason == "length"


async def test_text_model_and_usage_are_read_from_the_stream(opened):
    text, end = await asked(opened("fine"))
    assert text == "".join(WORDS)
    assert end == ChatEnd("gpt-x-2026", "stop", Usage(11, 4))


async def test_the_request_is_the_official_one(server, opened):
    request = ChatRequest((Message("system", "s"), Message("user", "u")), temperature=0.5, tokens_max=9)
    await asked(opened("fine", extra={"top_p": 0.9}), request)
    assert server.heard == [
        (
            "/v1/chat/completions",
            "Bearer secret",
            {
                "model": "fine",
                "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}],
                "stream": True,
                "max_tokens": 9,
                "temperature": 0.5,
                "stream_options": {"include_usage": True},
                "top_p": 0.9,
            },
        )
    ]


async def test_what_a_model_does_not_take_is_not_sent(server, opened):
    options = {"tokens_field": "max_completion_tokens", "takes_temperature": False, "tells_usage": False}
    _, end = await asked(opened("fine", **options))
    assert end.usage == Usage()
    [(_, _, body)] = server.heard
    assert set(body) == {"model", "messages", "stream", "max_completion_tokens"}


async def test_a_finish_reason_is_an_end_without_done(opened):
    assert (await asked(opened("no-done")))[0] == "".join(WORDS)


async def test_after_429_it_asks_again_when_the_service_says(server, opened, waits):
    assert (await asked(opened("busy-once", delay_s=0.1)))[0] == "".join(WORDS)
    assert len(server.heard) == 2
    assert waits == [3.0]


async def test_it_gives_up_after_the_attempts_it_has(server, opened, waits):
    with pytest.raises(Unavailable, match="status 503: overloaded"):
        await asked(opened("busy", attempts_max=3, delay_s=1.0, delay_s_max=1.5))
    assert len(server.heard) == 3
    assert 0.5 <= waits[0] <= 1.0
    assert 0.75 <= waits[1] <= 1.5


async def test_it_does_not_wait_longer_than_it_may(server, opened, waits):
    with pytest.raises(Unavailable, match="come back tomorrow"):
        await asked(opened("busy-long"))
    assert (len(server.heard), waits) == (1, [])


@pytest.mark.parametrize("model", ["cut", "short-of-end", "garbage", "error-within"])
async def test_what_was_heard_in_part_is_not_asked_again(server, opened, model):
    stream = opened(model).stream(ASKED)
    assert await anext(stream) == TextDelta("It")
    with pytest.raises(Unavailable):
        await pieces(stream)
    assert len(server.heard) == 1


async def test_a_cut_before_the_first_token_is_asked_again(server, opened):
    with pytest.raises(Unavailable):
        await asked(opened("cut-before", attempts_max=2))
    assert len(server.heard) == 2


@pytest.mark.parametrize(
    ("model", "error", "message"),
    [
        ("unauthorized", Missing, r"Incorrect API key provided.*: give api_key"),
        ("unknown", Missing, "The model does not exist"),
        ("too-long", Refused, "maximum context length"),
        ("html", Refused, "status 418: <h1>teapot</h1>"),
        ("plain", Refused, "application/json instead of a stream"),
        ("refusal-within", Refused, "bad tool"),
    ],
)
async def test_what_will_not_pass_is_not_asked_again(server, opened, model, error, message):
    with pytest.raises(error, match=message):
        await asked(opened(model))
    assert len(server.heard) == 1


@pytest.mark.parametrize(("model", "text", "reason"), [("long", "so", "length"), ("filtered", "I cannot.", "refused")])
async def test_why_an_answer_ended_is_told(opened, model, text, reason):
    said, end = await asked(opened(model))
    assert (said, end.reason) == (text, reason)


async def test_nobody_at_the_address_is_unavailable(waits):
    async def sleep(delay_s):
        waits.append(delay_s)

    model = OpenAICompatibleModel("m", "http://127.0.0.1:9/v1", options=ChatOptions(attempts_max=2), sleep=sleep)
    with pytest.raises(Unavailable, match="ConnectError"):
        await asked(model)
    assert len(waits) == 1
