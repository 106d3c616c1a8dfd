"""Agents remember and are reminded: by meaning, time and importance, each user and tenant of its own (C8, C10)."""

import pytest

from penstock import App, Context, Event, RecallWeights
from penstock.errors import Invalid, LimitReached, Missing
from penstock.runtime.indexer import NAME as INDEXER
from penstock.runtime.replaying import Stretch
from penstock.testing.hashed_embedder import HashedEmbedder
from penstock.testing.virtual_time import VirtualClock, run_virtually

pytestmark = pytest.mark.usefixtures("any_pace")

DAY_S = 86_400
ANNA, BEN = "anna@example.org", "ben@example.org"


class Told(Event, key="session", subject="user"):
    session: str
    user: str
    text: str
    importance: float = 5.0
    scope: str = "session"


class Asked(Event, key="session", subject="user"):
    session: str
    user: str
    text: str


class Mistaken(Event, key="session"):
    session: str


def companion():
    app = App("companion")
    memories = app.memory("turns")
    app.embedder("one", HashedEmbedder(64, 1))

    @app.agent
    async def listen(told: Told, ctx: Context) -> str:
        return memories.remember(told.text, importance=told.importance, scope=told.scope)

    @app.agent
    async def remind(asked: Asked, ctx: Context) -> list[str]:
        return [each.text for each in await memories.recall(asked.text, limit=3)]

    @app.agent
    async def err(mistaken: Mistaken, ctx: Context) -> list[str]:
        wrong = []
        try:
            memories.remember("", importance=0, metadata={"session": "x"})
        except Invalid as error:
            wrong += [each.path for each in error.findings]
        try:
            await memories.recall("x", scope="user", weights=RecallWeights(half_life_s=0))
        except Invalid as error:
            wrong += [each.path for each in error.findings]
        with pytest.raises(LimitReached, match="memories"):
            await memories.recall("x", limit=51)
        return wrong

    return app


async def tell(live, text, *, session="s", user=ANNA, tenant="default", **more):
    told = await live.start("listen", Told(session=session, user=user, text=text, **more), tenant=tenant)
    name = await live.result(told, tenant=tenant)
    await live.engine.caught_up(INDEXER)
    return name


async def reminded(live, text, *, session="s", user=ANNA, tenant="default"):
    run = await live.start("remind", Asked(session=session, user=user, text=text), tenant=tenant)
    return await live.result(run, tenant=tenant)


def test_what_is_recalled_is_near_fresh_or_important():
    async def main():
        clock = VirtualClock()
        async with companion().running(store="memory:", embedder="one", clock=clock) as live:
            await tell(live, "my daughter is allergic to nuts", importance=10)
            await clock.sleep(30 * DAY_S)
            await tell(live, "the train was late", importance=1)
            await clock.sleep(30 * DAY_S)
            await tell(live, "the sun shines", importance=1)
            turns, about = live.memory("turns"), {"session": "s", "user": ANNA}
            for weights, first in (
                (RecallWeights(0, 1, 0), "the sun shines"),
                (RecallWeights(0, 0, 1), "my daughter is allergic to nuts"),
                (RecallWeights(1, 0, 0), "the train was late"),
            ):
                assert (await turns.recall("train late", weights=weights, **about))[0].text == first
            fresh = {each.text: each.recency for each in await turns.recall("sun", **about)}
            assert fresh["the sun shines"] > 0.99
            assert fresh["the train was late"] == pytest.approx(0.995 ** (30 * 24), rel=0.01)

    run_virtually(main())


