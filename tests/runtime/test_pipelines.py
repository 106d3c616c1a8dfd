"""Streams of an app: event time, keys and windows over plain agents, durable, in order per key and exactly once."""

from contextlib import suppress

import pytest

from penstock import (
    App,
    Context,
    Embedded,
    Event,
    Joined,
    Pane,
    Retry,
    Sessions,
    Sliding,
    Stamped,
    StreamOptions,
    Tumbling,
)
from penstock.errors import Invalid
from penstock.runtime.indexer import NAME as INDEXER
from penstock.runtime.replaying import Stretch
from penstock.runtime.write_points import WritePoint
from penstock.settings import settings
from penstock.testing import apps
from penstock.testing.apps import Disk
from penstock.testing.crashing import NotReached
from penstock.testing.hashed_embedder import HashedEmbedder
from penstock.testing.virtual_time import VirtualClock, run_virtually

ONCE = StreamOptions(retry=Retry(attempts_max=1))


class Reading(Event, key="device", topic="stream-readings"):
    device: str
    room: str = "hall"
    at_ms: int
    value: float = 0.0


class Unkeyed(Event):
    at_ms: int


class Counted(Event, key="device"):
    device: str
    start_ms: int
    count: int
    number: int


class Roomful(Event, key="room"):
    room: str
    start_ms: int
    end_ms: int
    values: list[float]


class TooLate(Event, key="device"):
    device: str
    at_ms: int


def counted(pane: Pane[int]) -> Counted:
    return Counted(device=pane.key, start_ms=pane.start_ms, count=pane.value, number=pane.number)


def roomful(pane: Pane[list[Reading]]) -> Roomful:
    values = [each.value for each in pane.value]
    return Roomful(room=pane.key, start_ms=pane.start_ms, end_ms=pane.end_ms, values=values)


def too_late(reading: Reading) -> TooLate:
    return TooLate(device=reading.device, at_ms=reading.at_ms)


def house(*, late="dead", takes_late=True):
    """Readings are counted per device in ten seconds, and collected per room in sessions."""
    app = App("house")
    readings = app.stream(Reading, options=ONCE).event_time("at_ms", out_of_order_s=2, ahead_s_max=None)
    windows = readings.window(Tumbling(10), lateness_s=5, late=late)
    windows.count().map(counted).to(Counted)
    if takes_late:
        windows.late().map(too_late).to(TooLate)
    by_room = readings.key_by("room").window(Sessions(3), late="drop")
    by_room.collect().map(roomful).to(Roomful)
    return app


async def read(live, at, device="d1", **more):
    for each in at:
        await live.send(Reading(device=device, at_ms=each * 1000, **more))


async def test_windows_close_by_event_time_take_what_is_late_and_put_aside_what_is_later():
    async with apps.app(house()) as live:
        await read(live, [1, 9, 11, 12])
        await live.settled()
        got = [(each.start_ms, each.count, each.number) for each in await live.events(Counted)]
        assert got == [(0, 2, 0)], "12 s - 2 s: the first ten seconds are over"
        await read(live, [3])
        await live.settled()
        assert (await live.events(Counted))[-1].model_dump() == {
            "device": "d1",
            "start_ms": 0,
            "count": 3,
            "number": 1,
        }, "late, and still allowed"
        await read(live, [30, 4])
        await live.settled()
        assert [each.at_ms for each in await live.events(TooLate)] == [4000]
        assert [each.start_ms for each in await live.events(Counted)] == [0, 0, 10_000]
        assert await live.dead_letters() == []


async def test_values_go_to_another_key_by_an_event_of_their_own_and_keep_their_time():
    async with apps.app(house()) as live:
        for n, at in enumerate([1, 3, 2, 20, 40]):
            await live.send(Reading(device=f"d{n}", room="r", at_ms=at * 1000, value=n))
        await live.settled()
        got = [(each.start_ms, each.end_ms, sorted(each.values)) for each in await live.events(Roomful)]
        assert got == [(1000, 6000, [0, 1, 2]), (20_000, 23_000, [3])]


async def test_c6_what_is_too_late_is_a_dead_letter_unless_it_is_taken_or_to_be_left_out():
    for rule, letters in (("dead", 1), ("drop", 0)):
        async with apps.app(house(late=rule, takes_late=False)) as live:
            await read(live, [1, 50, 2])
            await live.settled()
            dead = await live.dead_letters()
            assert len(dead) == letters
            assert all("too late for its windows" in each.reason for each in dead)


def test_c11_a_silent_key_closes_its_windows_as_time_goes_on_over_restarts_too():
    async def main():
        disk = Disk()
        async with apps.app(house(), disk=disk) as live:
            await read(live, [1, 2, 3])
            await live.settled()
            assert await live.events(Counted) == []
        async with apps.app(house(), disk=disk) as live:
            await live.clock.sleep(60)
            await live.settled()
            assert [each.count for each in await live.events(Counted)] == [3]
            assert [each.values for each in await live.events(Roomful)] == [[0, 0, 0]]
            store = live.engine.parts.store
            held = await store.values("default", "stream-readings-stream", "d1")
            assert list(held) == ["window1"], "its windows are gone, its time is kept"
            await read(live, [4])
            await live.settled()
            assert [each.at_ms for each in await live.events(TooLate)] == [4000]
            await live.clock.sleep(86_400 * 2)
            await live.settled()
            assert await store.values("default", "stream-readings-stream", "d1") == {}, "a silent key is forgotten"
            assert await store.timers() == []

    run_virtually(main())


