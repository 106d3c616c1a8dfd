"""A finer model follows in the background and refines what is found: no write waits for it, and every passage is found at once."""

import asyncio

import numpy as np
import pytest

from penstock import App, Passage
from penstock.errors import Invalid, Missing, Refused, Unavailable
from penstock.runtime.refining import WITHIN_S
from penstock.testing.hashed_embedder import HashedEmbedder

# To the first model all are alike; what the finer one is to prefer begins with its word.
TEXTS = {
    f"p{number}": f"note about {word}" for number, word in enumerate(["rain", "wind", "snow", "fog", "hail", "sun"])
}


class Judge:
    """A finer model: a text that has `likes` is near to every query. `opened` lets passages through, `fails` answers nothing."""

    name, dims = "judge-1", 3

    def __init__(self, likes="fog", *, is_open=True):
        self.likes = likes
        self.opened = asyncio.Event()
        if is_open:
            self.opened.set()
        self.fails = None
        self.passages = 0

    async def embed(self, texts, *, purpose="passage"):
        if self.fails is not None:
            await self.fails()
        if purpose == "passage":
            await self.opened.wait()
            self.passages += len(texts)
        rows = [[1, 0, 0] if purpose == "query" or self.likes in text else [0.1, 1, len(text) / 100] for text in texts]
        found = np.array(rows, np.float32).reshape(len(texts), 3)
        return found / np.linalg.norm(found, axis=1, keepdims=True)


@pytest.fixture(params=["memory", "sqlite"])
def store(request, tmp_path):
    return "memory:" if request.param == "memory" else f"sqlite:{tmp_path / 'notes.db'}"


def notes(judge, other=None):
    app = App("notes")
    app.knowledge("notes")
    app.embedder("first", HashedEmbedder(32, 1))
    app.embedder("judge", judge)
    app.embedder("other", other or HashedEmbedder(16, 3))
    return app


def running(judge, store, **options):
    return notes(judge).running(store=store, embedder="first", **options)


async def filled(live):
    shelf = live.knowledge("notes")
    await shelf.put([Passage(name, text) for name, text in TEXTS.items()], consistency="strong")
    return shelf


def ids(found):
    return [each.id for each in found]


async def refining(shelf):
    return next(each for each in await shelf.generations.list() if each.generation.refines)


@pytest.mark.parametrize("how", [{}, {"mode": "vectors"}, {"fusion": "ranks"}])
async def test_a_finer_model_has_its_say_once_it_knows_the_passages(how, store):
    async with running(Judge(), store, refiner="judge") as live:
        shelf = await filled(live)
        assert await shelf.generations.refined()
        found = await shelf.search("note about", limit=6, **how)
        assert set(ids(found)) == set(TEXTS)
        assert {each.generation for each in found} == {1}
        unrefined = await shelf.search("note about", limit=6, refine=False, **how)
        assert unrefined == await shelf.search("note about", limit=6, generation=1, **how)
        if "fusion" in how:  # a third list, which it leads
            [before] = [each.score for each in unrefined if each.id == "p3"]
            assert [each.score for each in found if each.id == "p3"] == [pytest.approx(before + 1 / 61)]
        else:
            assert found[0].id == "p3"


async def test_no_write_and_no_search_waits_for_it(store):
    judge = Judge(is_open=False)
    async with running(judge, store, refiner="judge") as live:
        shelf = await filled(live)  # strong: it returns when all can be found
        assert set(ids(await shelf.search("note about", limit=6))) == set(TEXTS)
        state = await refining(shelf)
        assert state.behind > 0
        judge.opened.set()
        assert await shelf.generations.refined()
        assert ((await refining(shelf)).behind, judge.passages) == (0, len(TEXTS))
        assert (await shelf.search("note about"))[0].id == "p3"


async def test_what_it_says_of_an_older_text_does_not_count(store):
    judge = Judge()
    async with running(judge, store, refiner="judge") as live:
        shelf = await filled(live)
        assert await shelf.generations.refined()
        judge.opened.clear()
        await shelf.put([Passage("p3", "note about nothing"), Passage("p6", "note about fog")], consistency="strong")
        assert (await shelf.search("note about fog", mode="vectors", limit=7))[0].id == "p6"
        found = await shelf.search("note about", mode="vectors", limit=7)
        assert set(ids(found)) == {*TEXTS, "p6"}
        # The model still has the old text of p3 for the best there is, which is no reason for p3 to lead.
        assert found[0].id != "p3"
        judge.opened.set()
        assert await shelf.generations.refined()
        assert (await shelf.search("note about"))[0].id == "p6"


