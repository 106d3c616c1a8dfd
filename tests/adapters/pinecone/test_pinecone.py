"""Passages in what behaves like Pinecone, and holds every request and answer against its official description."""

import numpy as np
import pytest

from penstock.adapters.pinecone.passages import open_pinecone
from penstock.core.knowledge.filters import All, Equal, In, Not, Range
from penstock.core.knowledge.passages import Delete, Passage, Space, Upsert
from penstock.errors import Invalid, LimitReached, Missing, NotLetIn, Refused, Unavailable
from penstock.testing.spaces_contract import SpacesContract
from penstock.testing.vectors_contract import EAST, NORTH, SPACE, VectorIndexContract, near, put, rows


@pytest.fixture
async def index(index_url, environment):
    async with open_pinecone(index_url, environment) as index:
        yield index


class TestPineconeVectors(VectorIndexContract):
    pass


class TestPineconeSpaces(SpacesContract):
    pass


async def test_what_was_written_is_there_after_opening_again(index_url, environment):
    async with open_pinecone(index_url, environment) as index:
        await index.apply([put("a", EAST), put("b", NORTH)])
    async with open_pinecone(index_url, environment) as index:
        assert await near(index, EAST) == ["a", "b"]


async def test_a_write_returns_when_searches_see_it_however_long_that_takes(pinecone, index):
    for lag in (0, 1, 4):
        pinecone.lag = lag
        await index.apply([put(f"lag {lag}", EAST)])
        assert f"lag {lag}" in await near(index, EAST)
        await index.apply([Delete(SPACE, f"lag {lag}")])
        assert await near(index, EAST) == []


async def test_a_write_that_is_never_seen_is_not_taken_for_one(pinecone, index_url, environment):
    pinecone.lag = 1_000_000
    async with open_pinecone(index_url, environment, seen_s_max=0.05) as index:
        with pytest.raises(Unavailable, match="not searched after"):
            await index.apply([put("a", EAST)])


async def test_a_pinecone_without_numbers_of_its_log_is_taken_at_its_word(pinecone, index):
    pinecone.lag, pinecone.tells_numbers = 0, False
    await index.apply([put("a", EAST)])
    assert await near(index, EAST) == ["a"]


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_an_answer_that_passes_is_asked_for_again(pinecone, index, status):
    await index.apply([put("a", EAST)])
    pinecone.failing[:] = [status, status]
    assert await near(index, EAST) == ["a"]
    pinecone.failing[:] = [status] * 3
    with pytest.raises(Unavailable, match=f"status {status}"):
        await near(index, EAST)


async def test_a_key_that_is_taken_back_is_an_outage_and_no_reason_to_give_up_writes(pinecone, index):
    pinecone.key = "another"
    with pytest.raises(NotLetIn, match="set PINECONE_API_KEY"):
        await index.apply([put("a", EAST)])


async def test_many_and_large_records_go_in_as_many_calls_as_the_limits_ask(pinecone, index):
    pinecone.calls.clear()
    await index.apply([put(f"{number:05}", EAST) for number in range(2_500)])
    upserts = [each for each in pinecone.calls if each.endswith("upsert")]
    assert len(upserts) == 3
    assert len(await index.digests(SPACE)) == 2_500
    await index.apply([put(f"large {number}", EAST, text="x" * 30_000) for number in range(70)])
    assert len([each for each in pinecone.calls if each.endswith("upsert")]) == 3 + 2
    await index.apply([Delete(SPACE, f"{number:05}") for number in range(2_500)])
    assert len(await index.digests(SPACE)) == 70


async def test_what_is_too_large_for_a_record_is_refused_before_anything_is_written(index):
    with pytest.raises(LimitReached, match=r"passage 'b'.*40960"):
        await index.apply([put("a", EAST), put("b", EAST, text="x" * 50_000)])
    with pytest.raises(Refused, match=r"65 dimensions.*has 64"):
        await index.apply([put("a", EAST), put("b", (1.0,) * 65)])
    with pytest.raises(Invalid):
        await index.apply([put("a", EAST), Upsert(SPACE, Passage("c", "x"), b"odd")])
    with pytest.raises(LimitReached, match="a space's name"):
        await index.apply([put("a", EAST, Space("x" * 600))])
    assert await index.digests(SPACE) == {}


async def test_queries_too_long_and_limits_too_high_are_refused(index):
    await index.apply([put("a", EAST)])
    with pytest.raises(Refused, match="65 dimensions"):
        await index.nearest(SPACE, np.ones((1, 65), np.float32), limit=1)
    with pytest.raises(LimitReached):
        await index.nearest(SPACE, rows(EAST), limit=10_001)


