"""An app whose log, state and words lie in SQLite, and whose vectors lie in pgvector."""

import pytest
from test_pgvector import pgvector, vectors_url

from penstock import App
from penstock.core.knowledge.passages import Passage
from penstock.errors import Invalid

__all__ = ("pgvector", "vectors_url")


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
