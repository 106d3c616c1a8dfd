"""Passages in a real Postgres with pgvector."""

import secrets

import numpy as np
import pytest
from postgres_server import ask, fresh

from penstock.adapters.postgres.address import address_of
from penstock.adapters.postgres.passages import open_postgres_passages
from penstock.core.knowledge.filters import All, Equal, In, Not, Range
from penstock.core.knowledge.passages import Passage, Space, Upsert
from penstock.errors import Invalid, LimitReached, Missing, NotLetIn, Refused
from penstock.testing.spaces_contract import SpacesContract
from penstock.testing.vectors_contract import EAST, NORTH, SPACE, VectorIndexContract, near, put, rows


@pytest.fixture
def vectors_url(pgvector):
    with fresh(pgvector) as address:
        yield address


@pytest.fixture
async def index(vectors_url):
    async with open_postgres_passages(vectors_url) as index:
        yield index


class TestPgvectorVectors(VectorIndexContract):
    pass


class TestPgvectorSpaces(SpacesContract):
    pass


async def test_what_was_written_is_there_after_opening_again(vectors_url):
    async with open_postgres_passages(vectors_url) as index:
        await index.apply([put("a", EAST), put("b", NORTH)])
    async with open_postgres_passages(vectors_url) as index:
        assert await near(index, EAST) == ["a", "b"]


async def test_numbers_beyond_those_of_postgres_compare_as_elsewhere(index):
    years = {"a": "1e999", "b": "-1e999", "c": "0", "d": "-0.0", "e": "2e-400", "f": "x"}
    await index.apply([put(name, EAST, metadata={"year": year}) for name, year in years.items()])
    assert await near(index, EAST, limit=9, filter=Range("year", gt="0")) == ["a", "f"]
    assert await near(index, EAST, limit=9, filter=Range("year", lte="0")) == ["b", "c", "d", "e"]
    assert await near(index, EAST, limit=9, filter=Range("year", gte="1e400")) == ["a", "f"]


@pytest.mark.parametrize("odd", ["\0", "half \ud800", "a' OR true --", "$1", "\\"])
async def test_no_text_in_a_filter_is_taken_for_anything_else(index, odd):
    await index.apply([put("a", EAST, metadata={"f": "v"}), put("b", EAST, metadata={"f": "a"})])
    assert await near(index, EAST, filter=Equal("f", odd)) == []
    assert await near(index, EAST, filter=In("f", (odd, "v"))) == ["a"]
    assert await near(index, EAST, filter=Equal(odd, "v")) == []
    assert await near(index, EAST, filter=All((Not(Equal("f", odd)), Range("f", gte="b")))) == ["a"]


async def test_refused_writes_leave_nothing_of_their_batch(index):
    await index.apply([put("a", EAST)])
    for writes, error in (
        ([put("b", EAST), put("c", (1.0, 2.0))], Refused),
        ([put("b", EAST), Upsert(SPACE, Passage("c", "x"), b"odd")], Invalid),
        ([put("b", EAST), put("c", EAST, text="half a character: \ud800")], Invalid),
        ([put("b", EAST), put("c", EAST, metadata={"zero": "\0"})], Refused),
    ):
        with pytest.raises(error):
            await index.apply(writes)
        assert set(await index.digests(SPACE)) == {"a"}


async def test_queries_of_another_length_and_limits_too_high_are_refused(index):
    await index.apply([put("a", EAST)])
    with pytest.raises(Refused, match="2 dimensions and the space 3"):
        await index.nearest(SPACE, np.ones((1, 2), np.float32), limit=1)
    with pytest.raises(LimitReached):
        await index.nearest(SPACE, rows(EAST), limit=10_001)


async def test_a_space_that_was_emptied_takes_vectors_of_another_length(index):
    await index.apply([put("a", EAST)])
    assert await index.clear(SPACE, limit=10) == 1
    await index.apply([put("a", (1.0, 0.0))])
    assert await near(index, (1.0, 0.0)) == ["a"]
    assert await index.spaces("handbook") == [Space("handbook")]


async def test_a_postgres_without_pgvector_is_told(url):
    with pytest.raises(Missing, match="pgvector"):
        async with open_postgres_passages(url):
            pass


async def test_rights_that_are_taken_away_are_an_outage_that_names_the_setting(pgvector, vectors_url, index):
    await index.apply([put("a", EAST)])
    role = f"guest_{secrets.token_hex(4)}"
    schema = address_of(vectors_url).schema
    await ask(pgvector.dsn, f"CREATE ROLE {role} LOGIN SUPERUSER")
    async with open_postgres_passages(vectors_url.replace("//postgres", f"//{role}")) as guest:
        assert await near(guest, EAST) == ["a"]
        await ask(pgvector.dsn, f"ALTER ROLE {role} NOSUPERUSER", f"GRANT USAGE ON SCHEMA {schema} TO {role}")
        with pytest.raises(NotLetIn, match="in `vectors`"):
            await guest.apply([put("b", EAST)])
    await ask(pgvector.dsn, f"DROP OWNED BY {role}", f"DROP ROLE {role}")
