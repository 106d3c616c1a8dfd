import asyncio
import sqlite3

import numpy as np
import pytest

from penstock.adapters.sqlite.passage_rows import create_tables
from penstock.adapters.sqlite.passages import PAGE_PASSAGES, SqlitePassages, open_sqlite_passages
from penstock.adapters.sqlite.store import open_sqlite_store
from penstock.core.agents.unit import Writes
from penstock.core.knowledge.filters import Equal
from penstock.core.knowledge.passages import Delete, Passage, Space, Upsert
from penstock.core.knowledge.words import ANALYSIS
from penstock.errors import Invalid, Refused
from penstock.testing.documents_contract import DocumentIndexContract
from penstock.testing.passage_checks_contract import PassageChecksContract
from penstock.testing.vectors_contract import EAST, NORTH, SPACE, VectorIndexContract, near, put, rows
from penstock.testing.words_contract import WordIndexContract


class TestSqliteVectors(VectorIndexContract):
    @pytest.fixture
    async def index(self, tmp_path):
        async with open_sqlite_passages(tmp_path / "passages.db") as index:
            yield index


class TestSqliteWords(WordIndexContract):
    @pytest.fixture
    async def index(self, tmp_path):
        async with open_sqlite_passages(tmp_path / "passages.db") as index:
            yield index


class TestSqliteDocuments(DocumentIndexContract):
    @pytest.fixture
    async def index(self, tmp_path):
        async with open_sqlite_passages(tmp_path / "passages.db") as index:
            yield index


class TestSqliteChecks(PassageChecksContract):
    @pytest.fixture
    async def index(self, tmp_path):
        async with open_sqlite_passages(tmp_path / "passages.db") as index:
            yield index


class Reopened:
    """Closes and opens the file before each search: the rows alone must give what the segments would."""

    def __init__(self, path):
        self._path = path

    def __getattr__(self, name):
        async def reopened(*args, **options):
            async with open_sqlite_passages(self._path) as index:
                return await getattr(index, name)(*args, **options)

        return reopened


class TestReopenedVectors(VectorIndexContract):
    @pytest.fixture
    def index(self, tmp_path):
        return Reopened(tmp_path / "passages.db")


class TestReopenedWords(WordIndexContract):
    @pytest.fixture
    def index(self, tmp_path):
        return Reopened(tmp_path / "passages.db")


def some_writes(count, *, seed=0):
    random = np.random.default_rng(seed)
    words = ["turbine", "valve", "gate", "surge", "tunnel", "weir", "sluice"]
    return [
        Upsert(
            SPACE,
            Passage(f"p{n:05}", " ".join(random.choice(words, 1 + n % 9)), {"kind": f"k{n % 5}", "n": str(n)}),
            random.standard_normal(16).astype("<f4").tobytes(),
        )
        for n in range(count)
    ]


async def answers(index):
    queries = np.random.default_rng(9).standard_normal((5, 16)).astype(np.float32)
    return [
        await index.nearest(SPACE, queries, limit=20),
        await index.nearest(SPACE, queries, limit=20, filter=Equal("kind", "k2")),
        await index.matching(SPACE, ["turbine", "valve gate surge"], limit=20),
        await index.digests(SPACE),
        await index.passages(SPACE, [f"p{n:05}" for n in range(0, 5000, 7)]),
    ]


async def test_a_reopened_file_gives_the_same_answers_to_the_last_bit(tmp_path):
    path = tmp_path / "passages.db"
    async with open_sqlite_passages(path) as index:
        await index.apply(some_writes(PAGE_PASSAGES * 2 + 17))
        await index.nearest(SPACE, rows((1.0,) * 16), limit=1)
        await index.apply([Delete(SPACE, f"p{n:05}") for n in range(0, 3000, 3)])
        await index.apply(some_writes(40, seed=1))
        before = await answers(index)
    async with open_sqlite_passages(path) as index:
        assert await answers(index) == before


async def test_what_was_not_committed_is_neither_found_nor_there_after_a_crash(tmp_path):
    path = tmp_path / "passages.db"
    async with open_sqlite_passages(path) as index:
        await index.apply([put("a", EAST, text="turbine")])
        crashing = sqlite3.connect(path, isolation_level=None)
        crashing.execute("BEGIN IMMEDIATE")
        SqlitePassages.write(
            crashing, [put("b", EAST, text="turbine"), Delete(SPACE, "a"), put("c", NORTH, Space("new"))]
        )
        assert await near(index, EAST) == ["a"]
        crashing.close()
        assert await near(index, EAST) == ["a"]
    async with open_sqlite_passages(path) as index:
        assert await near(index, EAST) == ["a"]
        assert await index.digests(Space("new")) == {}
        await index.apply([put("c", NORTH, Space("new"))])
        assert await near(index, NORTH, space=Space("new")) == ["c"]


