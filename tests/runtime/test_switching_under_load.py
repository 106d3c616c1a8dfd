"""Searches and writes go on while a generation is built, switched to and taken back: none fails, none is stale."""

import asyncio

import pytest

from penstock import App, Passage
from penstock.testing.hashed_embedder import HashedEmbedder


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_no_search_fails_and_none_is_stale(kind, tmp_path):
    app = App("library")
    app.knowledge("books")
    app.embedder("one", HashedEmbedder(32, 1))
    app.embedder("two", HashedEmbedder(16, 2))
    store = "memory:" if kind == "memory" else f"sqlite:{tmp_path / 'books.db'}"
    async with app.running(store=store, embedder="one") as live:
        books = live.knowledge("books")
        await books.put([Passage(f"old{number}", f"old text {number}") for number in range(300)])
        await books.indexed()
        served, versions, over = set(), 0, asyncio.Event()

        async def write_and_look():
            nonlocal versions
            while not over.is_set():
                versions += 1
                await books.put([Passage("moving", f"moving version{versions}")])
                await books.indexed()
                for mode in ("words", "vectors"):
                    [best, *_] = await books.search(f"moving version{versions}", mode=mode, limit=3)
                    assert best.text == f"moving version{versions}"
                    served.add(best.generation)

        writing = asyncio.ensure_future(write_and_look())
        number = await books.generations.build("two")
        await books.generations.ready(number)
        for _ in range(2):
            assert await books.generations.switch(number) == number
            await asyncio.sleep(0.05)  # the load goes on in each of them
            assert await books.generations.roll_back() == 1
            await asyncio.sleep(0.05)
        over.set()
        await writing
        assert versions > 3
        assert served == {1, number}
