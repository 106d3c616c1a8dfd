"""Streams as a real job, between topics of a real Kafka: killed, a worker of it too, and equal to the embedded run. `make flink`."""

import asyncio
import json
import os
import sys
import time
from pathlib import Path

import httpx2
import pytest
from app_beside import AppBeside
from flink_job import Job
from job_topics import Topics
from keyed_driver import envelope
from own_process import free_port
from streams_on_flink import (
    DEVICES,
    OUT,
    Confirmed,
    app,
    checked,
    recorded,
    with_books,
)

from penstock import Event, KnowledgeEvent, testing
from penstock.brokers import carried_topics
from penstock.core.events.envelope import Envelope
from penstock.core.events.messages import Message, Place, to_event
from penstock.flink.carrying import sink_topics
from penstock.settings import Settings
from penstock.wiring import topology_of

APP = Path(__file__).with_name("streams_on_flink.py")
KINDS = (*OUT, KnowledgeEvent)
pytestmark = [
    pytest.mark.timeout(1200),
    pytest.mark.skipif(
        os.environ.get("PENSTOCK_FLINK") != "1", reason="NOT TESTED ON FLINK: it takes a minute, run `make flink`"
    ),
]


async def test_streams_that_are_killed_come_to_what_the_embedded_run_does(flink, kafka, tmp_path):
    here, pairs = await _embedded()
    counts = {kind: sum(map(len, here[kind].values())) for kind in KINDS}
    events = [envelope(each, f"m{number}", time_ms=number + 1) for number, each in enumerate(recorded())]
    checks = [envelope(each, f"c{number}", time_ms=number + 1) for number, each in enumerate(checked())]
    topics, third = Topics(kafka.hosts), len(events) // 3
    log = f"{kafka.address}?partitions=6&prefix=streams."
    port, beside = free_port(), AppBeside(APP, log, tmp_path)
    async with app.running(Settings(store=beside.store, log=log, streams="flink")) as live:
        await with_books(live)
    job, figures = Job(flink, APP, log, tmp_path, "--streams", "--metrics", str(port)), dict[str, float]()
    try:
        beside.start()
        figures["submitted_s"] = job.start()
        topics.publish("streams.measured", events[:third])
        topics.publish("streams.checked", checks[: len(checks) // 2])
        assert topics.committed("streams.words", 1, 90)
        job.kill()
        topics.publish("streams.measured", events[third : 2 * third])
        figures["submitted_again_s"] = job.start()
        assert topics.committed("streams.words", counts[OUT[4]] // 2, 90)
        _require_watched(port)
        job.kill_worker()
        beside.kill()
        beside.start()
        topics.publish("streams.measured", events[2 * third : -DEVICES])
        right = sum(each.value >= 0 for each in recorded()) - DEVICES
        assert len(topics.committed("streams.penstock-stream-rooms-by-room", right, 120)) == right
        topics.publish("streams.measured", events[-DEVICES:])
        topics.publish("streams.checked", checks[len(checks) // 2 :])
        for kind in KINDS:
            name = f"streams.{kind.topic_}"
            found = await asyncio.to_thread(_distinct, topics, name, kind, counts[kind])
            assert len(found) == counts[kind], (kind, job.said[-2000:])
            _require_equal(kind, found, here[kind])
        met = await asyncio.to_thread(_distinct, topics, "streams.confirmed", Confirmed, len(pairs))
        assert sorted(_pair(Confirmed.decoded(_event(Confirmed, each).data)) for each in met) == pairs
        assert topics.committed("streams.recorded-dead-letters", 1, 3) == []
        figures["restarts"] = _restarts(port)
        figures["resident_mb"] = job.resident_mb
        sys.stdout.write(json.dumps({"shown": sum(counts.values()), **figures}))
    finally:
        job.kill()
        beside.kill()
        names = {*sink_topics(app.declared.of_streams()), *carried_topics(topology_of(app.declared.beside_streams()))}
        topics.delete(*(f"streams.{each}" for each in sorted(names)))


def _figures(port: int) -> dict[str, float]:
    text = httpx2.get(f"http://127.0.0.1:{port}/metrics", timeout=30).text
    rows = [each.rsplit(" ", 1) for each in text.splitlines() if not each.startswith("#")]
    return {name: float(value) for name, value in rows}


def _restarts(port: int) -> float:
    """Return how often the job went on by itself, once it says so: Flink answers with what it knew when it was asked last."""
    until_s = time.monotonic() + 60
    while not (found := _figures(port).get("penstock_job_restarts_total", 0.0)):
        assert time.monotonic() < until_s, "the job was never restarted"
        time.sleep(0.5)
    return found


def _require_watched(port: int) -> None:
    """The door says that the job runs, and what Flink knows of it."""
    until_s, whole = time.monotonic() + 60, 'penstock_job_checkpoints_total{outcome="completed"}'
    while httpx2.get(f"http://127.0.0.1:{port}/readyz", timeout=30).json()["status"] != "ok":  # it is still restored
        assert time.monotonic() < until_s
        time.sleep(0.5)
    while (
        "penstock_job_lag_events" not in (found := _figures(port)) or not found[whole]
    ):  # Flink looks every few seconds
        assert time.monotonic() < until_s, found
        time.sleep(0.5)
    assert found["penstock_up"] == 1
    assert found['penstock_job_state{state="RUNNING"}'] == 1
    assert found["penstock_job_checkpoint_bytes"] > 0


def _pair(confirmed: Confirmed) -> tuple[str, int, int]:
    return confirmed.device, confirmed.value, confirmed.number


def _event(kind: type[Event], message: Message) -> Envelope:
    return to_event(message, Place(kind.topic_, 0, 1))


def _distinct(topics: Topics, name: str, kind: type[Event], count: int) -> list[Message]:
    """Return what is there once there is as much as is to be, or nothing more comes: each event once.

    The app beside knows the topics, too, and puts what lies in another partition than its own into that one, under the same id.
    """
    until_s = time.monotonic() + 90
    while True:
        found = topics.committed(name, 100_000, 4)
        once: dict[str, Message] = {}
        for each in found:
            if not _is_of_books(kind, each):
                once.setdefault(_event(kind, each).id, each)
        if len(once) >= count or time.monotonic() > until_s:
            return [*once.values()]


def _is_of_books(kind: type[Event], message: Message) -> bool:
    """Whether it is what the app had indexed before the job began."""
    return kind is KnowledgeEvent and KnowledgeEvent.decoded(_event(kind, message).data).collection == "books"


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
        # The app beside orders them by document, and not by who tells them; each document here has one.
        both = (sorted(each, key=lambda change: change.passage_id) for each in (changes, there[key]))  # type: ignore[attr-defined]
        for change, other in zip(*both, strict=True):
            assert change.model_copy(update={"embedding": None}) == other.model_copy(update={"embedding": None})
            # The job has a numpy of its own, of another version perhaps.
            assert other.embedding == pytest.approx(change.embedding, abs=1e-6)


async def _embedded() -> tuple[dict[type[Event], dict[str, list[Event]]], list[tuple[str, int, int]]]:
    """Return what the embedded run shows, by key, and who met whom in it."""
    found: dict[type[Event], dict[str, list[Event]]] = {}
    async with testing.app(app) as live:
        await with_books(live)
        for number, event in enumerate(recorded()):
            await live.engine.send(event, id=f"m{number}")
        for number, event in enumerate(checked()):
            await live.engine.send(event, id=f"c{number}")
        await live.settled()
        for kind in KINDS:
            for each in await live.events(kind):
                if not (isinstance(each, KnowledgeEvent) and each.collection == "books"):  # it was there before
                    found.setdefault(kind, {}).setdefault(_key(each), []).append(each)
        pairs = sorted(map(_pair, await live.events(Confirmed)))
    return found, pairs


def _key(event: Event) -> str:
    assert event.key_ is not None
    return str(getattr(event, event.key_))
