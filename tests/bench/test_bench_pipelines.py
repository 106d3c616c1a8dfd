"""`make bench-pipelines`: what it counts, the pauses that it finds, and the page that it writes, on figures of our own."""

import time
from collections import deque
from pathlib import Path

import hops_page
import pipelines
import pytest
from hops_load import CE_TYPE, Flight, Plan, Usage, measured
from hops_pause import longest_gap_s
from hops_sides import PROMISES, sides_of
from measured_on import MACHINE
from sides import NotMeasured

TINY = Plan(0.02, 0.05, 0.05, pace=2000)


class Echo:
    """A broker and a pipeline in one: what is sent has come at once."""

    def __init__(self):
        self.arrived = deque()
        self.records = []

    async def make(self):
        pass

    async def send(self, records):
        self.records += records
        self.arrived.append((time.time_ns(), [each.value for each in records]))


def used():
    return Usage(time.process_time(), 0.0, 1.0)


async def test_the_load_measures_what_a_pipeline_carries_and_how_long_an_event_takes():
    flight = Flight(Echo())
    found = await measured(flight, TINY, used)
    assert (found["lost"], found["doubled"], found["out_of_order"]) == (0, 0, 0)
    assert found["sent"] == len(flight.seen)
    assert found["events_per_s"] > 0
    assert found["half"]["events"] > 0
    assert 0 <= found["half"]["p50_ms"] <= found["half"]["p99_ms"]
    assert found["even"]["pace"] <= 2000


async def test_what_is_sent_to_penstock_is_a_cloudevent_and_to_others_the_data_alone():
    ours, others = Flight(Echo(), CE_TYPE), Flight(Echo())
    for each in (ours, others):
        await each.send([1])
    assert (
        dict(ours.wire.records[0].headers).items()
        >= {"ce_type": CE_TYPE, "ce_subject": "k0", "ce_id": "load-0"}.items()
    )
    assert others.wire.records[0].headers == ()


async def test_what_came_twice_and_what_came_late_is_counted_whatever_is_around_it():
    flight = Flight(Echo(), keys=1)
    await flight.send([1, 2, 3, 4])
    values = [each.value for each in flight.wire.records]
    flight.wire.arrived.clear()
    flight.wire.arrived.append((5, [values[0], b'{"data": "%s"}' % values[2].replace(b'"', b'\\"')]))
    flight.wire.arrived.append((6, [values[1], values[0]]))
    flight.take()
    assert (flight.open, flight.doubled, flight.out_of_order) == (1, 1, 1)
    assert not await flight.drained(0.01)


async def test_what_is_no_event_of_the_pipeline_ends_the_measuring():
    flight = Flight(Echo())
    flight.wire.arrived.append((1, [b"hello"]))
    with pytest.raises(NotMeasured, match="hello"):
        flight.take()


@pytest.mark.parametrize(
    ("came_s", "longest_s"),
    [
        ({0: [1, 2, 3, 4], 1: [1, 2, 3, 4]}, 1),
        ({0: [1, 2, 3, 4], 1: [1, 4]}, 3),
        ({0: [1, 2], 1: [1, 2, 3, 4]}, 3),  # nothing came to its end
        ({0: [1, 2, 3, 4], 1: []}, 5),
    ],
)
def test_a_pause_is_the_longest_time_without_an_answer_of_one_key(came_s, longest_s):
    second = 1_000_000_000
    arrivals = [(key + 2 * number, 0, at * second) for key, times in came_s.items() for number, at in enumerate(times)]
    assert longest_gap_s(arrivals, 0, 5 * second, keys=2) == longest_s


def figures(broker, title, who, rate, **more):
    paced = {"pace": rate / 2, "p50_ms": 1.0, "p99_ms": 2.0, "cpu_us": 1.0, "events": 10}
    found = {"broker": broker, "who": who, "title": title, "promise": who, "events_per_s": rate, "cpu_us": 10.0}
    found |= {"broker_cpu_us": 5.0, "rss_mb": 50.0, "half": paced, "even": paced, "sent": 9}
    return found | {"lost": 0, "doubled": 0, "out_of_order": 0} | more


def written(load_before=0.1, **parts):
    found = {part: parts.get(part, {}) for part in pipelines.PARTS}
    state = {"machine": MACHINE | {"load_before": load_before}, "minutes": 9.0, "found": found}
    made = hops_page.page(state, TINY, Path("docs/pipelines.md"))
    return made[Path("docs/pipelines.md")], {path.name for path in made}


def test_the_page_says_how_many_times_as_fast_and_which_goals_are_reached():
    sides = {
        "a": figures("kafka", "penstock, SQLite", "penstock", 9000, out_of_order=3),
        "b": figures("kafka", "FastStream", "FastStream", 3000),
        "c": figures("kafka", "confluent-kafka by hand", "by hand", 18000),
    }
    turns = {
        "kafka+redis": {"turns_per_s": 900.0, "p50_ms": 1, "p99_ms": 2, "cpu_ms_per_turn": 1, "rss_mb": 9, "errors": 0}
    }
    pauses = {
        "kafka+postgres": {"pauses": {"one is killed": 3.5}, "sent": 9, "lost": 0, "doubled": 0, "out_of_order": 0}
    }
    text, files = written(pipelines=sides, turns=turns, pauses=pauses)
    assert "| penstock, SQLite | 9,000 | 3 | 0.5 |" in text
    assert "| 0 / 0 / 3 |" in text
    assert "Goal: 8,000 events/s on two cores with the broker on them: reached (9,000; 27,000 handled/s)." in text
    assert "Goal: 1,000 turns/s over Kafka and Redis: not reached (900)." in text
    assert "Goal: at most 3 s: not reached (the longest was 3.50 s)." in text
    assert "trial" not in text
    assert files == {"pipelines.md", "pipelines-rate.svg", "pipelines-latency.svg"}


def test_the_page_says_what_was_not_measured_and_that_the_machine_was_busy():
    text, _ = written(3.0, pipelines={"nats: FastStream": {"failed": "its setup failed"}})
    assert "**Not measured: pipelines, nats: FastStream.** its setup failed" in text
    assert "**The machine was busy: this is a trial.**" in text


def test_every_side_says_what_it_promises():
    for broker in pipelines.BROKERS:
        sides = sides_of(broker)
        assert len({each.name for each in sides}) == len(sides)
        assert {each.promise for each in sides} <= PROMISES.keys()