async def _unavailable():
    raise Unavailable("the judge", "embed")


async def _late():
    await asyncio.Event().wait()


@pytest.mark.parametrize(
    ("fails", "said"), [(_unavailable, "not refined: the judge"), (_late, f"longer than {WITHIN_S:g}")]
)
async def test_when_it_does_not_answer_in_time_it_goes_on_without_and_says_so(fails, said, tmp_path):
    judge = Judge()
    async with running(judge, f"sqlite:{tmp_path}/notes.db", refiner="judge") as live:
        shelf = await filled(live)
        assert await shelf.generations.refined()
        judge.fails = fails
        found = await shelf.search("note about some other thing", limit=6)
        assert said in found[0].degraded
        assert found == await shelf.search("note about some other thing", limit=6, refine=False)


async def test_a_build_goes_on_after_a_restart_and_each_passage_is_embedded_once(tmp_path):
    where, judge = f"sqlite:{tmp_path}/notes.db", Judge(is_open=False)
    async with running(judge, where, refiner="judge") as live:
        await filled(live)
    assert judge.passages == 0
    again = Judge()
    async with running(again, where) as live:  # what was begun goes on without the setting
        shelf = live.knowledge("notes")
        assert await shelf.generations.refined()
        assert again.passages == len(TEXTS)
        assert (await shelf.search("note about"))[0].id == "p3"
    last = Judge()
    async with running(last, where, refiner="judge") as live:
        shelf = live.knowledge("notes")
        assert (await shelf.search("note about"))[0].id == "p3"
        assert len(await shelf.generations.list()) == 2
        assert last.passages == 0


async def test_another_one_in_the_settings_takes_its_place(tmp_path):
    where = f"sqlite:{tmp_path}/notes.db"
    async with running(Judge(), where, refiner="judge") as live:
        assert await (await filled(live)).generations.refined()
    async with running(Judge(), where, refiner="other") as live:
        shelf = live.knowledge("notes")
        await live.engine.until(
            lambda: len(live.engine.services.collection("notes").generations.catalogue.generations) == 3
        )
        state = await shelf.generations.ready(3)
        assert (state.generation.embedder, state.generation.refines) == ("other", True)
        assert (await shelf.generations.state(2)).generation.status in ("dropping", "dropped")


async def test_a_tenant_is_refined_by_its_own_passages_only(store):
    async with running(Judge(), store, refiner="judge") as live:
        mine, theirs = live.knowledge("notes"), live.knowledge("notes", tenant="them")
        await mine.put([Passage("a", "note about fog"), Passage("b", "note about rain")], consistency="strong")
        await theirs.put([Passage("a", "note about wind"), Passage("b", "note about fog")], consistency="strong")
        assert await mine.generations.refined()
        assert (await mine.search("note about", mode="vectors"))[0].id == "a"
        assert (await theirs.search("note about", mode="vectors"))[0].id == "b"


async def test_another_generation_can_be_built_beside_it_and_it_refines_what_serves(store):
    async with running(Judge(is_open=False), store, refiner="judge") as live:
        shelf = await filled(live)
        with pytest.raises(Refused, match="refines searches already"):
            await shelf.generations.refine("other")
        catalogue = live.engine.services.collection("notes").generations.catalogue
        assert catalogue.refining is not None
        assert catalogue.refining.number == 2


async def test_one_that_cuts_in_another_way_is_not_refined_by_it(tmp_path):
    async with running(Judge(), f"sqlite:{tmp_path}/notes.db", refiner="judge") as live:
        shelf = await filled(live)
        assert await shelf.generations.refined()
        number = await shelf.generations.build("first", switch=True, options={"words_max": "40"})
        await shelf.generations.ready(number)
        assert live.engine.services.collection("notes").generations.catalogue.refining is None
        found = await shelf.search("note about", limit=6)
        assert (len(found), found[0].degraded) == (6, "")


async def test_a_refiner_that_cannot_be_opened_is_said_at_the_start(tmp_path):
    app = App("notes")
    app.knowledge("notes")
    with pytest.raises((Invalid, Missing)):
        async with app.running(store=f"sqlite:{tmp_path}/notes.db", refiner="nothing"):
            pass
