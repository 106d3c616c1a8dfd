"""An app whose vectors lie in what behaves like Pinecone; and Pinecone's own client on the same server."""

import pytest
from pinecone import Pinecone

from penstock import App
from penstock.core.knowledge.passages import Passage
from penstock.errors import Invalid


def app_of():
    app = App("far")
    app.knowledge("handbook")
    return app


async def test_an_app_keeps_its_vectors_in_pinecone_and_goes_on_by_words_without_it(tmp_path, pinecone):
    pinecone.add("books", dims=300)
    chosen = {"store": f"sqlite:{tmp_path}/far.db", "vectors": f"pinecone:{pinecone.address}/books"}
    async with app_of().running(**chosen) as live:
        handbook = live.knowledge("handbook")
        passages = [
            Passage("valves", "The main valve is closed by hand.", {"part": "1"}),
            Passage("gates", "The gates open in spring.", {"part": "2"}),
        ]
        await handbook.put(passages, consistency="strong")
        found = await handbook.search("close the valve", limit=1, filter={"part": {"lt": 2}})
        assert [(each.id, each.degraded) for each in found] == [("valves", "")]
        assert (await handbook.search("close the valve", limit=1, mode="vectors"))[0].id == "valves"
        assert await live.knowledge("handbook", tenant="other").search("close the valve") == []
        pinecone.failing[:] = [503] * 50
        found = await handbook.search("close the valve", limit=1)
        assert [each.id for each in found] == ["valves"]
        assert "pinecone did not answer" in found[0].degraded
        pinecone.failing.clear()
    async with app_of().running(**chosen) as live:
        assert (await live.knowledge("handbook").search("close the valve", limit=1, mode="vectors"))[0].id == "valves"


async def test_an_index_with_too_few_dimensions_is_told_at_the_start(tmp_path, pinecone):
    pinecone.add("small", dims=128)
    with pytest.raises(Invalid, match=r"vectors: names an index of 128 dimensions, and the embedder .* gives 256"):
        async with app_of().running(store=f"sqlite:{tmp_path}/far.db", vectors=f"pinecone:{pinecone.address}/small"):
            pass


def test_pinecones_own_client_finds_the_server_to_be_one(pinecone):
    pinecone.add("theirs", dims=2)
    client = Pinecone(api_key=pinecone.key, host=pinecone.address)
    assert client.describe_index("theirs").dimension == 2
    index = client.Index(host=f"{pinecone.address}/hosts/theirs")
    index.upsert([("a", [1.0, 0.0], {"n": 1}), ("b", [0.0, 1.0], {"n": 2})], namespace="x")
    for _ in range(pinecone.lag + 1):
        found = index.query(vector=[1.0, 0.1], top_k=2, namespace="x", filter={"n": {"$lte": 1}}, include_metadata=True)
    assert [(each.id, each.metadata) for each in found.matches] == [("a", {"n": 1})]
    assert set(index.fetch(["a", "b"], namespace="x").vectors) == {"a", "b"}
    index.delete(ids=["a"], namespace="x")
