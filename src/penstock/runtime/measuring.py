"""What a running engine says of itself to those who watch it: counted, or looked up when they ask. Of this worker."""

import asyncio
import os
from collections.abc import Iterator, Mapping

from penstock.core.events.messages import Lane
from penstock.core.telemetry.embedding_meters import EmbedderMeter
from penstock.core.telemetry.meters import Family, Histogram, counter, gauge, histogram
from penstock.errors import PenstockError
from penstock.runtime.collection import Collection
from penstock.runtime.engine import Engine

BROKER_ANSWERS_S = 2.0
_OPEN = ("running", "waiting", "held", "in_log")


async def measured(engine: Engine) -> list[Family]:
    """Return all metrics of an engine."""
    there = [*await _queues(engine), *_lags(engine), *await _in_broker(engine)]
    return [*there, *_work(engine), *_knowledge(engine), *_models(engine), *of_process()]


def unmeasured() -> list[Family]:
    """Return what a process says that has no engine at the moment."""
    return [_up(working=False), *of_process()]


def _up(*, working: bool) -> Family:
    return gauge("penstock_up", "Whether the engine commits.", (), [((), float(working))])


async def _queues(engine: Engine) -> list[Family]:
    queues, now_ms = await engine.queues(), engine.services.clock.now_ms()
    open_ = [((each.agent, state), float(getattr(each, state))) for each in queues for state in _OPEN]
    oldest = [((each.agent,), max(0, now_ms - each.oldest_ms) / 1000 if each.oldest_ms else 0.0) for each in queues]
    return [
        gauge(
            "penstock_events_open",
            "Events of an agent that are not handled yet, by where they are.",
            ("agent", "state"),
            open_,
        ),
        gauge(
            "penstock_in_flight", "Handlings under way.", ("agent",), [((each.agent,), each.running) for each in queues]
        ),
        gauge(
            "penstock_oldest_event_seconds", "The age of the oldest event that is not handled yet.", ("agent",), oldest
        ),
    ]


def _lags(engine: Engine) -> list[Family]:
    lags: list[tuple[tuple[str, ...], float]] = []
    handled: list[tuple[tuple[str, ...], float]] = []
    for agent in engine.parts.topology.agents:
        for each in engine.delivering.of(agent):
            place, progress = (each.topic, str(each.partition), agent), each.progress
            done = progress.low + sum(last - first + 1 for first, last in progress.above)
            lags.append((place, float(max(0, engine.appender.end(each.topic, each.partition) - done))))
            handled.append((place, float(done)))
    names = ("topic", "partition", "agent")
    return [
        gauge("penstock_lag_events", "Events of a partition that an agent has not handled yet.", names, lags),
        counter("penstock_handled_events_total", "Events of a partition that an agent has done with.", names, handled),
    ]


async def _in_broker(engine: Engine) -> list[Family]:
    """Return what waits in the broker for this worker. One that does not answer has no lag, and is said to be away."""
    behind = engine.parts.behind
    if behind is None:
        return []
    found: Mapping[Lane, int] = {}
    is_there = True
    try:
        async with asyncio.timeout(BROKER_ANSWERS_S):
            found = await behind()
    except (PenstockError, TimeoutError):
        is_there = False
    waiting = [((topic, str(partition)), float(count)) for (topic, partition), count in sorted(found.items())]
    what = "Messages of a partition in the broker that were not received yet."
    return [
        gauge("penstock_broker_up", "Whether the broker answers.", (), [((), float(is_there))]),
        gauge("penstock_broker_lag_events", what, ("topic", "partition"), waiting),
    ]


def _work(engine: Engine) -> list[Family]:
    meters, committer = engine.services.meters, engine.services.committer
    return [
        histogram("penstock_commit_seconds", "How long a commit takes.", (), (meters.commits, ())),
        histogram("penstock_commit_units", "Units of work in a commit.", (), (meters.commit_units, ())),
        counter(
            "penstock_retries_total",
            "Attempts that failed and are made again.",
            ("agent",),
            meters.retries.values.items(),
        ),
        counter(
            "penstock_given_up_total",
            "Events that were given up on: failed ones are dead letters.",
            ("agent", "status"),
            meters.ended.values.items(),
        ),
        _up(working=committer.failure is None),
    ]


def _knowledge(engine: Engine) -> list[Family]:
    collections = engine.services.collections
    embedders = {meter.name: meter for meter in _embedders(engine)}
    figures = {name: each.indexing for name, each in collections.items()}
    down = [((name,), float(bool(getattr(each.index.vectors, "down", "")))) for name, each in collections.items()]
    indexed = [
        ((name, what), float(getattr(each, what)))
        for name, each in figures.items()
        for what in ("embedded", "kept", "deleted")
    ]
    cached = [
        ((name, outcome), float(count))
        for name, each in embedders.items()
        for outcome, count in (("hit", each.hits), ("miss", each.misses))
    ]
    return [
        histogram("penstock_search_seconds", "How long a search takes.", ("collection",), *_by(collections, "took")),
        histogram(
            "penstock_vector_query_seconds",
            "How long the vectors take for a search.",
            ("collection",),
            *_by(collections, "vectors"),
        ),
        counter(
            "penstock_searches_by_words_total",
            "Searches that went by words alone, though they asked for vectors too.",
            ("collection",),
            [((name,), float(each.by_words)) for name, each in figures.items()],
        ),
        gauge("penstock_vectors_down", "1 while the vectors of a collection do not answer.", ("collection",), down),
        counter(
            "penstock_indexed_passages_total",
            "Passages that were indexed, left as they were, or removed.",
            ("collection", "what"),
            indexed,
        ),
        histogram(
            "penstock_embedding_seconds",
            "How long a call of an embedder takes.",
            ("embedder",),
            *((each.took, (name,)) for name, each in embedders.items()),
        ),
        counter(
            "penstock_embedding_errors_total",
            "Calls of an embedder that failed.",
            ("embedder",),
            [((name,), float(each.errors)) for name, each in embedders.items()],
        ),
        counter(
            "penstock_embedding_cache_total",
            "Texts that were found in the cache of vectors, or not.",
            ("embedder", "outcome"),
            cached,
        ),
    ]


def _by(collections: dict[str, Collection], which: str) -> Iterator[tuple[Histogram, tuple[str, ...]]]:
    for name, each in collections.items():
        yield getattr(each.times, which), (name,)


def _embedders(engine: Engine) -> Iterator[EmbedderMeter]:
    for each in engine.services.collections.values():
        for embedder in (each.generations.searching.embedder, each.embedder):
            if isinstance(embedder, EmbedderMeter):
                yield embedder


def _models(engine: Engine) -> list[Family]:
    meters = engine.services.meters
    return [
        histogram(
            "penstock_model_call_seconds",
            "How long a call of a chat model takes.",
            ("model",),
            (meters.model_calls, ()),
        ),
        counter(
            "penstock_model_errors_total",
            "Calls of a chat model that failed.",
            ("model",),
            meters.model_errors.values.items(),
        ),
        counter(
            "penstock_tokens_total",
            "Tokens that chat models took in and gave.",
            ("model", "direction"),
            meters.tokens.values.items(),
        ),
    ]


def of_process() -> list[Family]:
    """Return what a process says of itself, whatever it does."""
    times = os.times()
    cpu = [((), times.user + times.system)]
    return [counter("process_cpu_seconds_total", "Processor time of this process.", (), cpu)]
