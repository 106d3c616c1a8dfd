"""An app whose vectors lie elsewhere, while elsewhere does not answer: searches go on by words, and no write is lost."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from penstock import App
from penstock.adapters.memory.passages import MemoryPassages
from penstock.adapters.memory.store import MemoryStore
from penstock.app import Running
from penstock.core.knowledge.passages import Passage
from penstock.errors import TimedOut, Unavailable
from penstock.layers.guarded_vectors import Patience, open_guarded
from penstock.runtime.collection import Index
from penstock.runtime.engine import running
from penstock.settings import Settings
from penstock.testing.flaky_vectors import FlakyVectors
from penstock.testing.virtual_time import VirtualClock, run_virtually
from penstock.wiring import opened

ANSWER_S = 3.0
TEXTS = {"valves": "The main valve is closed by hand.", "gates": "The gates open in spring."}


@asynccontextmanager
async def apart():
    """Run an app whose words lie in its store and whose vectors do not; yield its collection, and those vectors."""
    app, clock = App("apart"), VirtualClock()
    app.knowledge("shelf")
    flaky, kept = FlakyVectors(MemoryPassages()), MemoryPassages()
    async with open_guarded(flaky, clock, Patience(answer_s=ANSWER_S)) as vectors:
        index = Index(vectors, kept, kept, in_store=False, together=False, texts=kept)
        async with (
            opened(app.declared, Settings(), clock=clock, storage=(MemoryStore(), index)) as parts,
            running(parts, owner="apart") as engine,
        ):
            live = Running(app, engine)
            await live.knowledge("shelf").put([Passage(*each) for each in TEXTS.items()], consistency="strong")
            yield live.knowledge("shelf"), flaky, engine


def apart_from(work):
    async def whole():
        async with apart() as (shelf, flaky, engine):
            await work(shelf, flaky, engine)

    run_virtually(whole())


def now():
    return asyncio.get_running_loop().time()


@pytest.mark.parametrize("gone", ["down", "silent"])
def test_a_hybrid_search_goes_on_by_words_and_says_so(gone):
    async def work(shelf, flaky, _):
        assert (await shelf.search("close the valve"))[0].degraded == ""
        flaky.condition = gone
        waits = []
        for _ in range(3):
            began = now()
            found = await shelf.search("close the valve", limit=1, highlight=True)
            waits.append(now() - began)
            assert [each.id for each in found] == ["valves"]
            assert found[0].degraded.startswith("by words only: ")
            assert found[0].highlights
        assert waits == [ANSWER_S if gone == "silent" else 0, 0, 0]
        assert [each.id for each in await shelf.search("close the valve", limit=1, mode="words")] == ["valves"]
        assert (await shelf.search("close the valve", mode="words"))[0].degraded == ""
        assert await shelf.passages(["gates"])
        assert shelf.indexing().by_words == 3
        assert "did not answer" in shelf.indexing().vectors_down
        flaky.condition = "up"
        await asyncio.sleep(10)
        assert (await shelf.search("close the valve"))[0].degraded == ""
        assert shelf.indexing().vectors_down == ""

    apart_from(work)


def test_a_search_by_vectors_says_that_they_do_not_answer_and_at_once_from_then_on():
    async def work(shelf, flaky, _):
        flaky.condition = "silent"
        for expected_s in (ANSWER_S, 0):
            began = now()
            with pytest.raises(Unavailable, match="the vector store did not answer"):
                await shelf.search("close the valve", mode="vectors")
            assert now() - began == expected_s

    apart_from(work)


def test_what_is_written_meanwhile_is_durable_and_found_when_they_are_back():
    async def work(shelf, flaky, engine):
        flaky.condition = "down"
        await shelf.put(Passage("doors", "Doors are oiled in autumn."))
        await shelf.delete(["gates"])
        with pytest.raises(TimedOut):
            await shelf.put(Passage("roofs", "Roofs are looked after in winter."), consistency="strong")
        assert shelf.indexing().lag == 3
        await asyncio.sleep(4 * 3600)
        flaky.condition, back = "up", now()
        await shelf.indexed()
        assert now() - back < 10, "it goes on as soon as they answer"
        assert {each.id for each in await shelf.search("oiled", mode="vectors")} == {"valves", "doors", "roofs"}
        assert (await shelf.search("winter roofs"))[0].id == "roofs"
        assert set(await shelf.digests()) == {"valves", "doors", "roofs"}
        assert not await engine.parts.store.dead_letters()

    apart_from(work)
