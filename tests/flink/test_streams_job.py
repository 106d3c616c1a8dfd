"""Streams as a real job, between topics of a real Kafka: killed, a worker of it too, and equal to the embedded run. `make flink`."""

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest
from flink_job import Job
from job_topics import Topics
from keyed_driver import envelope
from streams_on_flink import DEVICES, OUT, app, recorded

from penstock import Event, KnowledgeEvent, testing
from penstock.core.events.messages import Message, Place, to_event
from penstock.flink.carrying import sink_topics

APP = Path(__file__).with_name("streams_on_flink.py")
KINDS = (*OUT, KnowledgeEvent)
pytestmark = [
    pytest.mark.timeout(1200),
    pytest.mark.skipif(
        os.environ.get("PENSTOCK_FLINK") != "1", reason="NOT TESTED ON FLINK: it takes a minute, run `make flink`"
    ),
]


async def test_streams_that_are_killed_come_to_what_the_embedded_run_does(flink, kafka, tmp_path):
    here = await _embedded()
    counts = {kind: sum(map(len, here[kind].values())) for kind in KINDS}
    events = [envelope(each, f"m{number}", time_ms=number + 1) for number, each in enumerate(recorded())]
    topics, third = Topics(kafka.hosts), len(events) // 3
    log = f"{kafka.address}?partitions=6&prefix=streams."
    job = Job(flink, APP, log, tmp_path, "--streams")
    figures: dict[str, float] = {"submitted_s": job.start()}
    try:
        topics.publish("streams.measured", events[:third])
        assert topics.committed("streams.words", 1, 90)
        job.kill()
        topics.publish("streams.measured", events[third : 2 * third])
        figures["submitted_again_s"] = job.start()
        assert topics.committed("streams.words", counts[OUT[4]] // 2, 90)
        job.kill_worker()
        topics.publish("streams.measured", events[2 * third : -DEVICES])
        right = sum(each.value >= 0 for each in recorded()) - DEVICES
        assert len(topics.committed("streams.penstock-stream-rooms-by-room", right, 120)) == right
        topics.publish("streams.measured", events[-DEVICES:])
        for kind in KINDS:
            name = f"streams.{kind.topic_}"
            found = await asyncio.to_thread(topics.committed, name, counts[kind] + 1, 90 if kind is KINDS[0] else 10)
            assert len(found) == counts[kind], (kind, job.said[-2000:])
            _require_equal(kind, found, here[kind])
        assert topics.committed("streams.recorded-dead-letters", 1, 3) == []
        figures["resident_mb"] = job.resident_mb
        sys.stdout.write(json.dumps({"shown": sum(counts.values()), **figures}))
    finally:
        job.kill()
        topics.delete(*(f"streams.{each}" for each in sink_topics(app.declared.of_streams())))


def _require_equal(kind: type[Event], found: list[Message], here: dict[str, list[Event]]) -> None:
    there: dict[str, list[Event]] = {}
    for number, message in enumerate(found):
        event = to_event(message, Place(kind.topic_, 0, number + 1))
        there.setdefault(_key(kind.decoded(event.data)), []).append(kind.decoded(event.data))
    if kind is not KnowledgeEvent:
        assert there == here
        return
    assert there.keys() == here.keys()
    for key, changes in here.items():
        for change, other in zip(changes, there[key], strict=True):
            assert change.model_copy(update={"embedding": None}) == other.model_copy(update={"embedding": None})
            # The job has a numpy of its own, of another version perhaps.
            assert other.embedding == pytest.approx(change.embedding, abs=1e-6)


async def _embedded() -> dict[type[Event], dict[str, list[Event]]]:
    found: dict[type[Event], dict[str, list[Event]]] = {}
    async with testing.app(app) as live:
        for number, event in enumerate(recorded()):
            await live.engine.send(event, id=f"m{number}")
        await live.settled()
        for kind in KINDS:
            for each in await live.events(kind):
                found.setdefault(kind, {}).setdefault(_key(each), []).append(each)
    return found


def _key(event: Event) -> str:
    assert event.key_ is not None
    return str(getattr(event, event.key_))
