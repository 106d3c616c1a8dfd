"""Routing by similarity in a running app: a choice is a step, and examples may be knowledge."""

import json
from contextlib import chdir
from pathlib import Path

import pytest
from typer.testing import CliRunner

from penstock import App, Context, Event, Passage
from penstock.cli import app as command_line
from penstock.errors import Invalid, LimitReached, Missing
from penstock.gateway.web import web_app
from penstock.runtime.replaying import Stretch
from penstock.runtime.routing import TEXTS_MAX

ROUTES = {
    "orders": ["where is my order", "my parcel has not come", "track my order", "the order is late"],
    "refunds": ["i want my money back", "refund please", "give me a refund", "how do i get a refund"],
}
OUTSIDE = ["what is the capital of france", "tell me a joke", "who won the match", "is it raining"]


class Asked(Event, key="session"):
    session: str
    text: str


class Sent(Event, key="session"):
    session: str
    route: str
    router: str


def desk(*, routes=None, from_collection=False):
    app = App("desk")
    examples = app.knowledge("examples")
    if from_collection:
        router = app.router("desk", examples=examples)
    else:
        router = app.router("desk", ROUTES if routes is None else routes, outside=OUTSIDE)

    @app.agent
    async def route(asked: Asked, ctx: Context) -> Sent:
        choice = await router.choose(asked.text)
        return Sent(session=asked.session, route=choice.route, router=choice.router)

    return app


def example(number, route, text):
    return Passage(f"e{number}", text, {"route": route})


async def put_examples(live, routes=ROUTES, tenant="default"):
    passages = [
        example(f"{route}{at}", route, text) for route, texts in routes.items() for at, text in enumerate(texts)
    ]
    await live.knowledge("examples", tenant=tenant).put(passages, consistency="strong")


async def test_c8_a_choice_is_a_step_so_that_a_replay_routes_equally(tmp_path):
    async with desk().running(store=f"sqlite:{tmp_path}/desk.db") as live:
        sent = await live.ask(Asked(session="s", text="my parcel is late"), Sent, id="a1")
        assert sent.route == "orders"
        assert sent.router.startswith("desk@")
        stored = await live.engine.parts.store.run("a1:route")
        assert [each.step for each in stored.records] == ["route:desk#0"]
        # Other examples decide otherwise; what was recorded stays.
        other = desk(routes={"late": ["my parcel is late"], "refunds": ROUTES["refunds"]})
        history = live.engine.parts.store
        recorded = [each async for each in other.replay(history, Stretch("asked", agent="route"))]
        fresh = [each async for each in other.replay(history, Stretch("asked", agent="route", fresh_reads=True))]
    assert [each.outcome for each in recorded] == ["same"]
    assert [each.outcome for each in fresh] == ["differs"]


async def test_examples_in_a_collection_are_learned_anew_when_they_change_and_are_those_of_the_tenant(tmp_path):
    app = desk(from_collection=True)
    async with app.running(store=f"sqlite:{tmp_path}/desk.db") as live:
        with pytest.raises(Invalid, match="routes"):
            await live.router("desk").choose("hello")
        await put_examples(live)
        first = await live.router("desk").choose("do you ship to mars")
        again = await live.router("desk").choose("do you ship to mars")
        assert first == again
        await live.send(Asked(session="s", text="i want a refund for the order"), id="a1")
        assert await live.engine.settled(10)
        shipping = {"shipping": ["do you ship to mars", "shipping abroad", "where do you ship to", "ship it to me"]}
        await put_examples(live, shipping)
        later = await live.router("desk").choose("do you ship to mars")
        assert later.ranked[0][0] == "shipping"
        assert later.router != first.router
        assert later.as_of > first.as_of
        with pytest.raises(Invalid):
            await live.router("desk", tenant="other").choose("hello")
        await put_examples(live, {"a": ["apples"], "b": ["bees"]}, tenant="other")
        assert await live.router("desk", tenant="other").routes() == ("a", "b")
        assert await live.router("desk").routes() == ("orders", "refunds", "shipping")
        # A choice that is made afresh in a replay sees the examples as they were.
        stretch = Stretch("asked", agent="route", fresh_reads=True)
        verdicts = [each async for each in app.replay(live.engine.parts.store, stretch)]
    assert [each.outcome for each in verdicts] == ["same"]


