"""An app's streams as a job, its agents elsewhere: what the job embeds and has indexed is what the app does by itself."""

from dataclasses import replace

import pytest
from keyed_driver import Driver
from streams_on_flink import OUT, Noted, Word, app, recorded

from penstock import App, Context, Event, KnowledgeEvent, testing
from penstock.brokers import carried_topics
from penstock.errors import Invalid
from penstock.flink.carrying import require_carried, sink_topics, source_topics
from penstock.flink.plan import JobOptions
from penstock.settings import Settings
from penstock.testing.fixtures import anyio_backend
from penstock.wiring import topology_of

__all__ = ["anyio_backend"]


class Streams:
    """The streams of an app, as what a job carries."""

    def __init__(self, app: App) -> None:
        self.declared = app.declared.of_streams()


def by_key(events: list[Event]) -> dict[str, list[Event]]:
    found: dict[str, list[Event]] = {}
    for each in events:
        assert each.key_ is not None
        found.setdefault(str(getattr(each, each.key_)), []).append(each)
    return found


async def test_recorded_input_comes_to_the_same_in_a_job_of_the_streams_and_in_the_app():
    async with testing.app(app) as live:
        for number, event in enumerate(recorded()):
            await live.engine.send(event, id=f"m{number}")
        await live.settled()
        here = {kind.topic_: by_key(await live.events(kind)) for kind in (*OUT, KnowledgeEvent)}
        assert await live.dead_letters() == []
    async with Driver(Streams(app)) as driver:
        for number, event in enumerate(recorded()):
            await driver.bring(event, f"m{number}")
            await driver.bring_back()
            if number == 100:  # the job dies, and is restored
                sent, carried = driver.sent, driver.carried
                await driver.restored(driver.kept)
                driver.sent, driver.carried = sent, carried
        assert driver.of("recorded-dead-letters") == []
        for kind in (*OUT, KnowledgeEvent):
            there = by_key([kind.decoded(each.data) for each in driver.of(kind.topic_)])
            assert there == here[kind.topic_], kind
            assert sum(map(len, there.values())) > 5, kind
        assert all(len(each.embedding or ()) == 256 for key in there.values() for each in key)


def test_the_agents_of_an_app_and_its_streams_are_carried_apart_over_the_same_topics():
    whole, streams, rest = app.declared, app.declared.of_streams(), app.declared.beside_streams()
    assert whole.agents.keys() == streams.agents.keys() | rest.agents.keys()
    assert not streams.agents.keys() & rest.agents.keys()
    assert carried_topics(topology_of(rest)) == carried_topics(topology_of(whole))
    require_carried(streams)
    ticks = {"penstock-stream-readings", "penstock-stream-rooms-by-room"}
    assert {"measured", *ticks} == set(source_topics(streams))
    assert {KnowledgeEvent.topic_, Word.topic_, "recorded-dead-letters"} < set(sink_topics(streams))
    assert not {each for each in sink_topics(streams) if "knowledge" in each} - {KnowledgeEvent.topic_}


def test_what_searches_is_carried_by_no_job():
    with pytest.raises(Invalid, match=r"knowledge 'notes': is searched.*--streams"):
        require_carried(app.declared)
    other = App("joined")
    books = other.knowledge("books")
    other.stream(Noted).join(books, "note").map(str).flat_map(list).filter(bool).map(as_word).to(Word)
    with pytest.raises(Invalid, match="stream 'noted-stream': searches 'books'"):
        require_carried(JobOptions(streams=True).carried(other.declared))


def as_word(text: str) -> Word:
    return Word(device="d", word=text)


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
    declared = app.declared.beside_streams()

    class Rest(App):
        @property
        def declared(self):
            return declared

    async with testing.app(Rest("recorded")) as live:
        await live.send(recorded()[0])
        await live.send(Noted(device="d", note="a valve leaks", dims=1))
        await live.settled()
        assert await live.events(Word) == []
        assert len(await live.runs("tell")) == 1
    assert replace(declared).stages == {}


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
