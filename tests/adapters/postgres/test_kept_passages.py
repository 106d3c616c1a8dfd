"""Passages in the store in Postgres keep the contracts of indexes, also where others write, and are opened again for each search."""

import numpy as np
import pytest

from penstock.adapters.postgres.kept_passages import KeptPassages
from penstock.adapters.postgres.kept_rows import Sizes
from penstock.adapters.postgres.store import open_postgres_store
from penstock.core.agents.unit import Writes
from penstock.core.knowledge.passages import Delete, Passage, Space, Upsert
from penstock.errors import Fenced
from penstock.testing.documents_contract import DocumentIndexContract
from penstock.testing.passage_checks_contract import PassageChecksContract
from penstock.testing.spaces_contract import SpacesContract
from penstock.testing.vectors_contract import EAST, NORTH, SPACE, VectorIndexContract, near, put
from penstock.testing.words_contract import WordIndexContract

pytestmark = pytest.mark.timeout(60, func_only=True)  # the server's installation has limits of its own


@pytest.fixture
async def store(url):
    async with open_postgres_store(url) as opened:
        yield opened


@pytest.fixture
async def kept(store):
    return await store.keep_passages()


VECTOR = np.ones(4, np.float32).tobytes()


class Elsewhere:
    """Writes on one worker, and asks another one, which has the space in memory from before."""

    def __init__(self, writer, reader):
        self._writer, self._reader = writer, reader

    def __getattr__(self, name):
        return getattr(self._writer if name in ("apply", "clear") else self._reader, name)


@pytest.fixture(params=["here", "elsewhere"])
async def index(request, url, kept):
    if request.param == "here":
        yield kept
        return
    async with open_postgres_store(url) as other:
        yield Elsewhere(await other.keep_passages(), kept)


class TestKeptVectors(VectorIndexContract):
    pass


class TestKeptWords(WordIndexContract):
    pass


class TestKeptDocuments(DocumentIndexContract):
    pass


class TestKeptSpaces(SpacesContract):
    pass


class TestKeptChecks(PassageChecksContract):
    pass


def some(start, end, word="turbine"):
    return [Upsert(SPACE, Passage(f"p{n:05}", f"{word} {n}", {"n": str(n)}), VECTOR) for n in range(start, end)]


async def test_a_space_is_read_in_pages_and_then_only_what_changed(url, kept):
    await kept.apply(some(0, 20))
    async with open_postgres_store(url) as other_store:
        other = await other_store.keep_passages(Sizes(page=7))
        assert len((await other.matching(SPACE, ["turbine"], limit=50))[0]) == 20
        await kept.apply([*some(5, 25, "valve"), Delete(SPACE, "p00000"), Delete(SPACE, "never")])
        assert [len(each) for each in await other.matching(SPACE, ["turbine", "valve"], limit=50)] == [4, 20]
        await kept.apply([Delete(SPACE, "never")])  # a change without a row
        assert len((await other.matching(SPACE, ["turbine"], limit=50))[0]) == 4
        # Both write, and both see all of it.
        await other.apply(some(30, 31))
        await kept.apply(some(31, 32))
        for each in (kept, other):
            assert len((await each.matching(SPACE, ["turbine"], limit=50))[0]) == 6


async def test_removals_that_are_not_told_any_more_have_a_space_read_anew(url, store):
    kept = await store.keep_passages(Sizes(prune_every=4))
    await kept.apply(some(0, 5))
    async with open_postgres_store(url) as other_store:
        other = await other_store.keep_passages(Sizes(page=7))
        assert len((await other.matching(SPACE, ["turbine"], limit=50))[0]) == 5
        await kept.apply([Delete(SPACE, "p00000")])
        for number in range(20):
            await kept.apply(some(10 + number, 11 + number))
        assert len((await other.matching(SPACE, ["turbine"], limit=50))[0]) == 24
        while await kept.clear(SPACE, limit=7):
            pass
        assert list((await other.matching(SPACE, ["turbine"], limit=50))[0]) == []
        await kept.apply([Upsert(SPACE, Passage("a", "turbine"), np.ones(3, np.float32).tobytes())])
        assert [hit.id for hit in (await other.matching(SPACE, ["turbine"], limit=50))[0]] == ["a"]


async def test_passages_are_part_of_the_commit(store, kept):
    assert isinstance(kept, KeptPassages)
    claim = await store.claim("me")
    await store.commit(claim, 1, Writes(index=[put("a", EAST), put("b", NORTH)]))
    assert await near(kept, EAST) == ["a", "b"]
    await store.commit(claim, 1, Writes(index=[put("c", EAST)]))  # its answer was lost: it was written before
    assert set(await kept.digests(SPACE)) == {"a", "b"}
    rival = await store.claim("rival")
    with pytest.raises(Fenced):
        await store.commit(claim, 2, Writes(index=[put("d", EAST)]))
    assert set(await kept.digests(SPACE)) == {"a", "b"}
    await store.commit(rival, 1, Writes(index=[Delete(SPACE, "a")]))
    assert await near(kept, EAST) == ["b"]


async def test_the_same_passages_give_the_answers_that_a_file_gives(tmp_path, kept):
    from penstock.adapters.sqlite.passages import open_sqlite_passages

    random = np.random.default_rng(3)
    words = ["turbine", "valve", "gate", "surge", "Tunnel", "größe", "日本"]
    writes = [
        Upsert(
            Space("books"),
            Passage(f"p{n}", " ".join(random.choice(words, 1 + n % 9)), {"kind": f"k{n % 5}"}),
            random.standard_normal(16).astype("<f4").tobytes(),
        )
        for n in range(200)
    ]
    queries = random.standard_normal((4, 16)).astype(np.float32)
    async with open_sqlite_passages(tmp_path / "passages.db") as file:
        answers = []
        for each in (file, kept):
            await each.apply(writes)
            near_ = await each.nearest(Space("books"), queries, limit=9)
            matching = await each.matching(Space("books"), ["valve gate", "日本"], limit=9)
            answers.append((near_, matching, await each.digests(Space("books"))))
    assert answers[0] == answers[1]
