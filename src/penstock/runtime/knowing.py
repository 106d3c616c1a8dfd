"""Writes to knowledge with the consistency that each asks for, and searches that see them.

- "strong" returns when what was written is found; "eventual" when it is durable; "bulk" when it is accepted (`refresh` waits).
- A write's token says up to where the indexer must be. It holds for every worker: each knows, by the store, how far all are.
- Who writes faster than the indexer indexes waits, and is refused in the end (C9): the log has no endless head start.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from hashlib import blake2b
from typing import Literal, get_args

from penstock.core.events.envelope import Recorded, run_id
from penstock.core.knowledge.events import KnowledgeEvent, require_right
from penstock.core.knowledge.tokens import Written, places_in, token_of
from penstock.errors import Finding, Invalid, LimitReached, RunFailed, TimedOut
from penstock.runtime.engine import Engine
from penstock.runtime.front import PLACED_WAIT_S
from penstock.runtime.indexer import NAME as INDEXER

Consistency = Literal["strong", "eventual", "bulk"]
TOPIC = KnowledgeEvent.topic_
WITHIN_S = 30.0
LAG_MAX = 50_000  # events that may wait for the indexer
EVENTS_MAX = 10_000  # of one put
PAGE = 4096
ELSEWHERE_LOOK_S = 0.2  # who is not woken by what other workers commit looks now and then
LAG = "the number of events that wait for the indexer"


async def write(engine: Engine, events: Sequence[KnowledgeEvent], tenant: str, consistency: Consistency) -> Written:
    """Append events, and return when what `consistency` promises holds.

    Raises `LimitReached` when the indexer does not keep up; of a "strong" one, `RunFailed` when an event was given up on, and
    `TimedOut` when it took too long (it is durable, and will be indexed).
    """
    if consistency not in get_args(Consistency):
        hint = f"one of {', '.join(get_args(Consistency))}"
        raise Invalid("the write", (Finding("consistency", f"is {consistency!r}", hint),))
    if len(events) > EVENTS_MAX:
        raise LimitReached("the number of documents put at once", len(events), EVENTS_MAX, "put them in several calls")
    require_right(events)
    await _room(engine)
    given = [(each, outside_id(tenant, each.event_id) if each.event_id else None) for each in events]
    recorded = await engine.accept(given, tenant=tenant, durable=consistency != "bulk")
    # Who gave an event its id knows it by that one: the log's is ours.
    ids = tuple(event.event_id or each.event.id for event, each in zip(events, recorded, strict=True))
    written = Written(ids, token_of(each.position for each in recorded))
    if consistency == "strong":
        if not all(each.position.is_given for each in recorded):
            raise TimedOut(
                "the place in the log of what was written", PLACED_WAIT_S
            )  # its owner may have died just now
        await reached(engine, written.token)
        await _raise_given_up(engine, recorded)
    return written


async def reached(engine: Engine, after: Written | str, within_s: float = WITHIN_S) -> None:
    """Wait until what a token stands for can be found here; `TimedOut` when it takes too long, `Invalid` for no token."""
    places = places_in(after.token if isinstance(after, Written) else after)
    try:
        async with asyncio.timeout(within_s):
            own = {partition: offset for partition, offset in places.items() if partition in engine.partitions}
            if own:
                await engine.services.committer.until(lambda: _indexed(engine, own))
                given_up = own.keys() - engine.partitions  # meanwhile
                await engine.services.committer.durable()
                own = {partition: offset for partition, offset in own.items() if partition not in given_up}
            elsewhere = {partition: offset for partition, offset in places.items() if partition not in own}
            if elsewhere:
                await _until_elsewhere(engine, partial(_indexed_elsewhere, engine, elsewhere))
            await _follow(engine)
    except TimeoutError:
        raise TimedOut("the indexing of what was written", within_s) from None


def lag(engine: Engine) -> int:
    """Return how many events wait for the indexer in the partitions of this worker."""
    return sum(
        engine.appender.end(each.topic, each.partition) - each.progress.low
        for each in engine.delivering.of(INDEXER)
        if each.topic == TOPIC
    )


async def refresh(engine: Engine) -> None:
    """Wait until everything that was accepted so far can be found, whichever way it takes to whichever worker indexes it."""
    await engine.services.committer.durable()
    if engine.elsewhere is not None:
        await _until_elsewhere(engine, partial(_all_placed, engine, await _on_their_way(engine)))
    await engine.caught_up(INDEXER)
    if engine.elsewhere is not None:
        ends = await engine.parts.store.ends()
        away = {part: end for (topic, part), end in ends.items() if topic == TOPIC and part not in engine.partitions}
        await _until_elsewhere(engine, partial(_done_elsewhere, engine, away))
        await _follow(engine)


async def _on_their_way(engine: Engine) -> list[str]:
    """Return the ids of events that are durable and have no place in the log yet: to other workers, or over a broker."""
    found, after = list[str](), b""
    while True:
        page = await engine.parts.store.rows("sent", after=after, limit=PAGE)
        found += [each.event.id for each in page.rows.sent if each.topic == TOPIC]
        if not page.after:
            return found
        after = page.after


async def _all_placed(engine: Engine, waiting: list[str]) -> bool:
    """Whether all of these events have a place, or are forgotten; takes those out that have."""
    while waiting:
        found = await engine.parts.store.event(waiting[-1])
        if found is not None and not found.position.is_given:
            return False
        waiting.pop()
    return True


async def _follow(engine: Engine) -> None:
    """Search where the other workers write: another generation may have taken over just now."""
    if engine.elsewhere is not None:
        for keeper in engine.keepers.values():
            await keeper.look()


def outside_id(tenant: str, event_id: str) -> str:
    """Return the id in the log of an event that others call `event_id`: the same one twice is one event, of one tenant."""
    return f"{tenant}~knowledge~{blake2b(event_id.encode(errors='replace'), digest_size=16).hexdigest()}"


async def _room(engine: Engine) -> None:
    if lag(engine) <= LAG_MAX:
        return
    try:
        async with asyncio.timeout(WITHIN_S):
            await engine.services.committer.until(lambda: lag(engine) <= LAG_MAX)
    except TimeoutError:
        raise LimitReached(
            LAG, lag(engine), LAG_MAX, "send it later: see `penstock knowledge status --url http://HOST:PORT`"
        ) from None


def _indexed(engine: Engine, places: Mapping[int, int]) -> bool:
    # The indexer takes the events of a tenant in their order, so what lies before the last one of a write is done with too.
    done = {each.partition: each.progress for each in engine.delivering.of(INDEXER) if each.topic == TOPIC}
    return all(partition not in done or offset in done[partition] for partition, offset in places.items())


async def _until_elsewhere(engine: Engine, holds: Callable[[], Awaitable[bool]]) -> None:
    woken = asyncio.Event()
    unwatch = engine.parts.store.watch(woken.set)
    try:
        while not await holds():
            with suppress(TimeoutError):
                await asyncio.wait_for(woken.wait(), ELSEWHERE_LOOK_S)
            woken.clear()
    finally:
        unwatch()


async def _indexed_elsewhere(engine: Engine, places: Mapping[int, int]) -> bool:
    done = await engine.parts.store.progress()
    return all(
        offset == 0 or ((INDEXER, TOPIC, partition) in done and offset in done[INDEXER, TOPIC, partition])
        for partition, offset in places.items()
    )


async def _done_elsewhere(engine: Engine, ends: Mapping[int, int]) -> bool:
    done = await engine.parts.store.progress()
    lows = {
        partition: each.low for (agent, topic, partition), each in done.items() if (agent, topic) == (INDEXER, TOPIC)
    }
    return all(lows.get(partition, 0) >= end for partition, end in ends.items())


async def _raise_given_up(engine: Engine, recorded: Sequence[Recorded]) -> None:
    """Raise `RunFailed` for the first event that the indexer gave up on."""
    for each in recorded:
        run = run_id(each.event.id, INDEXER)
        stored = await engine.parts.store.run(run)
        if (
            stored is not None
            and stored.change.status == "failed"
            and not stored.change.reason.startswith("taken apart")
        ):
            raise RunFailed(run, stored.change.reason)
