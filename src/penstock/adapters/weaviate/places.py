"""Weaviate as a store of places: one of its collections for each, with a tenant of its own for each tenant.

- Tenants are Weaviate's: a shard each, which nothing else reaches (C10). They are made by the first write.
- Searches carry a condition that every object meets: so Weaviate scores up to `EXACT_MAX` objects of a tenant one by one, and
  only beyond walks its graph (`flatSearchCutoff`). Up to there V4 and V5 hold exactly.
- A write to a collection that is not there would make one, of Weaviate's own guess: it is taken away again.
- Writes and reads are those of a quorum where there are replicas.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from penstock.adapters.weaviate.objects import (
    DIGEST,
    EVERY,
    METADATA,
    PASSAGE,
    TENANT,
    TEXT,
    TOKENS,
    class_of,
    compared,
    condition_of,
    metadata_of,
    passage_of,
    place_name,
    properties_of,
    tenant_of,
)
from penstock.adapters.weaviate.server import AbsentError, Server
from penstock.core.knowledge.passages import Hit, Passage
from penstock.core.knowledge.places import Place, key_of
from penstock.core.knowledge.placing import clamped
from penstock.core.knowledge.plain_filters import Asked
from penstock.errors import LimitReached, PenstockError

EXACT_MAX = 40_000
HITS_MAX = 10_000  # Weaviate's own bound, unless it is set otherwise
NUMBERS_MAX = 2_000  # properties of one collection
AT_ONCE = 8
T = TypeVar("T")
Vector = NDArray[np.float32] | None


class WeaviatePlaces:
    """A store of places for `PlacedPassages`."""

    def __init__(self, server: Server, *, replicas: int) -> None:
        self._server = server
        self._collections = server.client.collections
        self._replicas = replicas
        self._numbers: dict[str, set[str]] = {}
        self._gate = asyncio.Semaphore(AT_ONCE)

    async def names(self) -> Sequence[str]:
        found = await self._server.ask("listing collections", self._collections.list_all)
        return [name for name in map(place_name, found) if name is not None]

    def refuse(self, passage: Passage) -> PenstockError | None:  # noqa: ARG002 - it takes all that an event can hold
        return None

    async def make(self, at: Place) -> None:
        config = self._server.config
        kept = {"index_filterable": False, "index_searchable": False}
        properties = [
            *(config.Property(name=name, data_type=config.DataType.TEXT, **kept) for name in (PASSAGE, TEXT, METADATA)),
            *(config.Property(name=name, data_type=config.DataType.TEXT, **kept) for name in (DIGEST, TENANT)),
            config.Property(
                name=TOKENS,
                data_type=config.DataType.TEXT_ARRAY,
                tokenization=config.Tokenization.FIELD,
                index_filterable=True,
                index_searchable=False,
            ),
        ]
        graph = config.Configure.VectorIndex.hnsw(
            distance_metric=config.VectorDistances.COSINE, flat_search_cutoff=EXACT_MAX
        )

        async def make() -> None:
            if await self._collections.exists(class_of(at.name)):
                return
            await self._collections.create(
                class_of(at.name),
                properties=properties,
                vector_config=config.Configure.Vectors.self_provided(vector_index_config=graph),
                multi_tenancy_config=config.Configure.multi_tenancy(
                    enabled=True, auto_tenant_creation=True, auto_tenant_activation=True
                ),
                replication_config=config.Configure.replication(factor=self._replicas),
            )

        try:
            await self._server.ask("making a collection", make)
        except PenstockError as error:
            if "already exists" not in str(error):
                raise

    async def drop(self, at: Place) -> None:
        self._numbers.pop(at.name, None)
        await self._server.ask("dropping a collection", lambda: self._collections.delete(class_of(at.name)))

    async def put(self, at: Place, tenant: str, rows: Sequence[tuple[Passage, Vector]]) -> bool:
        properties = [properties_of(tenant, passage) for passage, _ in rows]
        own = {PASSAGE, TEXT, METADATA, DIGEST, TENANT, TOKENS}
        if not await self._with_numbers(at, {name for each in properties for name in each} - own):
            return False
        objects = [
            self._server.data.DataObject(
                properties=each,
                uuid=UUID(key_of(tenant, passage.id)),
                vector=None if vector is None else vector.tolist(),
            )
            for each, (passage, vector) in zip(properties, rows, strict=True)
        ]
        done = await self._here("writing passages", lambda: self._of(at, tenant).data.insert_many(objects))
        if done is None:
            await self._server.ask("taking a guess away", lambda: self._collections.delete(class_of(at.name)))
            self._numbers.pop(at.name, None)
            return False
        if done.has_errors:
            first = next(iter(done.errors.values()))
            raise self._server.translated(first.message, "writing passages")
        return True

    async def remove(self, at: Place, tenant: str, ids: Sequence[str]) -> bool:
        these = self._server.query.Filter.by_id().contains_any(_keys(tenant, ids))
        done = await self._here("removing passages", lambda: self._of(at, tenant).data.delete_many(where=these))
        return done is not None

    async def search(
        self, at: Place, tenant: str, queries: NDArray[np.float32], count: int, asked: Asked
    ) -> Sequence[Sequence[tuple[Hit, Mapping[str, str]]]] | None:
        every = self._server.query.Filter.by_property(TOKENS).contains_any([EVERY])
        condition = every if asked.plain is None else await self._condition(at, asked)
        if condition is None:
            return None
        properties = [PASSAGE, METADATA] if asked.loose else [PASSAGE]
        distance = self._server.query.MetadataQuery(distance=True)
        collection = self._of(at, tenant)

        async def one(query: list[float]) -> Any:
            async with self._gate:
                return await collection.query.near_vector(
                    query,
                    limit=min(count, HITS_MAX),
                    filters=condition,
                    return_metadata=distance,
                    return_properties=properties,
                )

        async def each() -> list[Any]:
            return list(await asyncio.gather(*(one(query.tolist()) for query in queries)))

        answers = await self._here("searching passages", each)
        if answers is None:
            return [[] for _ in queries] if at.name in await self.names() else None
        return [
            [
                (
                    Hit(found.properties[PASSAGE], clamped(1 - found.metadata.distance)),
                    metadata_of(found.properties) if asked.loose else {},
                )
                for found in answer.objects
            ]
            for answer in answers
        ]

    async def read(self, at: Place, tenant: str, ids: Sequence[str]) -> Sequence[Passage] | None:
        found = await self._objects(at, tenant, ids, [PASSAGE, TEXT, METADATA], vectors=False)
        return None if found is None else [passage_of(each.properties) for each in found]

    async def vectors(self, at: Place, tenant: str, ids: Sequence[str]) -> Mapping[str, Sequence[float]] | None:
        found = await self._objects(at, tenant, ids, [PASSAGE], vectors=True)
        if found is None:
            return None
        return {each.properties[PASSAGE]: each.vector["default"] for each in found if "default" in each.vector}

    async def page(self, at: Place, tenant: str, after: str, limit: int) -> tuple[Mapping[str, str], str] | None:
        found = await self._here(
            "reading digests",
            lambda: self._of(at, tenant).query.fetch_objects(
                limit=limit, after=after or None, return_properties=[PASSAGE, DIGEST]
            ),
        )
        if found is None:
            return None
        digests = {each.properties[PASSAGE]: each.properties[DIGEST] for each in found.objects}
        return digests, str(found.objects[-1].uuid) if len(found.objects) == limit else ""

    async def tenants(self, at: Place) -> Sequence[str] | None:
        made = await self._here("reading tenants", self._collections.use(class_of(at.name)).tenants.get)
        if made is None:
            return None

        async def owner(name: str) -> str | None:
            async with self._gate:
                shard = self._collections.use(class_of(at.name)).with_tenant(name)
                found = await self._here(
                    "reading tenants", lambda: shard.query.fetch_objects(limit=1, return_properties=[TENANT])
                )
                return found.objects[0].properties[TENANT] if found is not None and found.objects else None

        owners = await asyncio.gather(*map(owner, made))
        return [each for each in owners if each is not None]

    def _of(self, at: Place, tenant: str) -> Any:
        collection = self._collections.use(class_of(at.name)).with_tenant(tenant_of(tenant))
        if self._replicas == 1:
            return collection
        return collection.with_consistency_level(self._server.config.ConsistencyLevel.QUORUM)

    async def _condition(self, at: Place, asked: Asked) -> Any:
        assert asked.plain is not None
        wanted = compared(asked.plain)
        known = self._numbers.get(at.name, set[str]())
        if wanted - known:
            read = await self._known(at)
            if read is None:
                return None
            known = read
        return condition_of(asked.plain, self._server.query.Filter, known)

    async def _known(self, at: Place) -> set[str] | None:
        """Read which properties a collection has: another worker may have added some."""
        found = await self._here("reading a schema", self._collections.use(class_of(at.name)).config.get)
        if found is None:
            return None
        self._numbers[at.name] = {each.name for each in found.properties}
        return self._numbers[at.name]

    async def _with_numbers(self, at: Place, names: set[str]) -> bool:
        """Have a collection keep numbers in order; False when it is not there."""
        known = self._numbers.get(at.name, set[str]())
        if not names - known:
            return True
        read = await self._known(at)
        if read is None:
            return False
        if len(read | names) > NUMBERS_MAX:
            hint = "use fewer names of metadata: each has up to seven"
            raise LimitReached("numbers that a collection in Weaviate keeps", len(read | names), NUMBERS_MAX, hint)
        config = self._server.config
        for name in sorted(names - read):
            number = config.Property(
                name=name, data_type=config.DataType.NUMBER, index_filterable=False, index_range_filters=True
            )
            try:
                await self._server.ask(
                    "adding a property",
                    lambda number=number: self._collections.use(class_of(at.name)).config.add_property(number),
                )
            except PenstockError as error:
                if "already exists" not in str(error):  # by another worker
                    raise
            read.add(name)
        return True

    async def _objects(
        self, at: Place, tenant: str, ids: Sequence[str], properties: list[str], *, vectors: bool
    ) -> Sequence[Any] | None:
        keys = _keys(tenant, ids)
        found = await self._here(
            "reading passages",
            lambda: self._of(at, tenant).query.fetch_objects_by_ids(
                keys, limit=len(keys), include_vector=vectors, return_properties=properties
            ),
        )
        return None if found is None else found.objects

    async def _here(self, operation: str, call: Callable[[], Awaitable[T]]) -> T | None:
        """Ask something of a place; None when it, or the tenant in it, is not there."""
        try:
            return await self._server.ask(operation, call)
        except AbsentError:
            return None


def _keys(tenant: str, ids: Sequence[str]) -> list[UUID]:
    return [UUID(key_of(tenant, each)) for each in ids]
