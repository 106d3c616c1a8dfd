"""Older memories become one that stands for them, and nothing is lost or mixed by that."""

import pytest

from penstock import App, Context, Event
from penstock.core.agents.pieces import Piece
from penstock.errors import Invalid
from penstock.runtime.indexer import NAME as INDEXER
from penstock.runtime.replaying import Stretch
from penstock.testing.hashed_embedder import HashedEmbedder
from penstock.testing.pacing import PACES, PacedClock
from penstock.testing.scripted_model import ScriptedModel
from penstock.testing.virtual_time import VirtualClock, run_virtually

ANNA, BEN = "anna@example.org", "ben@example.org"


class Told(Event, key="session", subject="user"):
    session: str
    user: str
    text: str
    id: str = ""


class Tidy(Event, key="session", subject="user"):
    session: str
    user: str
    keep: int = 2
    at_least: int = 3
    scope: str = "session"


class Asked(Event, key="session", subject="user"):
    session: str
    user: str


def companion(*replies):
    app = App("companion")
    memories = app.memory("turns")
    model = ScriptedModel(replies)
    app.model("default", model)
    app.embedder("one", HashedEmbedder(64, 1))

    @app.agent
    async def listen(told: Told, ctx: Context) -> None:
        memories.remember(told.text, importance=len(told.text), id=told.id)

    @app.agent
    async def tidy(event: Tidy, ctx: Context) -> list[str]:
        wanted = {"keep": event.keep, "at_least": event.at_least, "scope": event.scope}
        summary = await memories.summarise(**wanted)
        return [] if summary is None else [summary.id, summary.text, *summary.summarises]

    @app.agent
    async def remind(asked: Asked, ctx: Context) -> list[str]:
        return sorted(each.text for each in await memories.recall("t", limit=20))

    return app, model


async def told(live, *texts, user=ANNA, **more):
    for text in texts:
        await live.result(await live.start("listen", Told(session="s", user=user, text=text, **more)))
    await live.engine.caught_up(INDEXER)


async def tidied(live, *, user=ANNA, **more):
    result = await live.result(await live.start("tidy", Tidy(session="s", user=user, **more)))
    await live.engine.caught_up(INDEXER)
    return result


async def reminded(live, user=ANNA):
    return await live.result(await live.start("remind", Asked(session="s", user=user)))


@pytest.mark.parametrize("pace", PACES)
async def test_a_summary_stands_for_what_is_older_and_the_next_one_for_it(pace):
    app, model = companion("all of a", "all of b")
    clock = PacedClock(pace, stride_ms=86_400_000)  # all of it may be said at one moment
    async with app.running(store="memory:", embedder="one", clock=clock) as live:
        await told(live, "t1", "t2xxx", "t3", "t4")
        assert await tidied(live) == []  # two are older than the two that are kept
        await told(live, "t5")
        first, text, *parts = await tidied(live)
        assert (text, len(parts)) == ("all of a", 3)
        assert model.requests[0].messages[-1].content.count(" t") == 3
        assert await reminded(live) == ["all of a", "t4", "t5"]
        [summary] = await live.memory("turns").recall("all of a", session="s", limit=1)
        assert (summary.id, summary.summarises) == (first, tuple(parts))
        assert summary.importance == pytest.approx(4 / 9)  # of its most important part
        everything = await live.memory("turns").recall("t", session="s", limit=20, summarised=True)
        assert sorted(each.text for each in everything) == ["all of a", "t1", "t2xxx", "t3", "t4", "t5"]
        await told(live, "t6", "t7")
        _, text, *parts = await tidied(live)
        assert text == "all of b"
        assert first in parts
        assert "all of a" in model.requests[1].messages[-1].content
        assert await reminded(live) == ["all of b", "t6", "t7"]


async def test_what_is_about_others_or_has_an_id_is_not_summed_up_and_forget_takes_the_summary(tmp_path):
    app, model = companion("anna in short")
    async with app.running(store=f"sqlite:{tmp_path}/turns.db", embedder="one") as live:
        await told(live, "t fact", id="fact")
        await told(live, "t ben 1", "t ben 2", user=BEN)
        await told(live, "t anna 1", "t anna 2", "t anna 3")
        _, _, *parts = await tidied(live, keep=0)
        assert len(parts) == 3
        assert "ben" not in model.requests[0].messages[-1].content
        assert await reminded(live) == ["anna in short", "t ben 1", "t ben 2", "t fact"]
        await live.forget(ANNA)
        assert await reminded(live, BEN) == ["t ben 1", "t ben 2"]
        traces = await live.traces(ANNA, texts=["anna in short", "t anna 1"])
        assert traces.is_nothing, traces


async def test_c8_a_replay_sums_up_the_same_without_asking_and_who_follows_the_run_sees_nothing_of_it(tmp_path):
    app, _ = companion("in short")
    async with app.running(store=f"sqlite:{tmp_path}/turns.db", embedder="one") as live:
        await told(live, "t1", "t2", "t3")
        run = await live.start("tidy", Tidy(session="s", user=ANNA, keep=0))
        pieces: list[Piece] = [each async for each in live.stream(run)]
        assert (await live.result(run))[1] == "in short"
        assert [each.text for each in pieces if each.kind == "token"] == []
        stored = await live.engine.parts.store.run(run)
        assert [each.step for each in stored.records] == ["search:turns#0", "ask:text#0"]
        await live.engine.caught_up(INDEXER)
        await told(live, "t0", "t4")  # later: not seen by a replay, even if it searches anew
        history = live.engine.parts.store
        for replies, fresh in (((), False), (("in short",), True)):
            other, model = companion(*replies)
            stretch = Stretch("tidy", agent="tidy", fresh_reads=fresh)
            assert [each.outcome async for each in other.replay(history, stretch)] == ["same"], fresh
            assert len(model.requests) == len(replies)


def test_a_summary_goes_with_the_first_of_its_parts_that_expires():
    async def main():
        clock = VirtualClock()
        app, _ = companion("in short")
        async with app.running(store="memory:", embedder="one", clock=clock) as live:
            turns = live.memory("turns")
            for number, ttl_s in ((1, None), (2, 90.0), (3, 60.0)):
                await turns.remember(f"t{number}", user=ANNA, scope="user", ttl_s=ttl_s, consistency="strong")
            assert (await tidied(live, keep=0, scope="user"))[1] == "in short"
            assert await reminded(live) == ["in short"]
            await clock.sleep(61)
            assert await reminded(live) == []
            left = await turns.recall("t", user=ANNA, summarised=True)
            assert sorted(each.text for each in left) == ["t1", "t2"]

    run_virtually(main())


async def test_what_cannot_be_summed_up_is_said():
    app, _ = companion("   ")
    seen = []
    memories = app.memories["turns"]

    class Wrong(Event, key="session"):
        session: str

    @app.agent
    async def wrong(event: Wrong, ctx: Context) -> None:
        with pytest.raises(Invalid) as caught:
            await memories.summarise(scope="user", keep=-1, at_least=1)
        seen.extend(each.path for each in caught.value.findings)

    async with app.running(store="memory:", embedder="one") as live:
        await live.result(await live.start("wrong", Wrong(session="s")))
        assert seen == ["user", "keep", "at_least"]
        await told(live, "t1", "t2", "t3")
        assert await tidied(live, keep=0) == []  # the model said nothing
        assert await reminded(live) == ["t1", "t2", "t3"]
