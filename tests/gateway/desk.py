"""A small app with an agent for each thing that can happen, and its web door."""

import asyncio

import httpx2

from penstock import App, Context, Event, Retry
from penstock.gateway import web_app


class Question(Event, key="session_id"):
    session_id: str
    text: str


class Answer(Event, key="session_id"):
    session_id: str
    text: str


class Order(Event):
    item: str
    count: int = 1


class Desk:
    """The app, and the gate that `patient` waits at."""

    def __init__(self):
        self.gate = asyncio.Event()
        self.arrived = asyncio.Event()
        self.counted = 0
        self.app = app = App("desk")

        @app.agent
        async def answer(question: Question, ctx: Context) -> Answer:
            """Answer a question, in capitals."""
            loud = await ctx.step("shout", self._shouted, question.text)
            return Answer(session_id=question.session_id, text=loud)

        @app.agent
        async def patient(order: Order, ctx: Context) -> str:
            ctx.tell("well, ", name="say")
            await ctx.step("look", str.upper, order.item)
            self.arrived.set()
            await self.gate.wait()
            ctx.tell("done", name="say")
            return f"{order.count} {order.item}"

        @app.agent(retry=Retry(attempts_max=1))
        async def grumpy(question: Question) -> None:
            if question.text == "boom":
                raise ValueError("no mood for that")

        @app.agent(retry=Retry(attempts_max=2, delay_s=0.001))
        async def clumsy(order: Order, ctx: Context) -> str:
            await ctx.step("grab", str.lower, order.item)
            if order.item == "Vase" and ctx.attempt == 1:
                await self.gate.wait()
                raise RuntimeError("dropped it")
            return "got it"

        @app.agent
        async def either(event: Question | Order) -> str:
            return type(event).__name__

        @app.agent(batch=10)
        async def many(answers: list[Answer]) -> None:
            return None

    async def _shouted(self, text: str) -> str:
        self.counted += 1
        return text.upper()


def client_to(api):
    """Return a client of a web app in this event loop."""
    transport = httpx2.ASGITransport(app=api, raise_app_exceptions=False)
    return httpx2.AsyncClient(transport=transport, base_url="http://test")


def client_of(running):
    return client_to(web_app(running))


def problem(response, status, kind):
    """Check that a response is a problem document, and return it."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    document = response.json()
    assert (document["status"], document["type"]) == (status, f"urn:penstock:{kind}")
    assert document["title"]
    assert document["detail"]
    return document
