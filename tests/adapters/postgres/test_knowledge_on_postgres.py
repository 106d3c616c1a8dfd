"""An app with knowledge runs whole on one Postgres: log, state, passages and words, in one commit."""

import pytest

from penstock import App, Document, Passage
from penstock.core.knowledge.passages import Delete, Space
from penstock.testing.hashed_embedder import HashedEmbedder

pytestmark = pytest.mark.timeout(60, func_only=True)  # the server's installation has limits of its own
TEXTS = {f"p{number}": f"passage number {number} about {word}" for number, word in enumerate("abcdefgh" * 4)}


def library():
    app = App("library")
    app.knowledge("books")
    app.embedder("one", HashedEmbedder(32, 1))
    app.embedder("two", HashedEmbedder(16, 2))
    return app


def running(url):
    return library().running(store=url, embedder="one")


async def test_what_is_put_is_found_after_a_restart_and_as_of_then(url):
    async with running(url) as live:
        books = live.knowledge("books")
        written = await books.put([Passage(name, text) for name, text in TEXTS.items()])
        [best, *_] = await books.search(TEXTS["p7"], after=written)
        assert best.id == "p7"
        await books.put(Document("p7", "", "another text"), consistency="strong")
        await live.knowledge("books", tenant="other").put(Passage("p1", "of others"), consistency="strong")
    async with running(url) as live:
        books = live.knowledge("books")
        assert len(await books.digests()) == len(TEXTS)
        [best, *_] = await books.search("another text", mode="words")
        assert best.id == "p7"
        [best, *_] = await books.search(TEXTS["p7"], as_of=len(TEXTS))
        assert best.text == TEXTS["p7"]
        [only] = await live.knowledge("books", tenant="other").search("others")
        assert only.id == "p1"


async def test_generations_are_built_switched_to_taken_back_and_compared(url):
    async with running(url) as live:
        books = live.knowledge("books")
        await books.put([Passage(name, text) for name, text in TEXTS.items()])
        number = await books.generations.build("two", switch=True)
        await books.generations.ready(number, within_s=30)
        await books.delete(["p3"], consistency="strong")
        before = await books.digests()
        assert len(before) == len(TEXTS) - 1
        assert (await books.generations.verify()).is_equal
        await books.generations.roll_back()
        assert await books.digests() == before
        await books.generations.drop(number)


async def test_what_differs_from_the_log_is_told_and_mended(url):
    async with running(url) as live:
        books = live.knowledge("books")
        await books.put([Passage("a", "water"), Passage("b", "fire")], consistency="strong")
        kept = live.engine.services.collection("books").index
        await kept.vectors.apply([Delete(Space("books"), "a")])
        assert (await books.generations.verify(repair=True)).repaired == 1
        assert (await books.generations.verify()).is_equal
