"""Streams of an app on Flink: their stages are agents, whose turns a job takes, and recorded input comes to the same."""

from keyed_driver import Driver

from penstock import App, Event, Pane, Retry, Sessions, StreamOptions, Tumbling, testing
from penstock.testing.fixtures import anyio_backend

__all__ = ["anyio_backend"]


class Measured(Event, key="device", topic="measured"):
    device: str
    room: str
    at_ms: int
    value: int = 0


class Filled(Event, key="device", topic="filled"):
    device: str
    start_ms: int
    count: int
    number: int


class Gathered(Event, key="room", topic="gathered"):
    room: str
    start_ms: int
    end_ms: int
    values: list[int]


def filled(pane: Pane[int]) -> Filled:
    return Filled(device=pane.key, start_ms=pane.start_ms, count=pane.value, number=pane.number)


def gathered(pane: Pane[list[Measured]]) -> Gathered:
    values = [each.value for each in pane.value]
    return Gathered(room=pane.key, start_ms=pane.start_ms, end_ms=pane.end_ms, values=sorted(values))


def plant() -> App:
    app = App("plant")
    options = StreamOptions(retry=Retry(attempts_max=1))
    measured = app.stream(Measured, options=options).event_time("at_ms", out_of_order_s=2, ahead_s_max=None)
    measured.window(Tumbling(10), lateness_s=5).count().map(filled).to(Filled)
    measured.key_by("room").window(Sessions(3), late="drop").collect().map(gathered).to(Gathered)
    return app


RECORDED = [
    Measured(device=f"d{number % 3}", room=f"r{number % 2}", at_ms=at * 1000, value=number)
    for number, at in enumerate([1, 2, 3, 9, 11, 12, 4, 30, 31, 5, 33, 60, 61, 90, 64, 92, 130, 131, 132, 1, 66, 2])
]


async def test_recorded_input_comes_to_the_same_on_flink_and_here():
    app = plant()
    async with testing.app(app) as live:
        for number, event in enumerate(RECORDED):
            await live.engine.send(event, id=f"m{number}")
            await live.settled()
        await live.clock.sleep(60)
        await live.settled()
        here = [sorted(map(repr, await live.events(kind))) for kind in (Filled, Gathered)]
        late = len(await live.dead_letters())
    async with Driver(app) as driver:
        for number, event in enumerate(RECORDED):
            await driver.bring(event, f"m{number}")
            await driver.bring_back()
            if number == len(RECORDED) // 2:  # the job dies, and is restored
                sent, carried = driver.sent, driver.carried
                await driver.restored(driver.kept)
                driver.sent, driver.carried = sent, carried
        for _ in range(60):
            await driver.clock.sleep(1)
            await driver.look()
            await driver.bring_back()
        there = [
            sorted(repr(kind.decoded(each.data)) for each in driver.of(kind.topic_)) for kind in (Filled, Gathered)
        ]
        letters = [topic for topic, _ in driver.sent if topic == "plant-dead-letters"]
    assert there == here
    assert len(letters) == late > 0
    assert len(here[0]) > 5
    assert len(here[1]) > 3
