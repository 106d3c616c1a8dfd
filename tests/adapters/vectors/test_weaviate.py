"""What a real Weaviate does in its own way, and apps whose vectors lie there."""

import secrets
from urllib.parse import parse_qs, urlsplit

import pytest
from dropping_proxy import proxy_to
from weaviate_server import KEY

from penstock import App
from penstock.core.knowledge.filters import All, Equal, In, Not, Range
from penstock.core.knowledge.passages import Passage, Space
from penstock.errors import Invalid, Refused, Unavailable
from penstock.testing.vectors_contract import EAST, NORTH, SPACE, near, put
from penstock.vector_stores import open_vectors


@pytest.fixture
def url(weaviate):
    return f"{weaviate.url}&prefix=t{secrets.token_hex(6)}"


async def test_what_was_written_is_there_after_opening_again(url):
    async with open_vectors(url, {}) as index:
        await index.apply([put("a", EAST, metadata={"n": "1"}), put("b", NORTH)])
    async with open_vectors(url, {}) as index:
        assert await near(index, EAST) == ["a", "b"]
        assert await near(index, EAST, filter=Range("n", lt="2")) == ["a"]


async def test_a_number_that_another_worker_has_added_is_compared_and_one_that_nobody_has_is_in_nothing(url):
    async with open_vectors(url, {}) as one, open_vectors(url, {}) as other:
        await one.apply([put("a", EAST)])
        assert await near(one, EAST, filter=Range("n", gte="0")) == []
        await other.apply([put("b", EAST, metadata={"n": "7"})])
        assert await near(one, EAST, filter=Range("n", gte="0")) == ["b"]
        assert await near(one, EAST, filter=Not(Range("n", gte="0"))) == ["a"]


async def test_a_collection_that_another_worker_has_dropped_is_made_anew_and_not_guessed(url):
    async with open_vectors(url, {}) as one, open_vectors(url, {}) as other:
        await one.apply([put("a", EAST), put("a", EAST, Space("handbook", "else"))])
        await other.apply([put("b", EAST)])
        while await one.clear(SPACE, limit=10) or await one.clear(Space("handbook", "else"), limit=10):
            pass
        assert await near(other, EAST) == []
        await other.apply([put("c", EAST, metadata={"n": "1"})])
        assert await near(other, EAST, filter=Range("n", gte="1")) == ["c"]
        assert await other.spaces("handbook") == [SPACE]


async def test_tenants_of_any_name_are_kept_apart(url):
    tenants = ["a", "A", "a_", "a_5f", "", "日本", "x" * 64, "x" * 65, "../..", "a b"]
    async with open_vectors(url, {}) as index:
        await index.apply([put("same", EAST, Space("c", each), text=each or "-") for each in tenants])
        for each in tenants:
            assert (await index.passages(Space("c", each), ["same"]))["same"].text == each or "-"
        assert {each.tenant for each in await index.spaces("c")} == set(tenants)


@pytest.mark.parametrize("odd", ["\0", "half \ud800", "*", "?", "\\", '"}'])
async def test_no_text_in_a_filter_is_taken_for_anything_else(url, odd):
    async with open_vectors(url, {}) as index:
        await index.apply([put("a", EAST, metadata={"f": "v"}), put("b", EAST, metadata={"f": "a"})])
        assert await near(index, EAST, filter=Equal("f", odd)) == []
        assert await near(index, EAST, filter=In("f", (odd, "v"))) == ["a"]
        assert await near(index, EAST, filter=All((Not(Equal("f", odd)), Range("f", gte="b")))) == ["a"]


@pytest.mark.parametrize("gone", ["cut", "hold"])
async def test_searches_go_on_by_words_while_weaviate_is_away_and_all_is_there_when_it_is_back(tmp_path, url, gone):
    app, there = App("apart"), urlsplit(url)
    app.knowledge("handbook")
    options = {name: values[0] for name, values in parse_qs(there.query).items()}
    async with (
        proxy_to(there.hostname, there.port) as http,
        proxy_to(there.hostname, int(options["grpc_port"])) as grpc,
    ):
        through = f"weaviate://127.0.0.1:{http.port}?grpc_port={grpc.port}&prefix={options['prefix']}"
        async with app.running(store=f"sqlite:{tmp_path}/a.db", vectors=through, vectors_answer_s="0.7") as live:
            handbook = live.knowledge("handbook")
            await handbook.put(Passage("valves", "The main valve is closed by hand."), consistency="strong")
            assert (await handbook.search("close the valve"))[0].degraded == ""
            for each in (http, grpc):
                getattr(each, gone)()
            for _ in range(2):
                found = await handbook.search("close the valve")
                assert [each.id for each in found] == ["valves"]
                assert found[0].degraded.startswith("by words only: ")
            await handbook.put(Passage("gates", "The gates open in spring."))
            for each in (http, grpc):
                each.restore()
            await handbook.indexed()
            assert {each.id for each in await handbook.search("gates", mode="vectors")} == {"gates", "valves"}


class TestSettings:
    async def test_a_key_that_is_not_known_is_named(self, url):
        with pytest.raises(Invalid, match=r"vectors: .* does not let us in .*WEAVIATE_API_KEY"):
            async with open_vectors(url, {"WEAVIATE_API_KEY": "wrong"}):
                pass
        async with open_vectors(url, {"WEAVIATE_API_KEY": KEY}) as index:
            await index.apply([put("a", EAST)])

    async def test_nobody_there_is_told_within_seconds_with_the_setting(self):
        with pytest.raises(Unavailable, match="the setting `vectors`"):
            async with open_vectors("weaviate://127.0.0.1:9", {}):
                pass

    async def test_what_is_no_weaviate_is_told(self, aws):
        with pytest.raises((Refused, Unavailable, Invalid), match="the setting `vectors`"):
            async with open_vectors(f"weaviate://{aws.partition('://')[2]}?grpc_port=9", {}):
                pass

    @pytest.mark.parametrize(
        "bad",
        [
            "weaviate:",
            "weaviate://:80",
            "weaviate://h:x",
            "weaviate://u:p@h",
            "weaviate://h?replicas=0",
            "weaviate://h?o=1",
        ],
    )
    async def test_an_address_that_is_none_is_refused(self, bad):
        with pytest.raises(Invalid, match="vectors"):
            async with open_vectors(bad, {}):
                pass
