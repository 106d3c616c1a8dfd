"""An index that differs from its log is told, and mended: in a real file whose rows were damaged, and in memory."""

import sqlite3

import numpy as np
import pytest

from penstock import App, Passage
from penstock.core.knowledge.generation_events import VerifyKnowledge
from penstock.core.knowledge.passages import Delete, Space, Upsert
from penstock.testing.hashed_embedder import HashedEmbedder

TEXTS = {f"p{number}": f"the {word} of number {number}" for number, word in enumerate(["mill", "river", "tea"] * 4)}


def library():
    app = App("library")
    app.knowledge("books")
    app.embedder("one", HashedEmbedder(32, 1))
    return app


async def filled(live):
    books = live.knowledge("books")
    await books.put([Passage(name, text) for name, text in TEXTS.items()])
    await live.knowledge("books", tenant="other").put([Passage("p1", "another river")])
    await books.put([Passage("p0", "changed"), Passage("gone", "soon")])
    await books.delete(["gone"])
    await books.indexed()
    return books


@pytest.fixture
async def file(tmp_path):
    path = tmp_path / "books.db"
    async with library().running(store=f"sqlite:{path}", embedder="one") as live:
        books = await filled(live)
        assert (await books.generations.verify()).is_equal
    return path


DAMAGES = {
    "missing": "DELETE FROM passage WHERE id IN ('p3', 'p4')",
    "extra": "INSERT INTO passage SELECT space, 'x' || id, digest, text, metadata, vector, keys, counts, analysis "
    "FROM passage WHERE id = 'p5'",
    "stale": "UPDATE passage SET text = 'something else' WHERE id = 'p6'",
    "stale digest": "UPDATE passage SET digest = '00' WHERE id = 'p7'",
    "damaged vector": "UPDATE passage SET vector = (SELECT vector FROM passage WHERE id = 'p1' LIMIT 1) WHERE id = 'p8'",
    "damaged words": "UPDATE passage SET keys = x'', counts = x'' WHERE id = 'p9'",
}


@pytest.mark.parametrize("damage", DAMAGES)
async def test_damage_to_the_rows_of_a_file_is_told_and_mended(file, damage):
    kind = damage.partition(" ")[0]
    with sqlite3.connect(file) as connection:
        changed = connection.execute(DAMAGES[damage]).rowcount
    connection.close()
    assert changed
    async with library().running(store=f"sqlite:{file}", embedder="one") as live:
        books = live.knowledge("books")
        found = await books.generations.verify()
        assert {each: getattr(found, each) for each in ("missing", "extra", "stale", "damaged")} == {
            **dict.fromkeys(("missing", "extra", "stale", "damaged"), 0),
            kind: changed,
        }
        assert len(found.examples) == changed
        mended = await books.generations.verify(repair=True)
        assert mended.repaired == changed
        again = await books.generations.verify()
        assert again.is_equal
        assert again.passages == again.deep == len(TEXTS) + 1
        for name in ("p3", "p6", "p8", "p9"):
            for mode in ("words", "vectors"):
                assert (await books.search(TEXTS[name], mode=mode, limit=1))[0].id == name, (name, mode)


async def test_only_as_many_passages_as_said_are_looked_into(file):
    async with library().running(store=f"sqlite:{file}", embedder="one") as live:
        found = await live.knowledge("books").generations.verify(deep_max=4)
        assert (found.deep, found.passages, found.is_equal) == (4, len(TEXTS) + 1, True)


async def test_a_comparison_can_be_scheduled_and_runs_in_memory_too():
    app = library()
    app.schedule("check", "rate(1 day)", event=VerifyKnowledge(collection="books", repair=True))
    async with app.running(store="memory:", embedder="one") as live:
        books = await filled(live)
        index = live.engine.services.collection("books").index
        vector = np.ones(32, np.float32).tobytes()
        await index.vectors.apply(
            [Upsert(Space("books"), Passage("p2", "damage"), vector), Delete(Space("books"), "p3")]
        )
        assert (await books.generations.verify()).stale == 1
        await live.trigger_schedule("check")
        assert await live.engine.settled(10)
        assert (await books.generations.verify()).is_equal


async def test_what_is_being_changed_is_not_taken_for_damage(file):
    """Writes go on while the index is compared; nothing is reported, and no repair undoes them."""
    import asyncio

    async with library().running(store=f"sqlite:{file}", embedder="one") as live:
        books = live.knowledge("books")

        async def write():
            for number in range(40):
                await books.put([Passage(f"p{number % 12}", f"version {number}")])

        writing = asyncio.ensure_future(write())
        while not writing.done():
            found = await books.generations.verify(repair=True)
            assert found.is_equal, found
        await writing
        await books.indexed()
        passages = await books.passages([f"p{number}" for number in range(12)])
        assert {each.text for each in passages.values()} == {f"version {number}" for number in range(28, 40)}
