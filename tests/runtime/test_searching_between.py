"""Rows of a store are there a moment before searches see them: a search that comes in between misses nothing."""

import pytest
from msgspec import structs

from penstock import App, Document
from penstock.adapters.memory.passages import MemoryPassages
from penstock.core.knowledge.documents import document_passages
from penstock.core.knowledge.passages import Delete, Space, Upsert
from penstock.testing.hashed_embedder import HashedEmbedder

LONG = Document("mill", "", "\n\n".join(f"# part {part}\n\n{'the wheel turns ' * 60}" for part in range(3)))
SHORT = Document("mill", "", "the wheel stands")


class InBetween(MemoryPassages):
    """An index whose rows are ahead of what searches see, until `caught_up`."""

    def __init__(self, rows):
        super().__init__()
        self.rows = rows

    async def passages(self, space, ids):
        return await self.rows.passages(space, ids)


@pytest.mark.parametrize("mode", ["words", "vectors", "hybrid"])
@pytest.mark.parametrize(("old", "new"), [(LONG, SHORT), (SHORT, LONG)], ids=["shorter", "longer"])
async def test_a_search_between_the_rows_and_what_searches_see_finds_the_new_version(mode, old, new):
    embedder = HashedEmbedder(16, 1)

    async def changed(index, was, now):
        vectors = await embedder.embed([each.text for each in now])
        space = Space("books", "default", 1)
        gone = {each.id for each in was} - {each.id for each in now}
        upserts = [Upsert(space, each, row.tobytes()) for each, row in zip(now, vectors, strict=True)]
        await index.apply([*upserts, *(Delete(space, each) for each in gone)])

    app = App("library")
    app.knowledge("books")
    app.embedder("one", embedder)
    async with app.running(store="memory:", embedder="one") as live:
        collection = live.engine.services.collection("books")
        before, after = document_passages(old), document_passages(new)
        rows = MemoryPassages()
        index = InBetween(rows)
        for each in (index, rows):
            await changed(each, [], before)
        await changed(rows, before, after)

        async def caught_up():
            await changed(index, before, after)

        collection.index = structs.replace(collection.index, vectors=index, words=index, documents=index)
        collection.durable = caught_up
        found = await live.knowledge("books").search("the wheel", mode=mode, limit=10)
        assert {each.id for each in found} == {each.id for each in after}
