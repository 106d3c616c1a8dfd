"""What a run tells on its way, over HTTP: by offset, through cancellations, and only to its tenant."""

import asyncio
import json

import pytest
from desk import client_of, problem

from penstock import App, Context, Event, WorkflowContext
from penstock.ports.chat_model import ChatEnd, TextDelta


class Topic(Event, key="name"):
    name: str


class Wish(Event, key="name"):
    name: str


class Chapter(Event, key="name"):
    name: str


class Slow:
    """A model that says a word each time it is let go on, and notes that it was closed."""

    def __init__(self):
        self.asked = 0
        self.closed = 0
        self.said = asyncio.Event()

    @property
    def name(self):
        return "slow:test"

    async def stream(self, request):
        self.asked += 1
        try:
            yield TextDelta("Once ")
            self.said.set()
            await asyncio.Event().wait()
            yield ChatEnd("slow:test")
        finally:
            self.closed += 1


class Library:
    def __init__(self):
        self.model = Slow()
        self.app = app = App("library")
        app.model("default", self.model)

        @app.agent
        async def count(topic: Topic, ctx: Context) -> int:
            for number in range(10):
                ctx.tell(f"{number} ", name="digits")
            ctx.stream("progress").write({"done": 10})
            return 10

        @app.agent
        async def other(topic: Topic) -> None:
            return None

        @app.workflow
        async def tell(chapter: Chapter, ctx: WorkflowContext) -> str:
            first = await ctx.model().ask("begin")
            return (await ctx.model().ask(f"go on after {first.text}")).text

        @app.workflow
        async def outer(wish: Wish, ctx: WorkflowContext) -> str:
            return await ctx.call("tell", Chapter(name=wish.name))


@pytest.fixture
async def library():
    return Library()


@pytest.fixture
async def running(library):
    async with library.app.running(store="memory:") as running:
        yield running


@pytest.fixture
async def client(running):
    async with client_of(running) as client:
        yield client


def told(text):
    """Return (kind, id, data) of each server-sent event."""
    found = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.split("\n") if line and line[0] != ":")
        if fields:
            number = fields.get("id")
            found.append((fields["event"], None if number is None else int(number), json.loads(fields["data"])))
    return found


async def followed(client, id, **given):
    headers = given.pop("headers", {})
    response = await client.get(f"/v1/runs/{id}/stream", params=given, headers=headers)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("text/event-stream")
    return told(response.text)


async def counted(client, tenant="default"):
    headers = {"X-Tenant": tenant}
    return (await client.post("/v1/agents/count", json={"name": "n"}, headers=headers)).json()["run_id"]


async def test_a_stream_has_its_offsets_as_ids(client):
    run = await counted(client)
    *pieces, (kind, number, end) = await followed(client, run)
    assert [(each[0], each[1]) for each in pieces] == [("token", number) for number in range(10)]
    assert pieces[3][2] == {
        "offset": 3,
        "text": "3 ",
        "name": "digits",
        "step": "",
        "attempt": 1,
        "provisional": False,
    }
    assert (kind, number, end) == ("ended", None, {"status": "succeeded"})


async def test_whoever_comes_back_says_where_he_was(client):
    run = await counted(client)
    assert [number for _, number, _ in await followed(client, run, **{"from": 7})] == [7, 8, 9, None]
    again = await followed(client, run, **{"from": 2}, headers={"Last-Event-ID": "7"})
    assert [number for _, number, _ in again] == [8, 9, None]
    assert [number for _, number, _ in await followed(client, run, headers={"Last-Event-ID": "9"})] == [None]


async def test_a_stream_has_a_name_and_holds_plain_data(client):
    run = await counted(client)
    (kind, _, data), _ = await followed(client, run, name="progress")
    assert (kind, data["data"]) == ("item", {"done": 10})


async def test_offsets_that_were_shown_and_lost_are_taken_back(client):
    run = await counted(client)
    reset, end = await followed(client, run, **{"from": 12})
    assert reset == ("reset", None, {"dropped": [[10, 12]], "attempt": 1})
    assert end[0] == "ended"


async def test_an_event_stands_for_the_run_that_handles_it_alone(client, running):
    await running.send(Topic(name="n"), id="n1")
    problem(await client.get("/v1/runs/n1/stream"), 409, "refused")
    kinds = [kind for kind, _, _ in await followed(client, "n1:count")]
    assert kinds == ["token"] * 10 + ["ended"]


@pytest.mark.parametrize("id", ["unknown", "unknown:count", ":", "x:y:z"])
async def test_what_does_not_exist_has_no_stream(client, id):
    problem(await client.get(f"/v1/runs/{id}/stream"), 404, "missing")


async def test_c10_a_stream_is_its_tenants(client):
    run = await counted(client, tenant="ada")
    problem(await client.get(f"/v1/runs/{run}/stream"), 404, "missing")
    assert len(await followed(client, run, headers={"X-Tenant": "ada"})) == 11


@pytest.mark.parametrize(
    ("query", "headers"),
    [
        ("?from=-1", {}),
        ("?from=x", {}),
        (f"?from={1 << 70}", {}),
        ("", {"Last-Event-ID": "x"}),
        ("", {"Last-Event-ID": "9" * 30}),
    ],
)
async def test_an_offset_is_a_number(client, query, headers):
    run = await counted(client)
    problem(await client.get(f"/v1/runs/{run}/stream{query}", headers=headers), 422, "invalid")


async def test_cancelling_a_run_in_the_middle_of_a_model_call_aborts_it_and_makes_no_other(client, library, running):
    """langgraph #5682: the children of a cancelled run went on calling models. Their streams end with a final marker."""
    answer = await client.post("/v1/agents/outer?wait_s=0", json={"name": "n"}, headers={"Idempotency-Key": "k"})
    outer = answer.json()["run_id"]
    await library.model.said.wait()
    (inner,) = running.engine.services.streams.runs
    async with asyncio.TaskGroup() as tasks:
        following = [tasks.create_task(followed(client, run)) for run in (outer, inner)]
        events = tasks.create_task(client.get(f"/v1/runs/{outer}/events"))
        await asyncio.sleep(0)
        assert (await client.post(f"/v1/runs/{outer}/cancel?reason=enough")).status_code == 202
    assert following[0].result() == [("ended", None, {"status": "cancelled", "reason": "enough"})]
    (token, _, said), (kind, _, end) = following[1].result()
    assert (token, said["text"], kind, end["status"]) == ("token", "Once ", "ended", "cancelled")
    assert told(events.result().text)[-1][::2] == ("cancelled", {"run_id": outer, "reason": "enough"})
    assert (library.model.asked, library.model.closed) == (1, 1)
    assert await running.engine.settled(5)
    assert library.model.asked == 1
    assert not running.engine.services.streams.runs
