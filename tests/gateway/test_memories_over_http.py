"""What agents remember, over HTTP: told, recalled, listed and forgotten, each tenant's and each user's apart."""

import pytest
from desk import client_of, problem

from penstock import App

AT = "/v1/memories/turns"


@pytest.fixture
async def companion():
    app = App("companion")
    app.memory("turns")
    async with app.running(store="memory:") as running, client_of(running) as client:
        yield client


async def told(client, text, tenant="default", **more):
    body = {"text": text, "consistency": "strong", **more}
    answer = await client.post(f"{AT}/remember", json=body, headers={"x-tenant": tenant})
    assert answer.status_code == 202, answer.text
    return answer.json()


async def listed(client, tenant="default", **asked):
    answer = await client.post(f"{AT}/list", json=asked, headers={"x-tenant": tenant})
    return [each["text"] for each in answer.json()["memories"]]


async def test_what_is_told_is_recalled_listed_and_forgotten(companion):
    await told(companion, "Mia must not eat nuts", user="anna", scope="user", importance=9, id="nuts")
    await told(companion, "the weather is fine", session="s", metadata={"mood": "good"})
    await told(companion, "for others", tenant="t2", user="anna", scope="user")
    assert (await companion.get("/v1/memories")).json() == {"memories": ["turns"]}
    asked = {"query": "what may Mia eat", "user": "anna", "session": "s"}
    best, other = (await companion.post(f"{AT}/recall", json=asked)).json()["memories"]
    assert (best["id"], best["scope"], best["user"]) == ("nuts", "user", "anna")
    assert best["score"] == pytest.approx(best["relevance"] + best["recency"] + best["importance"])
    assert other["metadata"] == {"mood": "good"}
    narrowed = {**asked, "scope": "session", "weights": {"relevance": 0, "importance": 0}}
    (only,) = (await companion.post(f"{AT}/recall", json=narrowed)).json()["memories"]
    assert only["score"] == pytest.approx(only["recency"])
    assert await listed(companion) == ["the weather is fine", "Mia must not eat nuts"]
    assert await listed(companion, user="anna") == ["Mia must not eat nuts"]
    assert await listed(companion, scope="session", limit=1) == ["the weather is fine"]
    assert await listed(companion, "t2") == ["for others"]
    assert (await companion.post(f"{AT}/forget", json={"ids": ["nuts", "never there"]})).status_code == 202
    assert await listed(companion) == ["the weather is fine"]
    assert await listed(companion, "t2") == ["for others"]


async def test_what_is_wrong_is_said(companion):
    for what, body, path in (
        ("recall", {"query": "x", "weights": {"speed": 1}}, "weights.speed"),
        ("recall", {"query": "x", "scope": "user"}, "user"),
        ("recall", {"query": "x", "weights": {"half_life_s": 0}}, "weights.half_life_s"),
        ("remember", {"text": "x"}, "session"),
        ("remember", {"text": "x", "session": "s", "metadata": {"user": "a", "agent": "b"}}, "metadata.agent"),
        ("forget", {"ids": []}, "body.ids"),
        ("list", {"limit": 1001}, "body.limit"),
        ("list", {"who": "anna"}, "body.who"),
    ):
        answer = await companion.post(f"{AT}/{what}", json=body)
        assert path in {each["path"] for each in problem(answer, 422, "invalid")["findings"]}, answer.text
    problem(await companion.post("/v1/memories/films/list", json={}), 404, "missing")
