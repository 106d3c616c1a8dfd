"""One life of the app: it takes in all messages, day by day, and tells what came of them. It may be killed at any moment.

It is run by `run_enrichment.py` as a process of its own, which is told by JSON on its standard input, and tells by lines of JSON.
"""

import asyncio
import json
import sys
from contextlib import suppress
from time import perf_counter

from enrichment_app import (
    AgentResponse,
    EnrichedRequest,
    HashEntry,
    LateRequest,
    RawRequest,
    SessionActivity,
    answers,
    app,
)
from enrichment_hashes import broken_links
from enrichment_input import Said, said, sessions_closed
from enrichment_text import masked

from penstock import KnowledgeEvent
from penstock.runtime.indexer import NAME as INDEXER

AT_ONCE = 64
READ_MAX = 1_000


def tell(**what: object) -> None:
    print(json.dumps(what), flush=True)


async def events(live, kind, *, decoded: bool = True) -> list[tuple]:
    """Return all events of a class, with their envelopes, partition by partition."""
    store, found = live.engine.parts.store, []
    for topic, partition in sorted(await store.ends()):
        after = 0
        while topic == kind.topic_ and (page := await store.read(topic, partition, after=after, limit=READ_MAX)):
            found += [
                (each.event, kind.decoded(each.event.data) if decoded else None)
                for each in page
                if each.event.type == kind.type_
            ]
            after = page[-1].position.offset
    return found


async def take_in(live, day: list[Said], day_s_max: float) -> None:
    """Send a day's messages under their ids, so that what was taken already is not taken again, and wait for all answers."""
    expected = {each.id for each in day}
    for start in range(0, len(day), AT_ONCE):
        batch = [
            (RawRequest(session_id=each.session, message=each.text, at_ms=each.at_ms), each.id)
            for each in day[start : start + AT_ONCE]
        ]
        await live.engine.accept(batch, tenant="default")
        tell(answered=len(await events(live, AgentResponse)))

    async def waiting() -> int:
        told = {event.correlation_id for event, _ in await events(live, AgentResponse)}
        tell(answered=len(told))
        return len(expected - told) - len(await live.dead_letters())

    async def unheard() -> int:
        """How many contexts of the day have not come yet: where a job makes them, answers may come first."""
        contexts = await events(live, KnowledgeEvent, decoded=False)
        return len(expected - {event.correlation_id for event, _ in contexts}) - len(await live.dead_letters())

    async with asyncio.timeout(day_s_max):
        await live.engine.until(waiting, lambda left: left <= 0)
        await live.engine.until(unheard, lambda left: left <= 0)
        await live.engine.settled(day_s_max)
        await live.engine.caught_up(INDEXER)


async def closed(live, sessions: int, within_s: float) -> None:
    """Wait until all sessions were shown that have closed: they come on a topic of their own."""

    async def shown() -> int:
        return len(await events(live, SessionActivity))

    with suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            await live.engine.until(shown, lambda count: count >= sessions)


async def outcome(live, days: list[list[Said]], took_s: float) -> dict:
    """Return what came of all messages, to be compared and checked."""
    sent = [each for day in days for each in day]
    raw = {event.id for event, _ in await events(live, RawRequest)}
    told, requests = await events(live, AgentResponse), await events(live, EnrichedRequest)
    contexts = [event for event, each in await events(live, KnowledgeEvent) if each.agent_id.startswith("preprocess/")]
    texts = {each.request_id: each.text for _, each in requests}  # several may have the same: they are as near
    order: dict[str, list[str]] = {}
    for _, each in told:
        order.setdefault(each.session_id, []).append(each.request_id)
    asked: dict[str, list[str]] = {}
    for _, each in requests:
        asked.setdefault(each.session_id, []).append(each.request_id)
    collection = live.engine.services.collection("session_context")
    return {
        "sent": len(sent),
        "received": len(raw),
        "answers": {
            each.request_id: [each.text, each.sources, [texts[one] for one in each.similar]] for _, each in told
        },
        "answered": len(told),
        "in_order": order == asked,
        "origins": len({event.correlation_id for event, _ in told}),
        "untraced": sum(event.correlation_id not in raw for event, _ in (*told, *requests))
        + sum(event.correlation_id not in raw for event in contexts),
        "personal": sum(masked(each.text) != each.text for _, each in requests),
        "with_similar": sum(bool(each.similar) for _, each in told),
        "from_cache": sum(each.cached for _, each in told),
        "embedded": getattr(collection.embedder, "misses", 0),
        "embeddings_kept": getattr(collection.embedder, "hits", 0),
        "cache_hits": answers.hits,
        "sessions": len([1 for _, each in await events(live, SessionActivity) if each.edition == 0]),
        "sessions_by_hand": sessions_closed(days),
        "late": len(await events(live, LateRequest)),
        "broken_links": broken_links(
            sorted((each for _, each in await events(live, HashEntry)), key=lambda each: (each.session_id, each.number))
        ),
        "hashes": len(await events(live, HashEntry)),
        "contexts": len(await live.knowledge("session_context").digests()),
        "dead": [each.reason for each in await live.dead_letters()],
        "took_s": took_s,
    }


async def live_on(given: dict) -> None:
    _, days = said(given["messages"])
    began = perf_counter()
    async with app.running(**given["settings"]) as live:
        tell(ready=True, total=sum(len(day) for day in days))
        for day in days:
            await take_in(live, day, given["day_s_max"])
        await closed(live, sessions_closed(days), given["day_s_max"])
        tell(outcome=await outcome(live, days, perf_counter() - began))


if __name__ == "__main__":
    asyncio.run(live_on(json.loads(sys.stdin.readline())))
