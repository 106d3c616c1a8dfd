import pytest
from desk import client_of, problem

from penstock import App
from penstock.core.knowledge.passages import Passage

PASSAGES = [
    Passage("a", "A penstock brings water under pressure to a turbine.", {"lang": "en"}),
    Passage("b", "The kettle is in the kitchen.", {"lang": "en"}),
    Passage("c", "Wasser fließt bergab.", {"lang": "de"}),
]


@pytest.fixture
async def library():
    app = App("library")
    app.knowledge("books")
    async with app.running(store="memory:") as running:
        knowledge = running.knowledge("books")
        await knowledge.put(PASSAGES)
        await knowledge.indexed()
        async with client_of(running) as client:
            yield client


async def test_the_best_passages_come_first(library):
    response = await library.post("/search", json={"query": "water turbine", "top_k": 2})
    assert response.status_code == 200
    best = response.json()["results"][0]
    assert set(best) == {"id", "score", "payload", "metadata"}
    assert (best["id"], best["payload"], best["metadata"]) == ("a", PASSAGES[0].text, {"lang": "en"})
    assert len(response.json()["results"]) <= 2
    assert (response.json()["generation"], response.json()["as_of"]) == (1, len(PASSAGES))


@pytest.mark.parametrize("mode", ["hybrid", "vectors", "words"])
async def test_a_filter_holds_in_every_mode(library, mode):
    asked = {"query": "Wasser", "mode": mode, "filter": {"lang": "de"}, "collection": "books"}
    response = await library.post("/search", json=asked)
    assert [each["id"] for each in response.json()["results"]] == ["c"]


async def test_a_tenant_finds_nothing_of_another_s(library):
    response = await library.post("/search", json={"query": "water"}, headers={"X-Tenant": "acme"})
    assert response.json() == {"results": []}


@pytest.mark.parametrize(
    ("asked", "path"),
    [
        ({"query": "x", "top_k": 0}, "body.top_k"),
        ({"query": "x", "top_k": 1001}, "body.top_k"),
        ({"query": ""}, "body.query"),
        ({}, "body.query"),
        ({"query": "x", "mode": "odd"}, "body.mode"),
        ({"query": "x", "limit": 5}, "body.limit"),
        ({"query": "x", "filter": {"lang": {"odd": 1}}}, "$.lang.odd"),
    ],
)
async def test_what_is_wrong_with_a_search_is_said(library, asked, path):
    document = problem(await library.post("/search", json=asked), 422, "invalid")
    assert path in [each["path"] for each in document["findings"]]


async def test_the_most_passages_that_may_be_asked_for_can_be(library):
    assert (await library.post("/search", json={"query": "water", "top_k": 1000})).status_code == 200


async def test_a_query_above_the_limit_is_refused(library):
    problem(await library.post("/search", json={"query": "x" * 10_001}), 413, "limit-reached")


async def test_a_collection_that_is_not_there_is_missing(library):
    problem(await library.post("/search", json={"query": "x", "collection": "films"}), 404, "missing")


async def test_an_app_without_knowledge_says_so(client):
    assert "declare one" in problem(await client.post("/search", json={"query": "x"}), 404, "missing")["detail"]


async def test_an_app_of_several_collections_needs_to_know_which():
    app = App("library")
    app.knowledge("books")
    app.knowledge("films")
    async with app.running(store="memory:") as running, client_of(running) as client:
        document = problem(await client.post("/search", json={"query": "x"}), 422, "invalid")
        assert document["findings"][0]["hint"] == "one of books, films"
        assert (await client.post("/search", json={"query": "x", "collection": "films"})).json() == {"results": []}


async def test_several_queries_are_answered_in_their_order_in_one_call(library):
    queries = ["water turbine", "kettle", "Wasser", "water turbine"]
    options = {"top_k": 2, "filter": {"lang": {"exists": True}}, "highlight": True}
    answer = await library.post("/search/many", json={"queries": queries, **options})
    assert answer.status_code == 200
    apart = [(await library.post("/search", json={"query": each, **options})).json() for each in queries]
    assert answer.json() == {"searches": apart}


@pytest.mark.parametrize(
    "asked",
    [{"queries": []}, {"queries": [""]}, {"query": "x"}, {"queries": ["x"] * 1001}, {"queries": ["x"], "top_k": 0}],
)
async def test_what_is_wrong_with_several_queries_is_said(library, asked):
    assert problem(await library.post("/search/many", json=asked), 422, "invalid")["findings"]


async def test_json_that_is_not_said_to_be_json_is_told_so(library):
    """As `curl -d` sends it."""
    headers = {"content-type": "application/x-www-form-urlencoded"}
    answer = await library.post("/search", content=b'{"query": "x"}', headers=headers)
    (finding,) = problem(answer, 422, "invalid")["findings"]
    assert "application/json" in finding["hint"]