async def test_what_is_wrong_with_a_router_is_said(tmp_path):
    app = App("desk")
    with pytest.raises(Invalid) as caught:
        app.router("", None, outside=["x"], score_min=2)
    assert [each.path for each in caught.value.findings] == ["name", "routes", "score_min", "outside"]
    app.router("desk", ROUTES)
    with pytest.raises(Invalid, match="taken"):
        app.router("desk", ROUTES)
    app.router("file", file=tmp_path / "none.router")
    async with app.running(store="memory:") as live:
        with pytest.raises(Missing, match="penstock route fit"):
            await live.router("file").choose("x")
        with pytest.raises(Missing, match="declare it"):
            live.router("other")
        with pytest.raises(LimitReached):
            await live.router("desk").choose_many(["x"] * (TEXTS_MAX + 1))
        assert (await live.router("desk").choose("order " * 100_000)).ranked


async def test_routers_answer_over_http():
    import httpx2

    async with desk().running(store="memory:") as live:
        transport = httpx2.ASGITransport(web_app(live))
        async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
            assert (await client.get("/v1/routers")).json() == {"routers": ["desk"]}
            answer = await client.post("/v1/routers/desk", json={"texts": ["refund me", "what about the moon landing"]})
            assert [each["route"] for each in answer.json()["choices"]] == ["refunds", ""]
            assert (await client.post("/v1/routers/none", json={"texts": ["x"]})).status_code == 404
            assert (await client.post("/v1/routers/desk", json={"texts": []})).status_code == 422


def invoked(*arguments, code=0):
    done = CliRunner().invoke(command_line, ["route", *map(str, arguments)])
    assert done.exit_code == code, done.output
    return done


def lines(pairs):
    return "".join(json.dumps({"text": text, "intent": route}) + "\n" for text, route in pairs)


def test_a_router_is_learned_into_a_file_tried_measured_and_used_by_an_app(tmp_path):
    known = [(text, route) for route, texts in ROUTES.items() for text in texts] + [(text, "oos") for text in OUTSIDE]
    Path(tmp_path / "train.jsonl").write_text(lines(known))
    Path(tmp_path / "test.csv").write_text(
        "text,label\nwhere is my parcel,orders\nrefund it,refunds\nwho is king,oos\n"
    )
    Path(tmp_path / "app.py").write_text(
        'from penstock import App\napp = App("desk")\napp.router("desk", file="routes.router")\n'
    )
    with chdir(tmp_path):
        told = json.loads(invoked("fit", "train.jsonl", "--json").stdout)
        assert (told["routes"], told["examples"], told["outside"]) == (2, 8, 4)
        choices = json.loads(invoked("try", "where is my parcel", "--json").stdout)["choices"]
        assert choices[0]["route"] == "orders"
        by_app = json.loads(invoked("try", "where is my parcel", "--app", "app.py", "--json").stdout)["choices"]
        assert by_app[0]["score"] == choices[0]["score"]
        assert "orders" in invoked("try", "where is my parcel").stdout
        judgement = json.loads(invoked("evaluate", "test.csv", "--plot", "scores.svg", "--json").stdout)
        assert (judgement["in_scope"], judgement["out_of_scope"]) == (2, 1)
        assert judgement["accuracy_without_refusals"] == 1.0
        assert Path("scores.svg").read_text().startswith("<svg")
        assert "accuracy in scope" in invoked("evaluate", "test.csv").stdout
        Path("bad.jsonl").write_text('{"text": "x"}\n[]\n{"route": "a"}\n{\n')
        said = invoked("fit", "bad.jsonl", code=2).stderr
        assert all(f"line {number}" in said for number in (1, 2, 3, 4))
        assert "penstock route fit" in invoked("try", "x", "--router", "none.router", code=2).stderr
        assert "minilm" in invoked("try", "x", "--embedder", "minilm", code=2).stderr
