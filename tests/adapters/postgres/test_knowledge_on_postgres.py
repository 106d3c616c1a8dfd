"""An app with knowledge runs whole on one Postgres: log, state, passages and words, in one commit."""

from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from penstock import App, Document, Passage
from penstock.adapters.clock.system import SystemClock
from penstock.adapters.exports.jsonl import JsonlReader, open_jsonl_writer
from penstock.adapters.postgres.store import open_postgres_store
from penstock.adapters.sqlite.store import open_sqlite_store
from penstock.core.exports.selection import Selection
from penstock.core.knowledge.passages import Delete, Space
from penstock.runtime.exporting import Origin, export
from penstock.runtime.importing import Import
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


@pytest.mark.parametrize("way", ["to a file", "to Postgres"])
async def test_an_export_is_imported_with_all_that_was_indexed(url, other_url, tmp_path, way):
    first, second = (
        (url, f"sqlite:{tmp_path}/copy.db") if way == "to a file" else (f"sqlite:{tmp_path}/first.db", other_url)
    )
    async with running(first) as live:
        books = live.knowledge("books")
        await books.put([Passage(name, text) for name, text in TEXTS.items()], consistency="strong")
        await books.put(Document("long", "", "\n\n".join(f"# Part {n}\n\n{'words ' * 200}" for n in range(3))))
        await books.put(Passage("brief", "for a while"), ttl_s=3600)
        await books.delete(["p3"], consistency="strong")
        await live.knowledge("books", tenant="other").put(Passage("p1", "of others"), consistency="strong")
        before, expected = await books.digests(), await books.search("number 7")
    file = tmp_path / "all.jsonl"
    async with opened_store(first) as store:
        with open_jsonl_writer(file) as writer:
            await export(store, writer, Origin("library", "1", 0), Selection())
    async with opened_store(second) as store:
        copy = Import(JsonlReader(file), store, SystemClock())
        await copy.write(await copy.check())
    async with running(second) as live:
        books = live.knowledge("books")
        await books.indexed()
        assert await books.digests() == before
        assert await books.search("number 7") == expected
        assert set(await live.knowledge("books", tenant="other").digests()) == {"p1"}
        assert (await books.generations.verify()).missing == 0


@asynccontextmanager
async def opened_store(url):
    if url.startswith("sqlite:"):
        async with open_sqlite_store(Path(url.removeprefix("sqlite:"))) as store:
            yield store
    else:
        async with open_postgres_store(url) as store:
            yield store
