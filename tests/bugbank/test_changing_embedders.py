"""Another embedder, of another length of vectors: the old index serves until the new one has everything, and can be taken back."""

import pytest

from penstock import App, Passage
from penstock.errors import Invalid
from penstock.testing.hashed_embedder import HashedEmbedder


def library(**options):
    app = App("library")
    app.knowledge("books", **options)
    app.embedder("old", HashedEmbedder(32, 1))
    app.embedder("new", HashedEmbedder(48, 2))
    return app


@pytest.fixture
def anyio_backend():
    return "asyncio"  # files and threads know nothing of virtual time


async def put(books, *names):
    await books.put([Passage(each, f"It is {each}.") for each in names], consistency="strong")


async def require_found(books, *names):
    """Each is found by its own words, and by vectors alone, which are of the right length or nothing is."""
    for each in names:
        for mode in ("hybrid", "vectors"):
            assert (await books.search(f"It is {each}.", limit=1, mode=mode))[0].id == each, (each, mode)


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_the_old_one_serves_until_the_change_no_write_is_lost_and_it_can_be_taken_back(kind, tmp_path):
    """open-webui #28316: after the model was changed, searches failed for vectors of another length. synaplan #959: so did writes."""
    store = "memory:" if kind == "memory" else f"sqlite:{tmp_path}/books.db"
    async with library().running(store=store, embedder="old") as live:
        books = live.knowledge("books")
        await put(books, "before")
        number = await books.generations.build("new")
        await put(books, "while it is built")
        await require_found(books, "before", "while it is built")
        await books.generations.ready(number)
        assert (await books.generations.serving()).number == 1
        await put(books, "while it is ready")
        await books.generations.switch(number)
        assert books.model_of(number) == "hashed-48-2"
        await put(books, "after the switch")
        written = ("before", "while it is built", "while it is ready", "after the switch")
        await require_found(books, *written)
        await books.generations.roll_back()
        await put(books, "after it was taken back")
        await require_found(books, *written, "after it was taken back")
        verified = await books.generations.verify()
        assert verified.is_equal
        assert verified.passages == 5


async def test_a_change_of_the_setting_alone_changes_nothing_unasked(tmp_path):
    """open-webui #28316."""
    store = f"sqlite:{tmp_path}/books.db"
    async with library().running(store=store, embedder="old") as live:
        await put(live.knowledge("books"), "before")
    with pytest.raises(Invalid, match="penstock knowledge build"):
        async with library().running(store=store, embedder="new"):
            pass
    async with library(on_change="build").running(store=store, embedder="new") as live:
        books = live.knowledge("books")
        await put(books, "meanwhile")
        await require_found(books, "before", "meanwhile")
        await books.generations.ready(2)
        await require_found(books, "before", "meanwhile")
        assert (await books.generations.serving()).model == "hashed-48-2"
