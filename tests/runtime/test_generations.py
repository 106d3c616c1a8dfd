"""Another embedder is another generation: built beside the one that serves, switched to, taken back, dropped."""

import asyncio

import pytest

from penstock import App, Passage
from penstock.core.knowledge.passages import Space
from penstock.errors import Invalid, Missing, Refused, Unavailable
from penstock.testing.hashed_embedder import HashedEmbedder

TEXTS = {f"p{number}": f"passage number {number} about {word}" for number, word in enumerate("abcdefgh" * 8)}


def library(**options):
    app = App("library")
    app.knowledge("books", **options)
    app.embedder("one", HashedEmbedder(32, 1))
    app.embedder("two", HashedEmbedder(16, 2))
    return app


def passages(texts):
    return [Passage(name, text) for name, text in texts.items()]


@pytest.fixture(params=["memory", "sqlite"])
def store(request, tmp_path):
    return "memory:" if request.param == "memory" else f"sqlite:{tmp_path / 'books.db'}"


@pytest.fixture
async def live(store):
    async with library().running(store=store, embedder="one") as running:
        books = running.knowledge("books")
        await books.put(passages(TEXTS))
        await books.indexed()
        yield running


async def digests(live, number, tenant="default"):
    index = live.engine.services.collection("books").index
    return await index.vectors.digests(Space("books", tenant, number))


async def test_a_build_gets_all_that_the_log_has_and_serves_when_it_is_switched_to(live):
    books = live.knowledge("books")
    number = await books.generations.build("two")
    state = await books.generations.ready(number)
    assert (state.generation.status, state.behind, state.done) == ("ready", 0, 1.0)
    assert await digests(live, number) == await digests(live, 1)
    assert len(await digests(live, number)) == len(TEXTS)
    assert await books.generations.switch(number) == number
    [first, second] = await books.generations.list()
    assert (first.generation.status, second.generation.status) == ("standby", "serving")
    assert second.generation.model == "hashed-16-2"
    [best, *_] = await books.search(TEXTS["p7"], mode="vectors")
    assert best.id == "p7"
    assert best.score == pytest.approx(1, abs=1e-4)


async def test_all_generations_get_what_is_written(live):
    books = live.knowledge("books")
    number = await books.generations.build("two")
    await books.generations.ready(number)
    await books.put([Passage("new", "something new"), Passage("p1", "changed")])
    await books.delete(["p2"])
    await books.indexed()
    await books.generations.switch(number)
    assert await digests(live, number) == await digests(live, 1)
    await books.put([Passage("newer", "something newer")])
    await books.delete(["p3"])
    await books.indexed()
    assert "newer" in await books.digests()
    assert await books.generations.roll_back() == 1
    served = await books.digests()
    assert "newer" in served
    assert "p3" not in served
    assert served == await digests(live, number)


async def test_a_search_may_ask_for_a_generation(live):
    books = live.knowledge("books")
    number = await books.generations.build("two")
    await books.generations.ready(number)
    asked = await books.search("passage number 7", mode="vectors", generation=number)
    await books.generations.switch(number)
    assert await books.search("passage number 7", mode="vectors") == asked
    with pytest.raises(Missing, match="generation 9"):
        await books.search("x", generation=9)


async def test_a_generation_that_is_being_built_is_neither_searched_nor_switched_to(live):
    books = live.knowledge("books")
    number = await books.generations.build("two", per_s=0.5)
    with pytest.raises(Refused, match="still being built"):
        await books.search("x", generation=number)
    with pytest.raises(Refused, match="still being built"):
        await books.generations.switch(number)
    with pytest.raises(Refused, match="is being built"):
        await books.generations.build("two")
    assert await books.generations.drop(number, "not needed") == number
    with pytest.raises(Refused, match="was dropped"):
        await books.generations.ready(number)


async def test_what_is_dropped_leaves_no_passages_and_what_serves_is_never_dropped(live):
    books = live.knowledge("books")
    number = await books.generations.build("two", switch=True)
    await books.generations.ready(number)
    with pytest.raises(Refused, match="serves"):
        await books.generations.drop(number)
    await books.generations.drop(1)
    await live.engine.until(
        lambda: live.engine.keepers["books"].collection.generations.catalogue.find(1).status == "dropped"
    )
    assert await digests(live, 1) == {}
    assert len(await books.digests()) == len(TEXTS)
    with pytest.raises(Refused, match="no generation that served before"):
        await books.generations.roll_back()


async def test_the_one_before_goes_when_its_grace_is_over(live):
    books = live.knowledge("books")
    number = await books.generations.build("two")
    await books.generations.ready(number)
    await books.generations.switch(number, grace_s=0.05)
    catalogue = live.engine.keepers["books"].collection.generations
    async with asyncio.timeout(20):
        await live.engine.until(lambda: catalogue.catalogue.find(1).status == "dropped")
    assert await digests(live, 1) == {}


