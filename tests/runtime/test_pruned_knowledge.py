"""What is made from a log of knowledge whose beginning was let go says so, instead of lacking it without a word."""

from contextlib import asynccontextmanager

import pytest

from penstock import App, Keep, Passage, Retention
from penstock.errors import Invalid, Refused
from penstock.runtime.building import TOPIC
from penstock.runtime.generations import let_go_up_to
from penstock.testing.hashed_embedder import HashedEmbedder
from penstock.testing.virtual_time import VirtualClock, run_virtually

PRUNED = Retention(topics={TOPIC: Keep(days=0)}, runs_days=0)


@asynccontextmanager
async def library(retention):
    app = App("library", retention=retention)
    app.knowledge("books")
    app.embedder("one", HashedEmbedder(32, 1))
    async with app.running(store="memory:", embedder="one", clock=VirtualClock()) as live:
        books = live.knowledge("books")
        for each in "abc":
            await books.put([Passage(each, f"the text of {each}")], consistency="strong")
        await live.engine.parts.clock.sleep(60)
        await live.engine.janitor.tidy()
        yield live, books


def test_what_was_let_go_is_marked_and_refused_where_it_is_needed():
    async def life():
        async with library(PRUNED) as (live, books):
            assert await let_go_up_to(live.engine.parts.store) == 2
            with pytest.raises(Refused, match="let go up to offset 2"):
                await books.generations.build()
            with pytest.raises(Refused, match="let go up to offset 2"):
                await books.generations.verify(repair=True)
            with pytest.raises(Refused, match="as of offset 1 is not kept"):
                await books.search("text", as_of=1)
            assert len(await books.search("text", as_of=3)) == 1
            assert len(await books.search("text")) == 3  # the index has what the log has not

            number = await books.generations.build(partial=True)
            await books.generations.ready(number)
            assert [each.id for each in await books.search("text", generation=number)] == ["c"]

    run_virtually(life())


def test_a_log_that_is_whole_is_built_from_without_a_word():
    async def life():
        async with library(Retention(runs_days=0)) as (live, books):
            assert await let_go_up_to(live.engine.parts.store) == 0
            await books.generations.ready(await books.generations.build())
            assert (await books.generations.verify()).is_equal
            with pytest.raises(Invalid, match="the log ends before"):
                await books.search("text", as_of=9)

    run_virtually(life())