async def test_names_of_any_length_and_kind_are_kept_apart(index):
    odd = ["a:b", "a%3Ab", "ü" * 400, "ü" * 401, " ", "%%", "/../", "\0"]
    spaces = [Space("c:d", "e"), Space("c", "d:e"), Space("c", "d", 2), Space("ç", "日本")]
    for number, space in enumerate(spaces):
        await index.apply([put(name, EAST, space, text=f"{number} {name}") for name in odd])
    for number, space in enumerate(spaces):
        assert await near(index, EAST, space=space, limit=20) == sorted(odd)
        found = await index.passages(space, odd)
        assert {name: each.text for name, each in found.items()} == {name: f"{number} {name}" for name in odd}
        scored = (await index.cosines(space, rows(EAST), [odd]))[0]
        assert set(scored) == set(odd)
        assert space in await index.spaces(space.collection)


@pytest.mark.parametrize("odd", ["\0", "half \ud800", "$eq", "$or", "\\", '"}'])
async def test_no_text_in_a_filter_is_taken_for_anything_else(index, odd):
    await index.apply([put("a", EAST, metadata={"f": "v"}), put("b", EAST, metadata={"f": "a"})])
    assert await near(index, EAST, filter=Equal("f", odd)) == []
    assert await near(index, EAST, filter=In("f", (odd, "v"))) == ["a"]
    assert await near(index, EAST, filter=Equal(odd, "v")) == []
    assert await near(index, EAST, filter=All((Not(Equal("f", odd)), Range("f", gte="b")))) == ["a"]


async def test_filters_that_can_be_said_exactly_bring_no_metadata_back(pinecone, index):
    await index.apply([put("a", EAST, metadata={"day": "2026-11-26T09:30:00.000Z", "n": "7"})])
    for asked in (Range("day", gte="2026-11-26"), Range("n", lt="8"), Not(Equal("n", "8"))):
        pinecone.calls.clear()
        assert await near(index, EAST, filter=asked) == ["a"]
        assert len(pinecone.calls) == 1


class TestSettings:
    async def test_an_index_that_is_not_there_is_named_with_what_it_must_be(self, pinecone, environment):
        with pytest.raises(Invalid, match=r"vectors.*no index 'nowhere'.*metric cosine"):
            async with open_pinecone(f"pinecone:{pinecone.address}/nowhere", environment):
                pass

    async def test_a_wrong_key_is_named(self, index_url):
        environment = {"PINECONE_API_KEY": "wrong"}
        with pytest.raises(Invalid, match=r"vectors.*refused the key.*PINECONE_API_KEY"):
            async with open_pinecone(index_url, environment):
                pass

    async def test_the_service_needs_a_key(self):
        environment = {}
        with pytest.raises(Missing, match=r"vectors = pinecone:books.*set PINECONE_API_KEY"):
            async with open_pinecone("pinecone:books", environment):
                pass

    @pytest.mark.parametrize(
        ("options", "problem"),
        [({"metric": "euclidean"}, "metric euclidean"), ({"vector_type": "sparse"}, "none of dense vectors")],
    )
    async def test_an_index_of_another_kind_is_refused(self, pinecone, options, problem, environment):
        pinecone.add("other-kind", dims=8, **options)
        with pytest.raises(Invalid, match=f"vectors.*{problem}"):
            async with open_pinecone(f"pinecone:{pinecone.address}/other-kind", environment):
                pass

    @pytest.mark.parametrize(
        "url",
        [
            "pinecone:",
            "pinecone:Large",
            "pinecone:a/b",
            "pinecone:http://:1/x",
            "pinecone:ftp://h/x",
            "pinecone:http://h:x/i",
        ],
    )
    async def test_an_address_that_is_none_is_refused(self, url, environment):
        with pytest.raises(Invalid, match="vectors"):
            async with open_pinecone(url, environment):
                pass

    async def test_nobody_there_is_told_within_seconds_with_the_setting(self, pinecone, environment):
        with pytest.raises(Unavailable, match="the setting `vectors`"):
            async with open_pinecone("pinecone:http://127.0.0.1:9/books", environment):
                pass

    async def test_what_is_no_pinecone_is_told(self, aws, environment):
        with pytest.raises((Invalid, Refused), match="vectors"):
            async with open_pinecone(f"pinecone:{aws}/books", environment):
                pass