async def send_all(live, at):
    for number, each in enumerate(at):
        await live.send(Reading(device="d1", at_ms=each * 1000, value=number), id=f"r{number}")


@pytest.mark.parametrize("point", [WritePoint.AFTER_HANDLING, WritePoint.BEFORE_COMMIT, WritePoint.AFTER_COMMIT])
def test_c3_windows_are_shown_once_whatever_dies(point):
    async def main():
        at = [1, 9, 12, 5, 31, 22, 45, 60, 90]
        expected = None
        for nth in (0, 2, 5, 9, 14):
            disk = Disk()
            if nth:
                async with apps.app(house(), disk=disk) as live:
                    with suppress(NotReached):
                        async with live.crash_at(point, nth):
                            await send_all(live, at)
            async with apps.app(house(), disk=disk) as live:
                await send_all(live, at)
                await live.settled()
                got = [each.model_dump() for kind in (Counted, Roomful, TooLate) for each in await live.events(kind)]
            expected = expected or got
            assert got == expected

    run_virtually(main())


class Ask(Event, key="session"):
    session: str
    text: str


class Found(Event, key="session"):
    session: str
    about: list[str]
    dims: int


def library(calls):
    app = App("streamed-library")
    books = app.knowledge("books")

    class Counting(HashedEmbedder):
        async def embed(self, texts, *, purpose="passage"):
            calls.append(len(texts))
            return await super().embed(texts, purpose=purpose)

    app.embedder("one", Counting(64, 1))

    def found(joined: Joined[Embedded[Ask], object]) -> Found:
        embedded = joined.value
        about = [each.text for each in joined.found]
        return Found(session=embedded.value.session, about=about, dims=len(embedded.vector))

    asked = app.stream(Ask, options=ONCE).embed(books, "text")
    asked.join(books, "text", limit=1).map(found).to(Found)
    asked.index(books, id="session", text="text", metadata=lambda each: {"session": each.value.session})
    return app, books


async def test_a_stream_is_embedded_indexed_and_joined_with_knowledge():
    calls = []
    app, _ = library(calls)
    async with app.running(store="memory:", embedder="one") as live:
        await live.send(Ask(session="s1", text="water drives the wheel"))
        await live.engine.settled(60)
        await live.engine.caught_up(INDEXER)
        before = len(calls)
        reply = await live.ask(Ask(session="s2", text="water drives a mill"), Found)
        assert reply.about == ["water drives the wheel"]
        assert reply.dims == 64
        await live.engine.settled(60)
        await live.engine.caught_up(INDEXER)
        found = await live.knowledge("books").search("mill", filter={"session": "s2"})
        assert [each.id for each in found] == ["s2"]
        assert sum(calls[before:]) <= 3, (
            "the indexer takes over the vector that is there: one to embed, one to search by"
        )


async def test_c8_a_join_is_a_step_and_a_replay_sees_what_the_run_saw(tmp_path):
    app, _ = library([])
    url = f"sqlite:{tmp_path}/stream.db"
    async with app.running(store=url, embedder="one") as live:
        for number in range(3):
            await live.send(Ask(session=f"s{number}", text=f"water {number}"), id=f"a{number}")
            await live.engine.settled(60)
            await live.engine.caught_up(INDEXER)
        again = app.replay(live.engine.parts.store, Stretch("ask"), settings({"embedder": "one"}), clock=VirtualClock())
        verdicts = [each async for each in again]
    assert [each.outcome for each in verdicts] == ["same"] * 3


async def test_functions_may_be_async_and_a_failing_one_leaves_the_event_in_the_dead_letters():
    app = App("arithmetic")

    async def inverse(reading: Reading) -> list[float]:
        return [1 / reading.value, reading.value]

    def stored(value: float) -> Counted:
        return Counted(device="x", start_ms=0, count=round(value), number=0)

    app.stream("stream-readings", of=Reading, options=ONCE).filter(lambda each: each.value != 7).flat_map(inverse).map(
        stored
    ).to(Counted)
    async with apps.app(app) as live:
        for value in (1, 0, 7, 0.5):
            await live.send(Reading(device="d", at_ms=0, value=value))
        await live.settled()
        assert [each.count for each in await live.events(Counted)] == [1, 1, 2, 0]
        (letter,) = await live.dead_letters()
        assert "ZeroDivisionError" in letter.reason


