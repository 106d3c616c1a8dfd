"""Passages of one subject go from all generations of a collection, also from one that is being built."""

from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack

from penstock.core.events.blobs import reference_in
from penstock.core.events.envelope import Envelope
from penstock.core.knowledge.events import SUBJECT, KnowledgeEvent
from penstock.core.knowledge.generations import FOLLOWING
from penstock.core.knowledge.passages import Delete, Space
from penstock.runtime.collection import Collection
from penstock.runtime.services import GenerationControl, Services

TOPIC = KnowledgeEvent.topic_
ASKED = 500
_NAMED = f'"{SUBJECT}"'.encode()
IsMeant = Callable[[Mapping[str, str]], bool]


def names_subject(metadata: Mapping[str, str]) -> str | None:
    """Return whom a passage says that it is about."""
    return metadata.get(SUBJECT)


def may_name_subject(event: Envelope) -> bool:
    """Whether it is worth reading an event that was written unsealed: of knowledge, most name nobody."""
    is_knowledge = event.type in KnowledgeEvent.reads_()
    return not is_knowledge or _NAMED in event.data or reference_in(event.data) is not None


async def erased_passages(
    collection: Collection, keeper: GenerationControl, services: Services, is_meant: IsMeant, tenant: str
) -> int:
    """Delete the passages of a tenant whose metadata are meant, and return how many there were.

    What they were made from is gone from the log by now: a page that a build has read before is waited for.
    """
    gone = 0
    for generation in collection.generations.catalogue.generations:
        if generation.status == "dropped":
            continue
        async with AsyncExitStack() as stack:
            if generation.status in FOLLOWING:
                await stack.enter_async_context(keeper.turn(generation.number))
            space = Space(collection.name, tenant, generation.number)
            gone += await _erased(collection, services, space, is_meant)
    return gone


async def counted_passages(collection: Collection, services: Services, is_meant: IsMeant, tenant: str) -> int:
    """Return how many passages of a tenant are meant, in all generations."""
    count = 0
    for generation in collection.generations.catalogue.generations:
        if generation.status != "dropped":
            space = Space(collection.name, tenant, generation.number)
            count += len(await _meant(collection, services, space, is_meant))
    return count


async def purged(collection: Collection, tenant: str) -> None:
    """Have the files of a tenant's spaces hold nothing that was deleted."""
    purging, spaces = collection.index.purging, collection.index.spaces
    if purging is not None and spaces is not None:
        for space in await spaces.spaces(collection.name):
            if space.tenant == tenant:
                await purging.purge(space)


async def _erased(collection: Collection, services: Services, space: Space, is_meant: IsMeant) -> int:
    index, meant = collection.index, await _meant(collection, services, space, is_meant)
    for start in range(0, len(meant), ASKED):
        writes = [Delete(space, key) for key in meant[start : start + ASKED]]
        if index.in_store:
            services.committer.add().index.extend(writes)
            await services.committer.durable()
        else:
            await collection.apply(writes)
    return len(meant)


async def _meant(collection: Collection, services: Services, space: Space, is_meant: IsMeant) -> list[str]:
    ids = sorted(await collection.index.reads.digests(space))
    meant: list[str] = []
    for start in range(0, len(ids), ASKED):
        found = await collection.index.reads.passages(space, ids[start : start + ASKED])
        meant += [key for key, passage in found.items() if is_meant(passage.metadata)]
        await services.clock.sleep(0)
    return meant
