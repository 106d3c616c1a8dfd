"""Dividing a store into partitions, so that several workers can share it."""

from penstock.core.knowledge.events import KnowledgeEvent
from penstock.errors import Fenced, Refused
from penstock.ports.store import Store
from penstock.runtime.engine import Parts, running
from penstock.runtime.generations import divided_mark
from penstock.runtime.ownership import TTL_MS
from penstock.runtime.topology import require_one_order


async def divided(parts: Parts, owner: str, partitions: int, *, within_s: float) -> int:
    """Divide the store of an app once all that waits in it is handled, unless it is divided already.

    Returns how many partitions there are. `Refused` when the store does not come to rest in time, or when somebody else
    takes it meanwhile; `Invalid` for an app that several workers cannot share.
    """
    require_one_order(parts.topology)
    known = await _partitions(parts.store, owner)
    if known > 1:
        return known
    try:
        # The events that wait stay in their partition, and newer ones of their keys would come to another.
        async with running(parts, owner=owner) as engine:
            if not await engine.settled(within_s):
                hint = "run the app with one worker until it has come to rest: penstock run APP.PY"
                raise Refused(f"the store did not come to rest within {within_s:g} s", hint)
            committer = engine.services.committer
            if parts.indexes:
                committer.add().values.append(divided_mark(engine.appender.end(KnowledgeEvent.topic_, 0)))
                await committer.durable()
            await parts.store.divide(committer.claim, partitions)
    except Fenced as error:
        raise Refused("another process took the store meanwhile", "start again") from error
    return partitions


async def _partitions(store: Store, owner: str) -> int:
    """Return how many partitions there are, without disturbing workers that share them."""
    claim = await store.join(owner)
    try:
        return len((await store.renew(claim, ttl_ms=TTL_MS)).owners)
    finally:
        await store.leave(claim)