async def test_values_of_another_class_and_from_the_far_future_go_to_the_dead_letters():
    app = App("mixed")
    app.stream(Reading, options=ONCE).event_time("at_ms").map(lambda each: each.value).to(Counted)
    async with apps.app(app) as live:
        await live.send(Reading(device="d", at_ms=0))
        await live.send(Reading(device="d", at_ms=2**45))
        await live.settled()
        reasons = sorted(each.reason for each in await live.dead_letters())
        assert "float cannot go to 'counted'" in reasons[0]
        assert "ahead of the clock" in reasons[1]


async def test_a_value_may_be_given_its_time_which_is_that_of_its_record_unless_it_says_another():
    app = App("stamped")

    def told(stamped: Stamped[Reading]) -> TooLate:
        return TooLate(device=stamped.key, at_ms=stamped.at_ms)

    readings = app.stream(Reading).event_time(lambda each: each.at_ms or None)
    readings.key_by("room").stamped().map(told).to(TooLate)
    async with apps.app(app) as live:
        began = live.clock.now_ms()
        await live.send(Reading(device="d", at_ms=77))
        await live.send(Reading(device="d", at_ms=0))
        await live.settled()
        first, second = await live.events(TooLate)
        assert (first.device, first.at_ms) == ("hall", 77)
        assert began <= second.at_ms <= live.clock.now_ms()


async def test_one_stream_may_be_gone_on_from_twice_and_folded_into_what_users_like():
    app = App("forked")

    def add(held: dict[str, float], reading: Reading) -> dict[str, float]:
        return {**held, reading.device: reading.value}

    def summed(pane: Pane[dict[str, float]]) -> Roomful:
        return Roomful(room=pane.key, start_ms=pane.start_ms, end_ms=pane.end_ms, values=sorted(pane.value.values()))

    def largest(pane: Pane[Reading]) -> Counted:
        return Counted(device=pane.value.device, start_ms=pane.start_ms, count=round(pane.value.value), number=0)

    timed = app.stream(Reading, options=ONCE).event_time("at_ms", ahead_s_max=None, idle_s=None)
    rooms = timed.key_by(lambda each: each.room, name="rooms").window(Sliding(10, every_s=5))
    rooms.fold(dict, add).map(summed).to(Roomful)
    rooms.reduce(lambda one, other: max(one, other, key=lambda each: each.value)).map(largest).to(Counted)
    async with apps.app(app) as live:
        for device, at, value in (("a", 1, 3), ("b", 6, 5), ("a", 7, 1), ("c", 30, 0)):
            await live.send(Reading(device=device, room="r", at_ms=at * 1000, value=value))
        await live.settled()
        got = [(each.start_ms, each.values) for each in await live.events(Roomful)]
        assert got == [(-5000, [3]), (0, [1, 5]), (5000, [1, 5])]
        largest_of = [(each.start_ms, each.device, each.count) for each in await live.events(Counted)]
        assert largest_of == [(-5000, "a", 3), (0, "b", 5), (5000, "b", 5)]
        assert set(app.declared.agents) == {"stream-readings-stream", "rooms"}


def windowless(app):
    app.stream(Reading).window(Tumbling(1)).late().map(too_late).to(TooLate)


def keyless(app):
    app.stream(Unkeyed).window(Tumbling(1)).count().map(counted).to(Counted)


def unmergeable(app):
    app.stream(Reading).window(Sessions(1)).fold(int, lambda held, _: held + 1).map(counted).to(Counted)


def endless(app):
    app.stream(Reading).map(too_late)


def namesakes(app):
    reading = app.stream(Reading)
    for _ in range(2):
        reading.window(Tumbling(1), name="w").count().map(counted).to(Counted)


def taken(app):
    @app.agent(name="stream-readings-stream")
    async def other(reading: Reading, ctx: Context) -> None: ...

    app.stream(Reading).map(too_late).to(TooLate)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (windowless, "never made anything of"),
        (keyless, "has no key"),
        (unmergeable, "cannot be merged"),
        (endless, "goes nowhere"),
        (namesakes, "the name of two windows"),
        (taken, "the name of another agent"),
    ],
)
def test_what_is_wrong_with_a_pipeline_is_told_before_it_runs(wrong, told):
    app = App("wrong")
    wrong(app)
    with pytest.raises(Invalid, match=told):
        _ = app.declared


def test_what_is_wrong_with_a_declaration_is_told_at_once():
    wrong = [
        (lambda app: app.stream("other-topic", of=Reading), "of"),
        (lambda app: app.stream("stream-readings"), "of"),
        (lambda app: app.stream(str), "source"),
        (lambda app: (app.stream(Reading), app.stream(Reading)), "name"),
        (lambda app: app.stream(Reading).window("hour"), "window"),
        (lambda app: app.stream(Reading).window(Tumbling(1), lateness_s=-1, late="lost"), "lateness_s"),
        (lambda app: app.stream(Reading).event_time("at_ms", out_of_order_s="x"), "out_of_order_s"),
        (lambda app: app.stream(Reading).to(dict), "event"),
    ]
    for declare, path in wrong:
        with pytest.raises(Invalid) as told:
            declare(App("wrong"))
        assert told.value.findings[0].path == path