async def test_a_rebuild_gives_equal_answers_and_keeps_nothing_of_the_old_one(live):
    books = live.knowledge("books")
    await books.delete(["p4"])
    await books.indexed()
    before = await books.search("number 9 about b", limit=20), await books.digests()
    state = await books.generations.rebuild()
    assert state.generation.status == "serving"
    assert (await books.search("number 9 about b", limit=20), await books.digests()) == before
    await live.engine.until(
        lambda: live.engine.keepers["books"].collection.generations.catalogue.find(1).status == "dropped"
    )
    assert await digests(live, 1) == {}


async def test_each_tenant_has_its_own_passages_in_each_generation(live):
    other = live.knowledge("books", tenant="other")
    await other.put([Passage("mine", "a text of the other tenant")])
    await other.indexed()
    number = await other.generations.build("two", switch=True)
    await other.generations.ready(number)
    assert set(await other.digests()) == {"mine"}
    assert "mine" not in await live.knowledge("books").digests()


async def test_an_event_that_cannot_be_indexed_is_left_out_and_counted(store):
    def refuse(texts):
        if any("number 5 " in text for text in texts):
            raise Refused("this text is refused", "change it")

    app = library()
    app.embedder("picky", HashedEmbedder(8, 3, refuse))
    async with app.running(store=store, embedder="one") as live:
        books = live.knowledge("books")
        await books.put(passages(TEXTS))
        state = await books.generations.ready(await books.generations.build("picky"))
        assert state.left_out == 1
        assert "this text is refused" in state.problem
        assert (await digests(live, 1)).keys() - await digests(live, state.generation.number) == {"p5"}
        with pytest.raises(Invalid, match="'nothing' is not known"):
            await books.generations.build("nothing")


async def test_an_embedder_that_is_away_holds_a_build_up_and_nothing_else(store):
    away = True

    def answer(_):
        if away:
            raise Unavailable("the model", "embed")

    app = library()
    app.embedder("remote", HashedEmbedder(8, 3, answer))
    async with app.running(store=store, embedder="one") as live:
        books = live.knowledge("books")
        await books.put(passages(TEXTS))
        await books.indexed()
        number = await books.generations.build("remote")
        while "the model did not answer" not in (await books.generations.state(number)).problem:
            await live.engine.parts.clock.sleep(0.01)
        await books.put([Passage("new", "something new")])
        await books.indexed()
        assert "new" in await books.digests()
        away = False
        await books.generations.ready(number)
        assert await digests(live, number) == await digests(live, 1)


async def test_a_build_goes_on_where_it_was_after_a_restart(tmp_path):
    store = f"sqlite:{tmp_path / 'books.db'}"
    embedder = HashedEmbedder(16, 2)
    app = library()
    app.embedder("two", embedder)
    async with app.running(store=store, embedder="one") as live:
        books = live.knowledge("books")
        await books.put(passages(TEXTS))
        await books.indexed()
        number = await books.generations.build("two", per_s=40)
        while not (await books.generations.state(number)).done:
            await live.engine.parts.clock.sleep(0.01)
        embedded = embedder.texts
        assert embedded < len(TEXTS)
    async with app.running(store=store, embedder="one") as live:
        books = live.knowledge("books")
        assert (await books.generations.ready(number)).generation.status == "ready"
        assert await digests(live, number) == await digests(live, 1)
        assert embedder.texts <= len(TEXTS) + 40  # a page at most was done again


async def test_another_embedder_is_refused_at_the_start_or_built_or_left(tmp_path):
    store = f"sqlite:{tmp_path / 'books.db'}"
    async with library().running(store=store, embedder="one") as live:
        await live.knowledge("books").put(passages(TEXTS))
        await live.knowledge("books").indexed()
    with pytest.raises(Invalid, match=r"knowledge build --app APP\.PY --collection books"):
        async with library().running(store=store, embedder="two"):
            raise AssertionError
    async with library(on_change="keep").running(store=store, embedder="two") as live:
        [only] = await live.knowledge("books").generations.list()
        assert only.generation.model == "hashed-32-1"
        assert len(await live.knowledge("books").search("number", limit=5)) == 5
    async with library(on_change="build").running(store=store, embedder="two") as live:
        books = live.knowledge("books")
        await live.engine.until(lambda: live.engine.keepers["books"].collection.generations.searching.number == 2)
        assert len(await books.digests()) == len(TEXTS)
    async with library().running(store=store, embedder="two") as live:  # nothing has changed since
        assert [each.generation.status for each in await live.knowledge("books").generations.list()] == [
            "standby",
            "serving",
        ]


async def test_an_embedder_that_is_not_there_any_more_stops_only_its_own_generation(tmp_path):
    store = f"sqlite:{tmp_path / 'books.db'}"
    async with library().running(store=store, embedder="one") as live:
        books = live.knowledge("books")
        await books.put(passages(TEXTS))
        await books.generations.ready(await books.generations.build("two"))
    app = App("library")
    app.knowledge("books")
    app.embedder("one", HashedEmbedder(32, 1))
    async with app.running(store=store, embedder="one") as live:
        books = live.knowledge("books")
        state = await books.generations.state(2)
        assert "'two' is not known" in state.problem
        with pytest.raises(Refused, match="cannot be searched"):
            await books.search("x", generation=2)
        await books.put([Passage("new", "something new")])
        await books.indexed()
        assert "new" in await books.digests()
