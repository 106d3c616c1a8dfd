"""The agent that counts what passages are used for, and who asks it: now, or as it was.

What it keeps are values of the agent, durable with the commit that counts. As of a moment they are made from the log, up to it.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from penstock.core.agents.declaration import Agent, Options, declare
from penstock.core.agents.journal import decode_value
from penstock.core.events.envelope import Recorded
from penstock.core.knowledge.uses import PASSAGES_MAX, TOPIC, USED_MAX, USES, KnowledgeUsed, Use, least_used, with_use
from penstock.errors import Finding, Invalid, LimitReached
from penstock.runtime.context import Context

PAGE = 512
EVENTS_MAX = 100_000  # that a past moment is made from
_COUNTS = "counts"


class Store(Protocol):
    """Where values and the log are."""

    async def values(self, tenant: str, agent: str, key: str) -> Mapping[str, bytes]: ...
    async def read(self, topic: str, partition: int, *, after: int, limit: int) -> Sequence[Recorded]: ...


def counting() -> Agent:
    """Return the agent that counts."""
    return declare(count, USES, Options())


async def count(said: KnowledgeUsed, ctx: Context) -> None:
    """Add to what the passages were used for."""
    counts: dict[str, Use] = await ctx.values.get(_COUNTS, {}, to=dict[str, Use])
    _add(counts, said, ctx.event.time_ms)
    await ctx.values.set(_COUNTS, counts)


def _add(counts: dict[str, Use], said: KnowledgeUsed, at_ms: int) -> None:
    for each in dict.fromkeys(said.used[:USED_MAX]):
        counts[each] = with_use(counts.get(each), said.verdict, at_ms)
    while len(counts) > PASSAGES_MAX:
        del counts[least_used(counts)]


def used_event(collection: str, query: str, used: Sequence[str], said: Mapping[str, object]) -> KnowledgeUsed:
    """Return the event; `Invalid` with all findings."""
    if not used or len(used) > USED_MAX:
        finding = Finding("used", f"has {len(used)} passages", f"name 1 to {USED_MAX}")
        raise Invalid("the use of knowledge", (finding,))
    return KnowledgeUsed.checked({"collection": collection, "query": query, "used": list(used), **said})


class Uses:
    """What the passages of one collection were used for."""

    def __init__(self, collection: str, store: Store, partitions: int) -> None:
        self._collection = collection
        self._store = store
        self._partitions = partitions

    async def weights(self, tenant: str, now_ms: int, *, by_ms: int = 0) -> dict[str, float]:
        """Return how much each passage was used, by now or by another moment."""
        if not by_ms:
            body = (await self._store.values(tenant, USES, self._collection)).get(_COUNTS)
            kept: dict[str, Use] = {} if body is None else decode_value(body, dict[str, Use])
            return {each: use.now(now_ms) for each, use in kept.items()}
        counts = dict[str, Use]()
        for said, at_ms in await self.events(tenant, by_ms=by_ms):
            _add(counts, said, at_ms)
        return {each: use.now(by_ms) for each, use in counts.items()}

    async def events(self, tenant: str, *, by_ms: int = 0) -> list[tuple[KnowledgeUsed, int]]:
        """Return what was said by a moment (0: at all), and when, in the order of the log."""
        found: list[tuple[KnowledgeUsed, int]] = []
        seen = 0
        for partition in range(self._partitions):
            after = 0
            while page := await self._store.read(TOPIC, partition, after=after, limit=PAGE):
                after = page[-1].position.offset
                seen += len(page)
                if seen > EVENTS_MAX:
                    hint = "ask without as_of, or keep less of them: Retention(topics=...)"
                    raise LimitReached("the number of uses that are looked at", seen, EVENTS_MAX, hint)
                for each in page:
                    if each.event.tenant == tenant and each.event.type in KnowledgeUsed.reads_():
                        said = KnowledgeUsed.decoded_as(each.event.type, each.event.data)
                        if said.collection == self._collection and (not by_ms or each.event.time_ms <= by_ms):
                            found.append((said, each.event.time_ms))
        return found
