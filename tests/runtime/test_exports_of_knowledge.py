"""An export has the log of knowledge and no word on how far indexes are, which it has not."""

from penstock import App, Passage
from penstock.adapters.exports.jsonl import JsonlReader, open_jsonl_writer
from penstock.adapters.sqlite.store import open_sqlite_store
from penstock.core.exports.selection import Selection
from penstock.runtime.exporting import Origin, export
from penstock.runtime.generations import OWNER, POSITIONS
from penstock.runtime.importing import Import
from penstock.testing.hashed_embedder import HashedEmbedder
from penstock.testing.virtual_time import VirtualClock


def library():
    app = App("library")
    app.knowledge("books")
    app.embedder("one", HashedEmbedder(32, 1))
    app.embedder("two", HashedEmbedder(16, 2))
    return app


async def test_generations_that_stand_by_follow_anew_where_an_export_is_imported(tmp_path):
    first, second, file = tmp_path / "first.db", tmp_path / "second.db", tmp_path / "all.jsonl"
    async with library().running(store=f"sqlite:{first}", embedder="one") as live:
        books = live.knowledge("books")
        await books.put([Passage(each, f"the text of {each}") for each in "abc"], consistency="strong")
        await books.generations.switch(
            (await books.generations.ready(await books.generations.build("two"))).generation.number
        )
        await books.put(Passage("d", "the text of d"), consistency="strong")
        expected = await books.search("text")
        assert (await live.engine.parts.store.values("default", OWNER, "books"))[POSITIONS] != b"\x90"
    async with open_sqlite_store(first) as store:
        with open_jsonl_writer(file) as writer:
            await export(store, writer, Origin("library", "1", 0), Selection())
    assert POSITIONS not in file.read_text()
    async with open_sqlite_store(second) as store:
        copy = Import(JsonlReader(file), store, VirtualClock())
        await copy.write(await copy.check())
    async with library().running(store=f"sqlite:{second}", embedder="one") as live:
        books = live.knowledge("books")
        await books.indexed()
        assert await books.search("text") == expected
        assert await books.generations.roll_back() == 1
        assert len(await books.search("text")) == 4
