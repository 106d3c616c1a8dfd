"""A collection can be searched as it was, and a replayed run sees what the run saw (C8)."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock import App, Context, Event, Passage
from penstock.core.knowledge.as_of import AsOf, read
from penstock.errors import Invalid, LimitReached, Missing, Refused
from penstock.runtime import past
from penstock.runtime.replaying import Stretch
from penstock.testing.hashed_embedder import HashedEmbedder


class Asked(Event, key="who"):
    who: str
    text: str


def library(query="{}", learns=True):
    """Return an app that answers from its knowledge, and learns what it was asked."""
    app = App("library")
    books = app.knowledge("books")
    app.embedder("one", HashedEmbedder(32, 1))

    @app.agent
    async def answer(asked: Asked, ctx: Context) -> list[str]:
        found = await books.search(query.format(asked.text), limit=3)
        if learns:
            books.put(Passage(f"asked by {asked.who}", asked.text))
        return [each.id for each in found]

    return app


IDS = ("a", "b", "c")
WORDS = ("river", "tea", "mill", "hat")
changes = st.lists(
    st.tuples(st.sampled_from(IDS), st.one_of(st.none(), st.lists(st.sampled_from(WORDS), max_size=3).map(" ".join))),
    max_size=12,
)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(changes, st.lists(st.integers(0, 12), max_size=4), st.sampled_from(["words", "vectors", "hybrid"]))
def test_c8_as_of_any_offset_is_what_a_collection_gives_that_never_saw_more(made, points, mode):
    import asyncio

    async def life():
        app = library()
        async with app.running(store="memory:", embedder="one") as live:
            books = live.knowledge("books")
            for each, text in made:
                await (books.delete([each]) if text is None else books.put([Passage(each, text)]))
            await books.indexed()
            for point in (min(each, len(made)) for each in points):
                expected = await plain(made[:point], mode)
                assert await books.search("river tea hat", mode=mode, as_of=point) == expected, point

    asyncio.run(life())


async def plain(made, mode):
    """What a new app finds that only ever saw these changes."""
    async with library().running(store="memory:", embedder="one") as live:
        books = live.knowledge("books")
        for each, text in made:
            await (books.delete([each]) if text is None else books.put([Passage(each, text)]))
        await books.indexed()
        return await books.search("river tea hat", mode=mode)


@pytest.fixture
async def live(tmp_path):
    async with library().running(store=f"sqlite:{tmp_path / 'books.db'}", embedder="one") as running:
        books = running.knowledge("books")
        await books.put([Passage("first", "a mill by the river")])
        await books.put([Passage("first", "a mill by the sea"), Passage("second", "tea")])
        await books.delete(["second"])
        await books.indexed()
        yield running


async def ids(live, text, **how):
    return [each.id for each in await live.knowledge("books").search(text, mode="words", **how)]


async def test_an_offset_counts_itself_and_none_is_before_all(live):
    assert await ids(live, "river") == []
    assert await ids(live, "river", as_of=1) == ["first"]
    assert await ids(live, "river", as_of=2) == []
    assert await ids(live, "tea", as_of=3) == ["second"]
    assert await ids(live, "tea", as_of=4) == []
    assert await ids(live, "river", as_of=1) == ["first"]  # back again
    assert await ids(live, "river", as_of=0) == []
    [found] = await live.knowledge("books").search("river", as_of=1)
    assert found.as_of == 1


async def test_a_time_and_a_run_are_points_too(live):
    log = await live.engine.parts.store.read("knowledge-events", 0, after=0, limit=10)
    for position in range(1, 5):
        at = datetime.fromtimestamp(log[position - 1].event.time_ms / 1000, UTC)
        last = max(each.position.offset for each in log if each.event.time_ms <= log[position - 1].event.time_ms)
        known = live.engine.services.collection("books").past
        assert await known.cut(AsOf(time_ms=int(at.timestamp() * 1000))) == {0: last}
    first = datetime.fromtimestamp(log[0].event.time_ms / 1000, UTC)
    assert await ids(live, "river", as_of=first - timedelta(days=1)) == []
    asked = await live.send(Asked(who="x", text="river sea"))
    assert await live.result(f"{asked}:answer") == ["first"]
    assert await live.engine.settled(5)
    assert await ids(live, "river", as_of=f"{asked}:answer") == []
    assert await ids(live, "river") == ["asked by x"]


async def test_what_cannot_be_seen_is_said(live, monkeypatch):
    books = live.knowledge("books")
    for wrong, error in (
        (-1, Invalid),
        (True, Invalid),
        (datetime(2026, 1, 1), Invalid),  # noqa: DTZ001 - that is what is refused
        ("yesterday", Invalid),
        (99, Invalid),
        ("nothing:answer", Missing),
    ):
        with pytest.raises(error):
            await books.search("x", as_of=wrong)
    monkeypatch.setattr(past, "EVENTS_MAX", 3)
    with pytest.raises(LimitReached, match="an index of the past"):
        await books.search("x", as_of=4)
    assert await ids(live, "river", as_of=1) == ["first"]


def test_people_write_offsets_times_and_runs():
    assert read("12") == AsOf(offset=12)
    assert read("1970-01-01T00:00:01Z") == AsOf(time_ms=1000)
    assert read("1970-01-01T00:00:01") == AsOf(time_ms=1000)
    assert read("e1:answer") == AsOf(run="e1:answer")
    with pytest.raises(Invalid):
        read("soon")


async def verdicts(app, store, **stretch):
    which = Stretch("asked", agent="answer", **stretch)
    found = [each async for each in app.replay(store, which)]
    return [(each.outcome, each.now.result if each.now else None) for each in found]


async def test_c8_a_replayed_search_sees_the_knowledge_of_its_time(tmp_path):
    """The index has learned since; fresh searches still find what was there when each run was made."""
    async with library().running(store=f"sqlite:{tmp_path / 'books.db'}", embedder="one") as live:
        for who in ("x", "y", "z"):
            await live.send(Asked(who=who, text="river"))
            assert await live.engine.settled(5)
        store = live.engine.parts.store
        results = [b"[]", b'["asked by x"]', b'["asked by x","asked by y"]']
        fresh = await verdicts(library(), store, fresh_reads=True)
        assert fresh == [("same", each) for each in results]
        assert len(await ids(live, "river")) == 3
        assert await verdicts(library(), store) == fresh


async def test_c8_code_that_asks_something_else_finds_what_there_was(tmp_path):
    async with library().running(store=f"sqlite:{tmp_path / 'books.db'}", embedder="one") as live:
        books = live.knowledge("books")
        await books.put([Passage("old", "the mill")])
        await books.indexed()
        await live.send(Asked(who="x", text="river"))
        assert await live.engine.settled(5)
        await books.put([Passage("new", "the mill")])
        await books.delete(["old"])
        await books.indexed()
        [(_, result)] = await verdicts(library("mill {}"), live.engine.parts.store, fresh_reads=True)
        assert result == b'["old"]'


async def test_what_the_log_let_go_is_refused(live):
    import msgspec

    from penstock.core.agents.unit import ValueWrite
    from penstock.runtime.generations import LET_GO, OWNER

    value = ValueWrite("default", OWNER, LET_GO, LET_GO, msgspec.msgpack.encode(3))
    live.engine.services.committer.add().values.append(value)
    await live.engine.services.committer.durable()
    with pytest.raises(Refused, match="was let go up to 3"):
        await live.knowledge("books").search("river", as_of=2)
    assert await ids(live, "tea", as_of=3) == ["second"]
