"""What an index in the store would refuse within a commit harms one event, not the engine; what is redriven is in the log."""

import numpy as np
import pytest

from penstock import App, Document, KnowledgeEvent, Passage
from penstock.errors import RunFailed
from penstock.testing.hashed_embedder import HashedEmbedder


class Renamed:
    """An embedder that changed its dimensions, or loses count, under the name that it had before."""

    def __init__(self, dims, *, says=None):
        self._real = HashedEmbedder(dims, 1)
        self.name, self.dims, self.poison = "mine", says or dims, ""

    async def embed(self, texts, *, purpose="passage"):
        rows = np.asarray(await self._real.embed(texts, purpose=purpose))
        return rows[1:] if self.poison and any(self.poison in each for each in texts) else rows


def library(embedder):
    app = App("library")
    app.knowledge("books")
    app.embedder("mine", embedder)
    return app


def running(app, tmp_path):
    return app.running(store=f"sqlite:{tmp_path / 'books.db'}", embedder="mine")


@pytest.mark.parametrize("embedder", [Renamed(16), Renamed(16, says=32)], ids=["other dims", "says one, gives another"])
async def test_c6_a_vector_that_the_index_cannot_hold_ends_its_event_and_not_the_engine(tmp_path, embedder):
    async with running(library(Renamed(32)), tmp_path) as live:
        await live.knowledge("books").put(Passage("a", "water"), consistency="strong")
    async with running(library(embedder), tmp_path) as live:
        books = live.knowledge("books")
        with pytest.raises(RunFailed, match=r"dimensions|numbers"):
            await books.put(Passage("b", "fire"), consistency="strong")
        (letter,) = await live.dead_letters()
        assert "space 32" in letter.reason or "gives 32" in letter.reason
        await books.delete(["a"], consistency="strong")  # others go on
        assert await books.digests() == {}


async def test_what_is_redriven_stands_in_the_log_where_it_was_indexed(tmp_path):
    embedder = Renamed(32)
    async with running(library(embedder), tmp_path) as live:
        books = live.knowledge("books")
        embedder.poison = "poison"
        with pytest.raises(RunFailed):
            await books.put(Document("d", "", "the first text, with poison"), consistency="strong")
        await books.put(Document("d", "", "the second text"), consistency="strong")
        (letter,) = await live.dead_letters()
        embedder.poison = ""
        await live.redrive(letter.run_id)
        assert await live.engine.settled(20)
        assert (await books.passages(["d"]))["d"].text == "the first text, with poison"  # the last that was asked for
        assert not await live.dead_letters()
        before = await books.digests()
        assert (await books.generations.verify()).is_equal
        await books.generations.rebuild(within_s=20)
        assert await books.digests() == before
        assert [each.text for each in await books.search("text", as_of=2)] == ["the second text"]


async def test_another_event_in_the_place_of_a_dead_one_is_seen_by_rebuilds(tmp_path):
    embedder = Renamed(32)
    embedder.poison = "poison"
    async with running(library(embedder), tmp_path) as live:
        books = live.knowledge("books")
        with pytest.raises(RunFailed):
            await books.put(Document("d", "", "poison"), consistency="strong")
        (letter,) = await live.dead_letters()
        mended = KnowledgeEvent(agent_id="api", action="UPDATE", collection="books", document_id="d", payload="mended")
        await live.redrive(letter.run_id, event=mended)
        assert await live.engine.settled(20)
        assert not await live.dead_letters()
        before = await books.digests()
        assert list(before) == ["d"]
        assert (await books.generations.verify()).is_equal
        await books.generations.rebuild(within_s=20)
        assert await books.digests() == before
