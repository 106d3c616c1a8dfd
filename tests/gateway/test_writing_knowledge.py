"""Knowledge is written over HTTP: documents, S0's events as JSON and Avro, and searches that see what was written."""

import json

import pytest
from desk import client_of, problem

from penstock import App
from penstock.core.knowledge.events import AVRO, KnowledgeEvent, require_right
from penstock.core.schemas.wire import encode_avro
from penstock.errors import Invalid

EVENT = {
    "event_id": "e1",
    "timestamp": 1_764_000_000_000,
    "agent_id": "a",
    "action": "CREATE",
    "payload": "A penstock brings water to a turbine.",
    "metadata": {"document_id": "mill", "lang": "en"},
    "embedding": None,
}
BASE = "/v1/knowledge/books"


@pytest.fixture
async def library():
    app = App("library")
    app.knowledge("books")
    app.schemas()
    async with app.running(store="memory:") as running, client_of(running) as client:
        yield client


async def found(library, query, **asked):
    return (await library.post("/search", json={"query": query, **asked})).json()["results"]


async def test_documents_are_put_found_by_their_token_and_removed(library):
    given = {"documents": [{"id": "a/b.md", "text": "The kettle is in the kitchen.", "metadata": {"lang": "en"}}]}
    put = await library.post(f"{BASE}/documents", json=given)
    assert put.status_code == 202
    (best,) = await found(library, "kettle", after=put.json()["token"])
    assert (best["id"], best["payload"], best["metadata"]) == (
        "a/b.md",
        given["documents"][0]["text"],
        {"lang": "en"},
    )
    assert (await library.delete(f"{BASE}/documents/a/b.md?consistency=strong")).status_code == 202
    assert await found(library, "kettle") == []
    assert (await library.get(f"{BASE}/indexing")).json()["lag"] == 0


async def test_events_of_s0_come_as_json_and_as_framed_avro(library):
    assert (await library.post(f"{BASE}/events?consistency=strong", json=EVENT)).status_code == 202
    (best,) = await found(library, "water turbine")
    assert (best["id"], best["payload"]) == ("mill", EVENT["payload"])
    registered = await library.post(
        "/v1/registry/subjects/knowledge-events-value/versions", json={"schema": json.dumps(AVRO)}
    )
    body = encode_avro(registered.json()["id"], json.dumps(AVRO), {**EVENT, "event_id": "e2", "action": "DELETE"})
    assert (await library.post(f"{BASE}/events?consistency=strong", content=body)).status_code == 202
    assert await found(library, "water turbine") == []


async def test_bulk_writes_are_found_after_one_refresh(library):
    many = [{**EVENT, "event_id": f"b{n}", "metadata": {"document_id": f"d{n}"}} for n in range(50)]
    assert len((await library.post(f"{BASE}/events?consistency=bulk", json=many)).json()["events"]) == 50
    assert (await library.post(f"{BASE}/refresh")).status_code == 204
    assert len(await found(library, "water", top_k=100)) == 50


async def test_what_is_wrong_is_said(library):
    bad = await library.post(f"{BASE}/events", json=[EVENT, {**EVENT, "action": "ODD"}, {"agent_id": 3}])
    assert {each["path"].partition(".")[0] for each in problem(bad, 422, "invalid")["findings"]} == {"[1]", "[2]"}
    problem(await library.post(f"{BASE}/events", content=b"\x00\x00\x00\x00\x63abc"), 404, "missing")
    problem(await library.post(f"{BASE}/events", content=b"{"), 422, "invalid")
    problem(await library.post(f"{BASE}/documents", json={"documents": []}), 422, "invalid")
    problem(await library.post("/v1/knowledge/films/refresh"), 404, "missing")
    problem(await library.post("/search", json={"query": "x", "after": "odd"}), 422, "invalid")


async def test_events_are_answered_by_the_ids_that_they_came_with_and_what_is_impossible_by_number(library):
    named, nameless = {**EVENT, "event_id": "mine"}, {**EVENT, "event_id": ""}
    first = (await library.post(f"{BASE}/events", json=[named, nameless])).json()["events"]
    assert first[0] == "mine"
    assert first[1]
    assert (await library.post(f"{BASE}/events", json=named)).json()["events"] == ["mine"]
    bad = {**EVENT, "metadata": {"document_id": "d", "expires_at": "soon"}}
    answer = await library.post(f"{BASE}/events", json=[EVENT, bad, {"agent_id": 3}])
    paths = {each["path"] for each in problem(answer, 422, "invalid")["findings"]}
    assert "[1].expires_at" in paths
    assert any(each.startswith("[2].") for each in paths)
    document = {"id": "d", "text": "x", "metadata": {"expires_at": "never"}}
    problem(await library.post(f"{BASE}/documents", json={"documents": [document]}), 422, "invalid")
    framed = encode_avro(1, json.dumps(AVRO), {**EVENT, "embedding": [1.0, float("nan")]})
    problem(await library.post(f"{BASE}/events", content=framed), 422, "invalid")


@pytest.mark.parametrize(
    ("changed", "path"),
    [
        ({"timestamp": 2**63}, "[0].timestamp"),
        ({"metadata": {"expires_at": "9" * 5000}}, "[0].expires_at"),
        ({"embedding": [1e39]}, "[0].embedding"),
    ],
)
async def test_what_nobody_could_index_is_refused_at_once(library, changed, path):
    refused = problem(await library.post(f"{BASE}/events", json={**EVENT, **changed}), 422, "invalid")
    assert [each["path"] for each in refused["findings"]] == [path]


@pytest.mark.parametrize(
    ("changed", "said"),
    [({"embedding": [1.0, 2.0]}, "has 2 numbers"), ({"action": "DELETE", "metadata": {}}, "document_id")],
)
async def test_a_strong_write_that_was_given_up_is_said_with_the_reason_and_is_no_fault_of_the_server(
    library, changed, said
):
    answer = await library.post(f"{BASE}/events?consistency=strong", json={**EVENT, **changed})
    assert said in problem(answer, 409, "run-failed")["detail"]
    assert len((await library.get("/v1/dead-letters")).json()["dead_letters"]) == 1


def test_an_embedding_that_holds_no_number_is_refused():
    with pytest.raises(Invalid, match="embedding"):
        require_right([KnowledgeEvent.checked({**EVENT, "embedding": [1.0, float("nan")]})])
