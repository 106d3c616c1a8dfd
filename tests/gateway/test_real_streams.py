"""Streams through a real server: who leaves, and who comes back."""

import asyncio
import json

import pytest
from real_server import served

from penstock import App, Context, Event
from penstock.gateway import let_go, served_app, web_app
from penstock.settings import Settings

WORDS = 60


class Story(Event, key="name"):
    name: str


class Teller:
    """An app that tells a story word by word, each when it is let."""

    def __init__(self):
        self.app = app = App("teller")
        self.allowed = asyncio.Semaphore(0)
        self.lives = 0

        @app.agent
        async def tell(story: Story, ctx: Context) -> str:
            self.lives += 1
            await ctx.read("first half", self.half, ctx, 0)
            await ctx.read("second half", self.half, ctx, WORDS // 2)
            return story.name

    async def half(self, ctx, first):
        for number in range(first, first + WORDS // 2):
            await self.allowed.acquire()
            ctx.tell(f"{number} ")

    def let(self, words):
        for _ in range(words):
            self.allowed.release()


@pytest.fixture
async def teller():
    return Teller()


class Reader:
    """A client that keeps what stands, and knows where it was."""

    def __init__(self, client, run):
        self.client = client
        self.run = run
        self.kept = {}
        self.last = None
        self.end = None
        self.seen = []

    async def read(self, count):
        """Connect, read so many pieces (all, when there are fewer), and leave."""
        headers = {} if self.last is None else {"Last-Event-ID": str(self.last)}
        kind = ""
        async with self.client.stream("GET", f"/v1/runs/{self.run}/stream", headers=headers) as response:
            async for line in response.aiter_lines():
                name, _, value = line.partition(": ")
                if name == "event":
                    kind = value
                elif name == "data":
                    self.take(kind, json.loads(value))
                    count -= 1
                    if count == 0 or self.end:
                        return

    def take(self, kind, data):
        if kind == "ended":
            self.end = data
            return
        assert kind in ("token", "reset"), (kind, data)
        self.last = data["offset"]
        self.seen.append(self.last)
        if kind == "token":
            self.kept[self.last] = data["text"]
        for first, end in data.get("dropped", ()):
            self.kept = {offset: text for offset, text in self.kept.items() if not first <= offset < end}

    @property
    def text(self):
        return "".join(self.kept[offset] for offset in sorted(self.kept))


async def begun(client):
    return (await client.post("/v1/agents/tell?wait_s=0", json={"name": "x"})).json()["run_id"]


WHOLE = "".join(f"{number} " for number in range(WORDS))


async def test_reconnecting_by_offset_leaves_no_gap_and_no_duplicate(teller):
    """agno #6849, agents-api #552: who came back to a stream missed pieces, or got them twice."""
    async with teller.app.running(store="memory:") as running, served(web_app(running), lifespan="off") as client:
        reader = Reader(client, await begun(client))
        for number in range(WORDS // 3):
            teller.let(3)
            await reader.read(number % 3 + 1)
        while reader.end is None:
            await reader.read(7)
    assert reader.seen == list(range(WORDS))
    assert (reader.text, reader.end) == (WHOLE, {"status": "succeeded"})


async def test_a_client_who_leaves_a_stream_does_not_touch_what_is_kept(teller, tmp_path):
    """kagent #2447: when the client disconnected, what the run had done was not stored."""
    settings = Settings(store=f"sqlite:{tmp_path / 'teller.db'}")
    async with served(served_app(teller.app, settings)) as client:
        run = await begun(client)
        readers = [Reader(client, run) for _ in range(5)]
        teller.let(10)
        await asyncio.gather(*(reader.read(number + 1) for number, reader in enumerate(readers)))
        teller.let(WORDS)  # nobody follows any more
        async with asyncio.timeout(10):
            while (await client.get(f"/v1/runs/{run}")).json()["status"] != "succeeded":  # noqa: ASYNC110 - see below
                await asyncio.sleep(0.01)
        late = Reader(client, run)
        await late.read(-1)
        assert (late.text, late.end, teller.lives) == (WHOLE, {"status": "succeeded"}, 1)


async def test_a_stream_that_is_open_when_the_server_stops_is_let_go_and_goes_on_at_the_next(teller):
    async with teller.app.running(store="memory:") as running:
        api = web_app(running)
        async with served(api, lifespan="off") as client:
            reader = Reader(client, await begun(client))
            teller.let(3)
            reading = asyncio.ensure_future(reader.read(-1))
            async with asyncio.timeout(10):
                while len(reader.seen) < 3:  # noqa: ASYNC110 - nobody tells what a client has read
                    await asyncio.sleep(0.001)
            let_go(api)
            await reading
        assert reader.end is None
        teller.let(WORDS)
        async with served(web_app(running), lifespan="off") as reader.client:
            await reader.read(-1)
    assert (reader.text, reader.end) == (WHOLE, {"status": "succeeded"})
