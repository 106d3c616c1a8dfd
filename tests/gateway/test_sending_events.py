import asyncio
import json

import pytest
from desk import client_of, problem

from penstock import App, Event

ORDER = {
    "specversion": "1.0",
    "id": "1",
    "source": "/shop",
    "type": "Question.v1",
    "data": {"session_id": "s", "text": "a"},
}
STRUCTURED = {"Content-Type": "application/cloudevents+json"}
BATCH = {"Content-Type": "application/cloudevents-batch+json; charset=utf-8"}


async def recorded(running, id):
    return (await running.engine.parts.store.event(id)).event


async def test_a_structured_event_is_durable_and_handled(client, running):
    response = await client.post("/v1/events", json=ORDER, headers=STRUCTURED)
    assert response.status_code == 202
    sent = response.json()["id"]
    assert (await recorded(running, sent)).key == "s"
    assert await running.engine.settled(5)
    shown = await client.get(f"/v1/runs/{sent}:answer")
    assert shown.json()["result"]["text"] == "A"


async def test_the_subject_overrides_the_key(client, running):
    response = await client.post("/v1/events", json={**ORDER, "subject": "other"}, headers=STRUCTURED)
    assert (await recorded(running, response.json()["id"])).key == "other"


async def test_a_binary_event_carries_its_attributes_as_headers(client, running):
    headers = {
        "ce-specversion": "1.0",
        "ce-id": "7",
        "ce-source": "/sh%C3%B6p",
        "ce-type": "Question",
        "ce-subject": "k",
    }
    response = await client.post("/v1/events", json=ORDER["data"], headers=headers)
    assert response.status_code == 202
    event = await recorded(running, response.json()["id"])
    assert (event.type, event.key) == ("Question.v1", "k")
    same = {**ORDER, "id": "7", "source": "/shöp"}
    again = await client.post("/v1/events", json=same, headers=STRUCTURED)
    assert again.json() == response.json()


async def test_a_batch_is_accepted_whole_in_its_order(client, running):
    batch = [{**ORDER, "id": str(number), "data": {"session_id": "s", "text": str(number)}} for number in range(50)]
    response = await client.post("/v1/events", json=batch, headers=BATCH)
    assert response.status_code == 202
    places = [(await running.engine.parts.store.event(each)).position.offset for each in response.json()["ids"]]
    assert places == list(range(1, 51))


async def test_a_batch_shares_commits(client, running):
    before = running.engine.services.committer.durable_number
    batch = [{**ORDER, "id": str(number), "data": {"session_id": str(number), "text": "x"}} for number in range(100)]
    await client.post("/v1/events", json=batch, headers=BATCH)
    assert running.engine.services.committer.durable_number - before < 50


async def test_a_batch_with_one_bad_event_is_refused_whole_with_all_findings(client, running):
    bad = [ORDER, {**ORDER, "specversion": "2"}, {**ORDER, "data": {"text": 1}}, {**ORDER, "type": "Odd"}]
    document = problem(await client.post("/v1/events", json=bad, headers=BATCH), 422, "invalid")
    paths = [each["path"] for each in document["findings"]]
    assert paths == ["[1].specversion", "[2].session_id", "[2].text", "[3].type"]
    assert await running.engine.parts.store.ends() == {}


async def test_a_batch_has_a_limit(client):
    problem(await client.post("/v1/events", json=[ORDER] * 1001, headers=BATCH), 413, "limit-reached")


async def test_an_event_is_known_by_its_id_and_source_together(client):
    one = (await client.post("/v1/events", json=ORDER, headers=STRUCTURED)).json()
    again = (await client.post("/v1/events", json=ORDER, headers=STRUCTURED)).json()
    other = (await client.post("/v1/events", json={**ORDER, "source": "/other"}, headers=STRUCTURED)).json()
    tenant = (await client.post("/v1/events", json=ORDER, headers={**STRUCTURED, "X-Tenant": "acme"})).json()
    assert one == again
    assert len({one["id"], other["id"], tenant["id"]}) == 3


async def test_the_tenant_comes_from_the_header_and_from_nowhere_else(client, running):
    headers = {**STRUCTURED, "X-Tenant": "acme"}
    problem(await client.post("/v1/events", json={**ORDER, "tenant": "victim"}, headers=headers), 422, "invalid")
    response = await client.post("/v1/events", json={**ORDER, "tenant": "acme"}, headers=headers)
    assert (await recorded(running, response.json()["id"])).tenant == "acme"


async def test_an_event_type_that_the_app_does_not_know_is_missing(client):
    document = problem(
        await client.post("/v1/events", json={**ORDER, "type": "Odd"}, headers=STRUCTURED), 404, "missing"
    )
    assert "Question.v1" in document["detail"]


async def test_what_is_no_cloudevent_is_refused(client):
    for body in (b"", b"{", b"[]", b"\xff", b'{"id": "\\ud800"}', b"[" * 100_000):
        problem(await client.post("/v1/events", content=body, headers=STRUCTURED), 422, "invalid")
        problem(
            await client.post("/v1/events", content=body if body != b"[]" else b"{}", headers=BATCH), 422, "invalid"
        )
    long = {**ORDER, "id": "x" * 1025}
    assert (
        problem(await client.post("/v1/events", json=long, headers=STRUCTURED), 422, "invalid")["findings"][0]["path"]
        == "id"
    )


@pytest.mark.parametrize(
    "headers", [{"Content-Type": "application/json"}, {"ce-specversion": "1.0", "Content-Type": "text/plain"}]
)
async def test_a_body_of_another_kind_is_refused(client, headers):
    problem(await client.post("/v1/events", content=b"{}", headers=headers), 415, "unsupported-media-type")


async def test_an_event_without_data_says_what_is_missing(client):
    bare = {name: value for name, value in ORDER.items() if name != "data"}
    problem(await client.post("/v1/events", json=bare, headers=STRUCTURED), 422, "invalid")


async def test_many_senders_of_the_same_event_send_one(client, running):
    sent = await asyncio.gather(*(client.post("/v1/events", json=ORDER, headers=STRUCTURED) for _ in range(10)))
    assert len({each.json()["id"] for each in sent}) == 1
    assert (await running.engine.parts.store.ends())["question", 0] == 1


class Parcel(Event, version=2):
    grams: int


@Parcel.upcast(1)
def in_grams(data):
    return {"grams": data["kilos"] * 1000}


@pytest.mark.parametrize("type", ["Parcel.v1", "Parcel"])
async def test_an_event_of_an_older_version_is_taken_as_the_newest(type):
    app = App("post")

    @app.agent
    async def weigh(parcel: Parcel) -> int:
        return parcel.grams

    async with app.running(store="memory:") as running, client_of(running) as client:
        event = {"specversion": "1.0", "id": "p1", "source": "/test", "type": type, "data": {"kilos": 3}}
        headers = {"content-type": "application/cloudevents+json"}
        sent = await client.post("/v1/events", content=json.dumps(event), headers=headers)
        assert sent.status_code == 202
        assert await running.engine.settled(5)
        run = (await client.get(f"/v1/runs/{sent.json()['id']}:weigh")).json()
        assert (run["status"], run["result"]) == ("succeeded", 3000)
        newer = json.dumps({**event, "id": "p2", "type": "Parcel.v3"})
        problem(await client.post("/v1/events", content=newer, headers=headers), 404, "missing")
        wrong = json.dumps({**event, "id": "p3", "data": {"stones": 1}})
        problem(await client.post("/v1/events", content=wrong, headers=headers), 422, "invalid")
