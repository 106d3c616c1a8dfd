"""Generations over HTTP: built, compared, switched to, taken back, dropped, verified."""

import pytest
from desk import client_of

from penstock import App, Passage
from penstock.testing.hashed_embedder import HashedEmbedder

AT = "/v1/knowledge/books"


@pytest.fixture
async def live():
    app = App("library")
    app.knowledge("books")
    app.embedder("one", HashedEmbedder(32, 1))
    app.embedder("two", HashedEmbedder(16, 2))
    async with app.running(store="memory:", embedder="one") as running:
        books = running.knowledge("books")
        await books.put([Passage(f"p{number}", f"text number {number}") for number in range(20)])
        await books.indexed()
        yield running


async def test_a_generation_is_built_and_used(live):
    async with client_of(live) as client:
        assert (await client.post(f"{AT}/generations", json={"embedder": "two"})).json() == {"generation": 2}
        await live.knowledge("books").generations.ready(2)
        shown = (await client.get(f"{AT}/generations")).json()
        assert shown["serving"] == 1
        assert [(each["number"], each["status"], each["done"]) for each in shown["generations"]] == [
            (1, "serving", 1.0),
            (2, "ready", 1.0),
        ]
        compared = (await client.post(f"{AT}/compare", json={"generation": 2, "queries": ["text number 7"]})).json()
        assert compared["queries"] == 1
        assert compared["first"] == 1.0
        found = await client.post("/search", json={"query": "text number 7", "generation": 2, "mode": "vectors"})
        assert found.json()["results"][0]["id"] == "p7"
        assert (await client.post(f"{AT}/switch", json={"generation": 2})).json() == {"generation": 2}
        assert (await client.post(f"{AT}/rollback")).json() == {"generation": 1}
        assert (await client.delete(f"{AT}/generations/2")).json() == {"generation": 2}
        verified = (await client.post(f"{AT}/verify", json={"repair": True})).json()
        assert (verified["passages"], verified["missing"], verified["deep"]) == (20, 0, 20)


async def test_judged_queries_say_which_generation_is_better(live):
    async with client_of(live) as client:
        await client.post(f"{AT}/generations", json={"embedder": "two"})
        await live.knowledge("books").generations.ready(2)
        asked = {"generation": 2, "queries": ["text number 7", "text number 8"], "grades": [{"p7": 1}, {}]}
        compared = (await client.post(f"{AT}/compare", json=asked)).json()
        assert (compared["queries"], compared["judged"], compared["before"]["ndcg"]) == (2, 1, 1.0)
        odd = await client.post(f"{AT}/compare", json={**asked, "grades": [{"p7": 1}]})
        assert (odd.status_code, "1 for 2 queries" in odd.text) == (422, True)


async def test_options_of_a_build_are_checked(live):
    async with client_of(live) as client:
        answer = await client.post(f"{AT}/generations", json={"options": {"by": "odd", "words": "9"}})
        assert answer.status_code == 422
        assert {each["path"] for each in answer.json()["findings"]} == {"by", "words"}


async def test_what_cannot_be_done_is_a_problem_that_says_why(live):
    async with client_of(live) as client:
        for path, body, status, told in (
            ("switch", {"generation": 9}, 404, "generation 9"),
            ("switch", {"generation": 1, "grace": 3}, 422, "grace"),
            ("rollback", None, 409, "no generation that served before"),
            ("generations", {"embedder": "nothing"}, 422, "'nothing' is not known"),
        ):
            answer = await client.post(f"{AT}/{path}", json=body)
            assert answer.status_code == status, answer.text
            assert told in answer.text
        assert (await client.delete(f"{AT}/generations/1")).status_code == 409
        assert (await client.get("/v1/knowledge/films/generations")).status_code == 404


async def test_a_search_may_ask_for_what_there_was(live):
    await live.knowledge("books").put([Passage("p1", "river")])
    await live.knowledge("books").indexed()
    async with client_of(live) as client:
        asked = {"query": "text number 1", "mode": "words", "top_k": 1}
        assert (await client.post("/search", json={**asked, "as_of": "20"})).json()["results"][0]["id"] == "p1"
        assert (await client.post("/search", json=asked)).json()["results"][0]["id"] != "p1"
        assert (await client.post("/search", json={**asked, "as_of": "soon"})).status_code == 422


async def test_a_finer_model_is_asked_for_and_dropped(live):
    async with client_of(live) as client:
        assert (await client.post(f"{AT}/refine", json={"embedder": "two"})).json() == {"generation": 2}
        assert await live.knowledge("books").generations.refined()
        shown = (await client.get(f"{AT}/generations")).json()["generations"]
        assert [(each["refines"], each["done"]) for each in shown] == [(False, 1.0), (True, 1.0)]
        assert (await client.post(f"{AT}/refine", json={"embedder": "two"})).status_code == 409
        assert (await client.post(f"{AT}/refine", json={"embedder": "none"})).status_code == 422
        assert (await client.post(f"{AT}/refine", json={"embedder": "two", "speed": 1})).status_code == 422
        found = await client.post("/search", json={"query": "text number 7", "refine": False})
        assert found.json()["results"][0]["id"] == "p7"
        assert (await client.delete(f"{AT}/generations/2")).json() == {"generation": 2}
        assert (await client.post(f"{AT}/refine", json={"embedder": "two"})).json() == {"generation": 3}