@pytest.mark.parametrize(
    ("writes", "error"),
    [
        ([put("b", EAST), put("c", (1.0, 2.0))], Refused),
        ([put("b", EAST), Upsert(SPACE, Passage("c", "x"), b"odd")], Invalid),
        ([put("b", EAST), put("c", (float("nan"), 0.0, 0.0))], Invalid),
        ([put("b", EAST), put("c", EAST, text="half a character: \ud800")], Invalid),
    ],
)
async def test_refused_writes_leave_nothing_of_their_batch(tmp_path, writes, error):
    async with open_sqlite_passages(tmp_path / "passages.db") as index:
        await index.apply([put("a", EAST)])
        with pytest.raises(error):
            await index.apply(writes)
        assert set(await index.digests(SPACE)) == {"a"}
        assert await near(index, EAST) == ["a"]


async def test_rows_of_an_older_analysis_are_analysed_again(tmp_path):
    path = tmp_path / "passages.db"
    async with open_sqlite_passages(path) as index:
        titled = Passage("a", "turbines", {"title": "turbine hall"})
        await index.apply([Upsert(SPACE, titled, None), put("b", EAST, text="valves")])
        before = await index.matching(SPACE, ["turbine hall"], limit=5)
    old = sqlite3.connect(path)
    old.execute("UPDATE passage SET keys = x'', counts = x'', analysis = ? WHERE id = 'a'", (ANALYSIS - 1,))
    old.commit()
    old.close()
    async with open_sqlite_passages(path) as index:
        assert [hit.id for hit in before[0]] == ["a"]
        assert await index.matching(SPACE, ["turbine hall"], limit=5) == before


async def test_writes_made_while_a_space_is_being_read_are_found_after_it(tmp_path):
    path = tmp_path / "passages.db"
    writes = some_writes(PAGE_PASSAGES * 3)
    async with open_sqlite_passages(path) as index:
        await index.apply(writes)
    async with open_sqlite_passages(path) as index:
        async with asyncio.TaskGroup() as tasks:
            first = tasks.create_task(index.nearest(SPACE, rows((1.0,) * 16), limit=1))
            second = tasks.create_task(index.matching(SPACE, ["turbine"], limit=1))
            for n in range(10):
                tasks.create_task(index.apply([Delete(SPACE, f"p{n * 600:05}"), *some_writes(1, seed=n)]))
        assert [len(hits) for hits in (*first.result(), *second.result())] == [1, 1]
        after = await answers(index)
    async with open_sqlite_passages(path) as index:
        assert await answers(index) == after


async def test_a_write_to_a_page_that_was_read_already_is_found_after_the_reading(tmp_path):
    path = tmp_path / "store.db"
    async with open_sqlite_store(path) as store:
        await store.transact(create_tables)
        index = SqlitePassages(store.reader, store.transact)
        await index.apply(some_writes(PAGE_PASSAGES + 10))
        search = asyncio.ensure_future(index.nearest(SPACE, rows((1.0,) * 16), limit=1))
        await asyncio.sleep(0)
        assert not search.done()
        writer = sqlite3.connect(path, isolation_level=None)
        writer.execute("BEGIN IMMEDIATE")
        prepared = SqlitePassages.write(writer, [Delete(SPACE, "p00000"), put("p00001x", (1.0,) * 16)])
        writer.execute("COMMIT")
        writer.close()
        index.publish(prepared)
        assert [hit.id for hit in (await search)[0]] == ["p00001x"]
        everything = (await index.nearest(SPACE, rows((1.0,) * 16), limit=PAGE_PASSAGES * 2))[0]
        assert {hit.id for hit in everything} == set(await index.digests(SPACE))


async def test_a_write_whose_caller_was_cancelled_after_the_commit_is_found(tmp_path):
    path = tmp_path / "store.db"
    committed, durable = asyncio.Event(), asyncio.Event()

    async with open_sqlite_store(path) as store:

        async def transact(work):
            result = await store.transact(work)
            committed.set()
            await durable.wait()
            return result

        await store.transact(create_tables)
        index = SqlitePassages(store.reader, transact)
        assert await near(index, EAST) == []
        writing = asyncio.ensure_future(index.apply([put("a", EAST)]))
        await committed.wait()
        writing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writing
        durable.set()
        await index.apply([put("b", EAST)])
        assert await near(index, EAST) == ["a", "b"]


async def test_spaces_that_were_searched_long_ago_are_read_again(tmp_path):
    async with open_sqlite_store(tmp_path / "store.db") as store:
        await store.transact(create_tables)
        index = SqlitePassages(store.reader, store.transact, spaces_max=2)
        spaces = [Space("handbook", f"tenant-{n}") for n in range(5)]
        for space in spaces:
            await index.apply([put("a", EAST, space)])
            assert await near(index, EAST, space=space) == ["a"]
        await index.apply([put("b", EAST, space) for space in spaces])
        for space in spaces:
            assert await near(index, EAST, space=space) == ["a", "b"]


async def test_what_the_store_commits_is_found_after_its_commit(tmp_path):
    async with open_sqlite_store(tmp_path / "store.db") as store:
        await store.transact(create_tables)
        index = SqlitePassages(store.reader, store.transact)
        store.attach(index)
        claim = await store.claim("me")
        assert await near(index, EAST) == []
        await store.commit(claim, 1, Writes(index=[put("a", EAST, text="turbine")]))
        assert await near(index, EAST) == ["a"]
        await store.commit(claim, 2, Writes(index=[Delete(SPACE, "a"), put("b", EAST)]))
        assert await near(index, EAST) == ["b"]
