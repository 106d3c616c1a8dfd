"""An app's streams as a job, its agents elsewhere: what the job embeds and has indexed is what the app does by itself."""

import pytest
from job_and_app import Rest, Streams, job_and_app
from keyed_driver import Driver
from streams_on_flink import CHECKS, OUT, Confirmed, Noted, Word, app, checked, once, recorded, with_books

from penstock import App, Context, Event, KnowledgeEvent, testing
from penstock.brokers import carried_topics
from penstock.errors import Invalid
from penstock.flink.carrying import require_carried, sink_topics, source_topics
from penstock.flink.plan import JobOptions
from penstock.settings import Settings
from penstock.testing.fixtures import anyio_backend
from penstock.wiring import topology_of

__all__ = ["anyio_backend"]


def by_key(events: list[Event]) -> dict[str, list[Event]]:
    found: dict[str, list[Event]] = {}
    for each in events:
        assert each.key_ is not None
        found.setdefault(str(getattr(each, each.key_)), []).append(each)
    return found


def pairs_in(events: list[Confirmed]) -> list[tuple[str, int, int]]:
    """Return who met whom, each as often as it was emitted: their order is that in which they met."""
    return sorted((each.device, each.value, each.number) for each in events)


def of_notes(found: dict[str, list[Event]]) -> dict[str, list[Event]]:
    """Return the knowledge that streams have indexed, and not that which was there before."""
    kept = {key: [each for each in events if each.collection == "notes"] for key, events in found.items()}  # type: ignore[attr-defined]
    return {key: events for key, events in kept.items() if events}


async def test_recorded_input_comes_to_the_same_in_a_job_of_the_streams_and_in_the_app():
    async with testing.app(app) as live:
        await with_books(live)
        for number, event in enumerate(recorded()):
            await live.engine.send(event, id=f"m{number}")
        await live.settled()  # one side of a join comes after all of the other one
        for number, event in enumerate(checked()):
            await live.engine.send(event, id=f"c{number}")
        await live.settled()
        pairs = pairs_in(await live.events(Confirmed))
        here = {kind.topic_: by_key(await live.events(kind)) for kind in (*OUT, KnowledgeEvent)}
        here[KnowledgeEvent.topic_] = of_notes(here[KnowledgeEvent.topic_])
        assert await live.dead_letters() == []
    async with job_and_app(app) as both:
        driver = both.driver
        await with_books(both.live)
        half = CHECKS // 2
        for number, event in enumerate(checked()[:half]):
            await driver.bring(event, f"c{number}")
        for number, event in enumerate(recorded()):
            await driver.bring(event, f"m{number}")
            await both.carried()
            if number == 100:  # the job dies, and is restored
                sent, carried = driver.sent, driver.carried
                await driver.restored(driver.kept)
                driver.sent, driver.carried = sent, carried
        for number, event in enumerate(checked()[half:], half):
            await driver.bring(event, f"c{number}")
        await both.carried()
        assert driver.of("recorded-dead-letters") == []
        assert pairs_in([Confirmed.decoded(each.data) for each in driver.of(Confirmed.topic_)]) == pairs
        assert len(pairs) > 100
        assert await both.live.dead_letters() == []
        for kind in (*OUT, KnowledgeEvent):
            there = by_key([kind.decoded(each.data) for each in driver.of(kind.topic_)])
            assert there == here[kind.topic_], kind
            assert sum(map(len, there.values())) > 5, kind
        assert all(len(each.embedding or ()) == 256 for key in there.values() for each in key)


def test_the_agents_of_an_app_and_its_streams_are_carried_apart_over_the_same_topics():
    whole, streams, rest = app.declared, app.declared.of_streams(), app.declared.beside_streams()
    assert whole.agents.keys() | {"readings-search1", "readings-search1-found"} == {*streams.agents, *rest.agents}
    assert [*rest.agents] == ["tell", "readings-search1"]
    assert not streams.agents.keys() & rest.agents.keys()
    between = {"stream-readings-search1", "stream-readings-search1-found"}
    assert carried_topics(topology_of(rest)).keys() == carried_topics(topology_of(whole)).keys() | between
    require_carried(streams)
    found = {"stream-readings-search1-found", "penstock-stream-readings-search1-found"}
    ticks = {"penstock-stream-readings", "penstock-stream-rooms-by-room"}
    joined = {"penstock-stream-confirming", "penstock-stream-confirming-right", "checked"}
    assert {"measured", *ticks, *joined, *found} == set(source_topics(streams))
    assert {KnowledgeEvent.topic_, Word.topic_, "recorded-dead-letters"} < set(sink_topics(streams))
    assert not {each for each in sink_topics(streams) if "knowledge" in each} - {KnowledgeEvent.topic_}


