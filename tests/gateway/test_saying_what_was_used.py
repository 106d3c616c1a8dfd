"""What passages were used for is said over HTTP: once, within bounds, and it lifts and judges."""

from desk import client_of

from penstock import App, Passage

TEXTS = {"mill": "Water drives the mill wheel.", "cat": "Cats purr when they are content.", "sea": "The sea is deep."}


async def filled(books):
    await books.put([Passage(each, text) for each, text in TEXTS.items()], consistency="strong")
    await books.used("what drives the wheel", ["mill"], shown=["mill", "sea"])


async def test_use_over_http_is_said_once_and_lifts():
    library = App("library")
    library.knowledge("books")
    async with library.running(store="memory:") as live, client_of(live) as client:
        books = live.knowledge("books")
        await filled(books)
        body = {"query": "what is it", "used": ["sea"], "shown": ["sea"]}
        ids = set()
        for _ in range(2):
            answer = await client.post("/v1/knowledge/books/used", json=body, headers={"idempotency-key": "k"})
            assert answer.status_code == 202
            ids.add(answer.json()["event"])
        assert len(ids) == 1
        assert sum(each.query == "what is it" for each, _ in await _uses(live)) == 1
        for _ in range(4):
            await client.post("/v1/knowledge/books/used", json=body)
        await live.engine.caught_up("knowledge-uses")
        asked = {"query": "water", "mode": "vectors", "top_k": 3}
        plain, lifted = [
            {each["id"]: each["score"] for each in (await client.post("/search", json=body)).json()["results"]}
            for body in (asked, {**asked, "boost": 1.0})
        ]
        assert lifted["sea"] > plain["sea"]
        assert lifted["cat"] == plain["cat"]
        evaluated = (await client.post("/v1/knowledge/books/evaluation", json={})).json()
        assert (evaluated["hybrid"]["queries"], set(evaluated["words"]["ndcg@10_of"])) == (
            2,
            {"what drives the wheel", "what is it"},
        )
        assert (await client.post("/v1/knowledge/books/evaluation?queries_max=0", json={})).status_code == 422
        for bad in ({"query": "x", "used": []}, {"query": "x", "used": ["a"], "verdict": "odd"}, {"used": ["a"]}):
            assert (await client.post("/v1/knowledge/books/used", json=bad)).status_code == 422
        assert (await client.post("/v1/knowledge/films/used", json=body)).status_code == 404


async def _uses(live):
    return await live.engine.services.collection("books").rearranging.uses.events("default")
