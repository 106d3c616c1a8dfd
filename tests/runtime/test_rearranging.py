"""Searches whose order is made better: by use, and by a re-ranker; and what follows when that fails."""

import asyncio

import pytest

from penstock import App, Context, Event, KnowledgeUsed, Passage
from penstock.errors import Invalid, Unavailable
from penstock.runtime.replaying import Stretch

TEXTS = {"a": "cats purr loudly", "b": "cats purr softly", "c": "cats purr often", "d": "dogs bark"}


class Upside:
    """A re-ranker that turns the order round, unless it is told to do otherwise."""

    name = "upside"

    def __init__(self):
        self.failure, self.asked = None, []

    async def rerank(self, query, candidates):
        self.asked.append(len(candidates))
        if self.failure == "slow":
            await asyncio.Event().wait()
        if self.failure is not None:
            raise self.failure
        return [-each.score for each in candidates]


class Ask(Event, key="session"):
    session: str
    text: str


class Told(Event, key="session"):
    session: str
    ids: list[str]


def library(reranker=""):
    app = App("library")
    shelf = app.knowledge("shelf", reranker=reranker)

    @app.agent
    async def answer(ask: Ask, ctx: Context) -> Told:
        found = await shelf.search(ask.text, mode="words", boost=1.0, rerank=0)
        shelf.used(ask.text, found[-1:], shown=found)
        return Told(session=ask.session, ids=[each.id for each in found])

    return app


async def filled(live):
    await live.knowledge("shelf").put([Passage(each, text) for each, text in TEXTS.items()], consistency="strong")
    return live.knowledge("shelf")


def ids(found):
    return [each.id for each in found]


async def test_a_reranker_orders_anew_within_its_bounds_and_failing_leaves_the_order_before():
    reranker = Upside()
    async with library(reranker).running(store="memory:") as live:
        shelf = await filled(live)
        before = ids(await shelf.search("cats purr", mode="words", rerank=0))
        assert reranker.asked == []
        assert ids(await shelf.search("cats purr", mode="words")) == sorted(before, reverse=False)[: len(before)]
        found = await shelf.search("cats purr", limit=1, mode="vectors")
        assert ids(found) == ids(await shelf.search("cats purr", mode="vectors", rerank=0))[-1:]
        assert found[0].degraded == ""
        part = await shelf.search("cats purr", mode="vectors", rerank=2)
        plain = ids(await shelf.search("cats purr", mode="vectors", rerank=0))
        assert ids(part) == [plain[1], plain[0], *plain[2:]]
        assert [each.score for each in part] == sorted((each.score for each in part), reverse=True)
        for failure in (Unavailable("x", "rerank"), RuntimeError("odd"), "slow"):
            reranker.failure = failure
            found = await shelf.search("cats purr", mode="vectors", rerank_within_s=0.05)
            assert ids(found) == plain
            assert "in the order before" in found[0].degraded
        # Paging and diversity have an order of their own: the collection's re-ranker is left out.
        asked = len(reranker.asked)
        await shelf.search("cats purr", page_after=found[0].cursor)
        await shelf.search("cats purr", diversity=0.5)
        assert len(reranker.asked) == asked


async def test_use_lifts_a_passage_of_that_tenant_and_was_not_there_before(tmp_path):
    app = library()
    async with app.running(store=f"sqlite:{tmp_path}/library.db") as live:
        shelf = await filled(live)
        plain = ids(await shelf.search("cats purr", mode="vectors"))
        last = plain[-2]
        begun_ms = live.engine.services.clock.now_ms()
        for number in range(3):
            await shelf.used("cats purr", [last], id=f"u{number}")
        await shelf.used("cats purr", [last], id="u0")  # again: the same event
        await live.engine.caught_up("knowledge-uses")
        lifted = await shelf.search("cats purr", mode="vectors", boost=1.0)
        assert ids(lifted)[0] == last
        assert ids(await shelf.search("cats purr", mode="vectors")) == plain
        other = live.knowledge("shelf", tenant="other")
        assert await other._collection.rearranging.uses.weights("other", begun_ms) == {}
        from datetime import UTC, datetime

        was = datetime.fromtimestamp((begun_ms - 1) / 1000, UTC)
        assert last not in await shelf._collection.rearranging.uses.weights("default", 0, by_ms=begun_ms - 1)
        assert ids(await shelf.search("cats purr", mode="vectors", boost=1.0, as_of=was)) in (plain, [])
        for _ in range(9):
            await shelf.used("cats purr", [last], verdict="unhelpful")
        await live.engine.caught_up("knowledge-uses")
        assert ids(await shelf.search("cats purr", mode="vectors", boost=1.0))[0] != last


async def test_c8_a_replay_lifts_by_the_use_that_there_was(tmp_path):
    app = library()
    async with app.running(store=f"sqlite:{tmp_path}/library.db") as live:
        shelf = await filled(live)
        told = await live.ask(Ask(session="s", text="cats purr"), Told, id="a1")
        await live.engine.caught_up("knowledge-uses")
        said = await shelf._collection.rearranging.uses.events("default")
        assert [(each.used, each.shown) for each, _ in said] == [(told.ids[-1:], told.ids)]
        assert isinstance(said[0][0], KnowledgeUsed)
        for _ in range(5):
            await shelf.used("cats purr", told.ids[-1:])
        await live.engine.caught_up("knowledge-uses")
        assert (await live.ask(Ask(session="s", text="cats purr"), Told, id="a2")).ids != told.ids
        stretch = Stretch("ask", first=1, last=1, agent="answer", fresh_reads=True)
        verdicts = [each async for each in app.replay(live.engine.parts.store, stretch)]
    assert [each.outcome for each in verdicts] == ["same"]


async def test_what_is_wrong_with_an_order_is_said():
    async with library().running(store="memory:") as live:
        shelf = live.knowledge("shelf")
        with pytest.raises(Invalid) as caught:
            await shelf.search("x", boost=2, rerank=900, rerank_within_s=0, diversity=0.5)
        paths = [each.path for each in caught.value.findings]
        assert paths == ["boost", "rerank", "rerank_within_s", "diversity", "diversity"]
        with pytest.raises(Invalid, match="used"):
            await shelf.used("x", [])
        await filled(live)
        found = await shelf.search("cats", rerank=5)
        assert "no re-ranker" in found[0].degraded
    with pytest.raises(Invalid, match="reranker"):
        async with library("odd").running(store="memory:"):
            pass