def test_what_searches_is_carried_by_no_job_but_searched_beside_one():
    with pytest.raises(Invalid, match=r"knowledge 'notes': is searched.*--streams"):
        require_carried(app.declared)
    other = App("joined")
    books = other.knowledge("books")
    other.stream(Noted).join(books, "note").map(str).flat_map(list).filter(bool).map(as_word).to(Word)
    with pytest.raises(Invalid, match=r"stream 'noted-stream': searches 'books'.*--streams"):
        require_carried(other.declared)
    require_carried(JobOptions(streams=True).carried(other.declared))


def as_word(text: str) -> Word:
    return Word(device="d", word=text)


async def test_what_a_search_beside_the_job_cannot_do_is_a_dead_letter_there_and_the_key_goes_on():
    other = App("asked")
    books = other.knowledge("books")
    joined = other.stream(Noted, options=once).join(books, as_query, mode="words")
    joined.map(lambda each: Word(device=each.value.device, word=str(len(each.found)))).to(Word)
    async with job_and_app(other) as both:
        for number, note in enumerate(["a valve", "", "a pump"]):
            await both.driver.bring(Noted(device="d", note=note, dims=0), f"e{number}")
        await both.carried()
        (letter,) = await both.live.dead_letters()
        assert letter.agent == "noted-stream-search1"
        assert "nothing to ask for" in letter.reason
        assert [each["word"] for each in both.driver.data("words")] == ["0", "0"]


def as_query(event: Noted) -> str:
    if not event.note:
        raise ValueError("nothing to ask for")
    return event.note


async def test_a_search_in_a_function_of_a_stream_is_a_dead_letter_in_a_job():
    other = App("hidden")
    books = other.knowledge("books")

    async def found(event: Noted) -> Word:
        return Word(device=event.device, word=str(await books.search(event.note)))

    other.stream(Noted).map(found).to(Word)
    async with Driver(Streams(other)) as driver:
        await driver.bring(Noted(device="d", note="a valve", dims=0), "e1")
        (letter,) = [message for topic, message in driver.sent if topic == "hidden-dead-letters"]
        assert b"cannot be searched on Flink" in dict(letter.headers)["penstock-reason"]


async def test_whom_what_is_to_be_indexed_is_about_goes_with_it():
    other = App("persons")
    books = other.knowledge("books")
    told = other.stream(Noted).index(books, id="device", text="note", metadata=lambda each: {"subject": "ada"})
    told.map(lambda each: Word(device=each.device, word="indexed")).to(Word)
    async with Driver(Streams(other)) as driver:
        await driver.bring(Noted(device="d", note="a valve", dims=0), "e1")
    assert [each.subject for each in driver.of(KnowledgeEvent.topic_)] == ["ada"]


@pytest.mark.parametrize(
    ("settings", "paths"),
    [
        (Settings(store="memory:", streams="flink"), ["log"]),
        (Settings(store="memory:", streams="spark", log="nats://h:1"), ["streams", "log"]),
    ],
)
async def test_streams_that_are_to_run_nowhere_are_refused(settings, paths):
    with pytest.raises(Invalid) as caught:
        async with app.running(settings):
            pass
    assert [each.path for each in caught.value.findings] == paths


async def test_a_worker_beside_the_job_leaves_the_streams_to_it():
    async with testing.app(Rest(app)) as live:
        await live.send(recorded()[0])
        await live.send(Noted(device="d", note="a valve leaks", dims=1))
        await live.settled()
        assert await live.events(Word) == []
        assert len(await live.runs("tell")) == 1
    assert app.declared.beside_streams().stages == {}


class Nothing(Event):
    pass


def test_an_app_without_streams_is_no_job_of_streams():
    from pathlib import Path

    from penstock.flink.plan import plan_of

    other = App("none")

    @other.agent
    async def nothing(event: Nothing, ctx: Context) -> None: ...

    with pytest.raises(Invalid) as caught:
        plan_of(other.declared, Path("none.py"), Settings(log="kafka://h:1"), JobOptions(streams=True))
    assert [each.path for each in caught.value.findings] == ["--streams"]
