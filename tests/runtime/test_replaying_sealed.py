"""What is about somebody is sealed in the store, and replayed from beside it as it was."""

import pytest

from penstock import App, Context, Event, Passage, Stretch
from penstock.testing.hashed_embedder import HashedEmbedder
from penstock.wiring import opened_desk

pytest.importorskip("cryptography")


class Asked(Event, subject="who"):
    who: str
    text: str


async def test_a_replay_from_beside_reads_what_is_sealed_and_sees_the_knowledge_of_then(tmp_path):
    app, url = App("library"), f"sqlite:{tmp_path / 'books.db'}"
    books = app.knowledge("books")
    app.embedder("one", HashedEmbedder(16, 1))

    @app.agent
    async def look(asked: Asked, ctx: Context) -> list[str]:
        return [each.text for each in await books.search(asked.text, limit=3)]

    async with app.running(store=url, embedder="one") as live:
        put = live.knowledge("books").put
        await put(Passage("p", "the wheel turns", {"subject": "ada"}), consistency="strong")
        assert await live.call("look", Asked(who="ada", text="wheel of the old mill")) == ["the wheel turns"]
        await put(Passage("p", "the wheel stands", {"subject": "ada"}), consistency="strong")
    assert b"of the old mill" not in (tmp_path / "books.db").read_bytes(), "it is not sealed: this would show nothing"
    async with opened_desk(url) as desk:
        stretch = Stretch("asked", fresh_reads=True)
        assert [each.outcome async for each in app.replay(desk, stretch)] == ["same"]