async def test_c10_a_memory_reaches_its_session_user_agent_or_all_and_no_other_tenant():
    async with companion().running(store="memory:", embedder="one") as live:
        await tell(live, "of the session")
        await tell(live, "of the user", scope="user")
        await tell(live, "of the agent", scope="agent")
        await tell(live, "of all", scope="tenant")
        assert sorted(await reminded(live, "of")) == ["of all", "of the session", "of the user"]  # by another agent
        assert sorted(await reminded(live, "of", session="t")) == ["of all", "of the user"]
        assert sorted(await reminded(live, "of", session="t", user=BEN)) == ["of all"]
        assert await reminded(live, "of", tenant="other") == []
        turns = live.memory("turns")
        assert [each.text for each in await turns.recall("of", agent="listen", scope="agent")] == ["of the agent"]
        assert await live.memory("turns", tenant="other").recall("of", session="s", user=ANNA, agent="listen") == []


async def test_c8_a_recall_is_a_step_and_a_replay_sees_what_the_run_saw(tmp_path):
    async with companion().running(store=f"sqlite:{tmp_path}/turns.db", embedder="one") as live:
        await tell(live, "the cat is called Tom")
        run = await live.start("remind", Asked(session="s", user=ANNA, text="cat"), id="a1")
        assert await live.result(run) == ["the cat is called Tom"]
        assert [each.step for each in (await live.engine.parts.store.run(run)).records] == ["search:turns#0"]
        await tell(live, "the cat is called Tim now")
        history = live.engine.parts.store
        for fresh in (False, True):
            stretch = Stretch("asked", agent="remind", fresh_reads=fresh)
            assert [each.outcome async for each in companion().replay(history, stretch, None)] == ["same"], fresh
        past = await live.memory("turns").recall("cat", session="s", as_of=run)
        assert [each.text for each in past] == ["the cat is called Tom"]


async def test_forget_reaches_what_is_remembered_of_somebody_in_every_scope(tmp_path):
    async with companion().running(store=f"sqlite:{tmp_path}/turns.db", embedder="one") as live:
        for scope in ("session", "user", "agent", "tenant"):
            await tell(live, f"anna is 41 {scope}", scope=scope)
            await tell(live, f"ben is 42 {scope}", scope=scope, user=BEN)
        receipt = await live.forget(ANNA)
        assert live.is_receipt(receipt, ANNA)
        found = await live.memory("turns").recall("is", session="s", user=ANNA, agent="listen", limit=20)
        assert {each.user for each in found} == {BEN}
        assert sorted(each.scope for each in found) == ["agent", "session", "tenant"]
        assert await live.memory("turns").recall("anna 41", user=ANNA, scope="user") == []


def test_from_outside_what_was_written_is_recalled_replaced_and_expires():
    async def main():
        clock = VirtualClock()
        async with companion().running(store="memory:", embedder="one", clock=clock) as live:
            turns = live.memory("turns")
            written = await turns.remember("likes tea", user=ANNA, scope="user", id="drink", metadata={"kind": "taste"})
            [tea] = await turns.recall("drinks", user=ANNA, after=written)
            assert (tea.id, tea.text, tea.user, tea.metadata) == ("drink", "likes tea", ANNA, {"kind": "taste"})
            await turns.remember("likes coffee", user=ANNA, scope="user", id="drink", ttl_s=60, consistency="strong")
            assert [each.text for each in await turns.recall("drinks", user=ANNA)] == ["likes coffee"]
            assert await turns.recall("drinks", user=ANNA, filter={"kind": "taste"}) == []
            await clock.sleep(61)
            assert await turns.recall("drinks", user=ANNA) == []

    run_virtually(main())


async def test_what_cannot_be_is_said_with_all_findings():
    app = companion()
    with pytest.raises(Invalid, match="half_life_s"):
        app.memory("other", weights=RecallWeights(half_life_s=-1))
    app.knowledge("books")
    with pytest.raises(Invalid, match="taken"):
        app.memory("books")
    async with app.running(store="memory:", embedder="one") as live:
        run = await live.start("err", Mistaken(session="s"))
        assert await live.result(run) == ["text", "importance", "metadata.session", "user", "weights.half_life_s"]
        with pytest.raises(Missing, match="declare it"):
            live.memory("books")
        with pytest.raises(Invalid, match="session"):
            await live.memory("turns").remember("x")
