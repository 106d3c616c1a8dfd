"""`http:invoke` and rules that call an address, against a real server on this machine."""

import json
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from penstock import App, Connection, OAuth, Retry, Target
from penstock.errors import RunFailed

PLACED = {"Source": "till", "DetailType": "OrderPlaced", "Detail": {"id": "7"}}


class Api:
    """What the server was asked, and what it answers by path: a status each time, the last one for ever."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, dict[str, str], str]] = []
        self.answers: dict[str, list[tuple[int, Any]]] = {}


@contextmanager
def serving(api: Api) -> Generator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            api.asked.append((self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body))
            given = api.answers.get(self.path.partition("?")[0], [(404, "nothing here")])
            status, answer = given.pop(0) if len(given) > 1 else given[0]
            text = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST  # noqa: N815 - http.server asks for this name

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def api():
    return Api()


@pytest.fixture
def address(api):
    with serving(api) as address:
        yield address


async def led(app: App, address: str, path: str, **parameters: Any) -> Any:
    given = {
        "ApiEndpoint": f"{address}{path}",
        "Method": "POST",
        "Authentication": {"ConnectionArn": "shop"},
        **parameters,
    }
    retry = [{"ErrorEquals": ["States.Http.StatusCode.503"], "IntervalSeconds": 1, "MaxAttempts": 2}]
    call = {
        "Type": "Task",
        "Resource": "arn:aws:states:::http:invoke",
        "Parameters": given,
        "Retry": retry,
        "End": True,
    }
    flow = app.workflow("flow", definition={"StartAt": "Call", "States": {"Call": call}})
    async with app.running(store="memory:") as live:
        try:
            return await live.result(await live.start("flow", flow.input()))
        except RunFailed as error:
            return error.reason


async def test_a_machine_calls_an_api_with_what_a_connection_carries_and_its_retry_decides(api, address):
    api.answers["/orders"] = [(503, "busy"), (201, {"id": 7})]
    app = App("caller")
    app.connection("shop", lambda: Connection({"X-Key": "secret"}, basic=("ada", "pw")))
    output = await led(app, address, "/orders", RequestBody={"total": 3}, QueryParameters={"q": "1"})
    assert (output["StatusCode"], output["StatusText"], output["ResponseBody"]) == (201, "Created", {"id": 7})
    assert "secret" not in json.dumps(output)
    (first, second) = api.asked
    assert (first[0], first[1], first[3]) == ("POST", "/orders?q=1", '{"total":3}')
    assert (first[2]["x-key"], first[2]["authorization"]) == ("secret", "Basic YWRhOnB3")
    assert first[2]["idempotency-key"] != second[2]["idempotency-key"]


async def test_a_token_is_fetched_once_for_a_connection_with_a_client(api, address):
    api.answers |= {"/token": [(200, {"access_token": "t", "expires_in": 3600})], "/orders": [(200, {})]}
    app = App("caller")
    app.connection("shop", Connection(oauth=OAuth(f"{address}/token", "client", "secret")))
    await led(app, address, "/orders")
    assert [path for _, path, _, _ in api.asked] == ["/token", "/orders"]
    assert api.asked[0][3] == "grant_type=client_credentials"
    assert api.asked[1][2]["authorization"] == "Bearer t"


@pytest.mark.parametrize(
    ("connection", "path", "error"),
    [
        (Connection(), "/nothing", "States.Http.StatusCode.404: Not Found"),
        (None, "/orders", "Events.ConnectionResource.ResourceNotFound: the connection 'shop' is missing"),
        (
            OAuth("/nothing", "c", "s"),
            "/orders",
            "Events.ConnectionResource.InvalidConnectionState: the connection 'shop' got no token",
        ),
    ],
)
async def test_a_call_that_fails_says_why(api, address, connection, path, error):
    app = App("caller")
    if isinstance(connection, OAuth):
        connection = Connection(oauth=OAuth(f"{address}/nothing", "c", "s"))
    if connection is not None:
        app.connection("shop", connection)
    assert (await led(app, address, path)).startswith(error)


async def test_nobody_who_answers_is_a_failure_of_the_socket():
    app = App("caller")
    app.connection("shop", Connection())
    assert (await led(app, "http://127.0.0.1:1", "/")).startswith("States.Http.Socket: ")


async def test_a_rule_calls_an_address_until_it_answers_under_one_key(api, address):
    api.answers["/hook"] = [(500, "no"), (200, "yes")]
    app = App("caller")
    app.connection("shop", Connection({"X-Key": "secret"}))
    retry = Retry(attempts_max=3, delay_s=0.01)
    app.rule("all", pattern={"source": ["till"]}, targets=Target(f"{address}/hook", retry=retry, connection="shop"))
    async with app.running(store="memory:") as live:
        await live.put_events([PLACED])
        assert await live.engine.settled(20)
        assert not await live.dead_letters()
    first, second = api.asked
    assert json.loads(first[3])["detail"] == {"id": "7"}
    assert first[2]["idempotency-key"] == second[2]["idempotency-key"]
    assert first[2]["x-key"] == "secret"


async def test_an_address_that_refuses_is_not_asked_again_and_the_event_is_kept(api, address):
    app = App("caller")
    app.rule("all", pattern={"source": ["till"]}, targets=Target(f"{address}/nothing", name="hook"))
    async with app.running(store="memory:") as live:
        await live.put_events([PLACED])
        assert await live.engine.settled(20)
        (letter,) = await live.dead_letters()
    assert letter.agent == "rule.all.hook"
    assert "answered 404 Not Found" in letter.reason
    assert len(api.asked) == 1
