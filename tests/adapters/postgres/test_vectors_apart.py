"""An app whose log, state and words lie in SQLite, and whose vectors lie in pgvector."""

from urllib.parse import urlsplit

import pytest
from dropping_proxy import proxy_to
from test_pgvector import vectors_url

from penstock import App
from penstock.core.knowledge.passages import Passage
from penstock.errors import Invalid, Unavailable

__all__ = ("vectors_url",)


def app_of():
    app = App("apart")
    app.knowledge("handbook")
    return app


async def test_an_app_keeps_its_vectors_in_pgvector(tmp_path, vectors_url):
    store = f"sqlite:{tmp_path}/apart.db"
    async with app_of().running(store=store, vectors=vectors_url) as live:
        handbook = live.knowledge("handbook")
        passages = [
            Passage("valves", "The main valve is closed by hand."),
            Passage("gates", "The gates open in spring."),
        ]
        await handbook.put(passages, consistency="strong")
        found = await handbook.search("close the valve", limit=1)
        assert [each.id for each in found] == ["valves"]
        assert (await handbook.search("close the valve", limit=1, mode="vectors"))[0].id == found[0].id
    async with app_of().running(store=store, vectors=vectors_url) as live:
        handbook = live.knowledge("handbook")
        assert (await handbook.search("close the valve", limit=1, mode="vectors"))[0].id == found[0].id
        assert (await handbook.search("gates", limit=1, mode="words"))[0].id == "gates"


async def test_an_address_that_is_none_is_refused(tmp_path):
    with pytest.raises(Invalid, match="vectors"):
        async with app_of().running(store=f"sqlite:{tmp_path}/apart.db", vectors="nowhere://x"):
            pass


@pytest.mark.parametrize("gone", ["cut", "hold"])
async def test_searches_go_on_by_words_while_pgvector_is_away_and_all_is_there_when_it_is_back(
    tmp_path, vectors_url, gone
):
    there = urlsplit(vectors_url)
    async with proxy_to(there.hostname, there.port) as proxy:
        through = vectors_url.replace(f"{there.hostname}:{there.port}/", f"127.0.0.1:{proxy.port}/")
        async with app_of().running(store=f"sqlite:{tmp_path}/a.db", vectors=through, vectors_answer_s="0.5") as live:
            handbook = live.knowledge("handbook")
            await handbook.put(Passage("valves", "The main valve is closed by hand."), consistency="strong")
            getattr(proxy, gone)()
            for _ in range(3):
                found = await handbook.search("close the valve")
                assert [each.id for each in found] == ["valves"]
                assert found[0].degraded.startswith("by words only: ")
            with pytest.raises(Unavailable):
                await handbook.search("close the valve", mode="vectors")
            await handbook.put(Passage("gates", "The gates open in spring."))
            assert "did not answer" in handbook.indexing().vectors_down
            proxy.restore()
            await handbook.indexed()
            assert {each.id for each in await handbook.search("gates", mode="vectors")} == {"gates", "valves"}
            assert (await handbook.search("open the gates"))[0].degraded == ""
