"""Qdrant as a store of places: one of its collections for each.

- The tenant is part of each point's id and of each request's filter, so nothing reaches another's points (C10).
- Writes return when they are applied (`wait`), by the permanent leader (`ordering` strong) where there are replicas.
- Qdrant keeps a graph for each tenant (`payload_m`), and finds few matches of a filter without one.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from penstock.adapters.qdrant.points import (
    FACTS,
    NUMBERS,
    TENANT,
    Conditions,
    compared,
    passage_of,
    payload_of,
    point_id,
)
from penstock.adapters.qdrant.server import AbsentError, Server
from penstock.core.knowledge.passages import Hit, Passage
from penstock.core.knowledge.places import Place
from penstock.core.knowledge.placing import clamped
from penstock.core.knowledge.plain_filters import Asked
from penstock.errors import LimitReached, PenstockError

TENANTS_MAX = 100_000
INDEXED_NUMBERS_MAX = 32  # of one place: whoever can search could have indexes made without end
T = TypeVar("T")
Vector = NDArray[np.float32] | None


class QdrantPlaces:
    """A store of places for `PlacedPassages`."""

    def __init__(self, server: Server, *, replicas: int, exact: bool) -> None:
        self._server = server
        self._client = server.client
        self._models = server.models
        self._conditions = Conditions(server.models)
        self._replicas = replicas
        self._exact = exact
        self._ordering = server.models.WriteOrdering.STRONG if replicas > 1 else None
        self._consistency = server.models.ReadConsistencyType.MAJORITY if replicas > 1 else None
        self._indexed: dict[str, set[str]] = {}

    async def names(self) -> Sequence[str]:
        found = await self._server.ask("listing collections", self._client.get_collections)
        return [each.name for each in found.collections]

    async def make(self, at: Place) -> None:
        models = self._models
        if await self._server.ask("looking for a collection", lambda: self._client.collection_exists(at.name)):
            return
        vectors = models.VectorParams(
            size=max(1, at.dims), distance=models.Distance.COSINE if at.dims else models.Distance.DOT
        )
        await self._server.ask(
            "making a collection",
            lambda: self._client.create_collection(
                at.name,
                vectors_config=vectors,
                hnsw_config=models.HnswConfigDiff(m=0, payload_m=16),
                replication_factor=self._replicas,
                write_consistency_factor=self._replicas // 2 + 1,
            ),
        )
        tenant = models.KeywordIndexParams(type=models.KeywordIndexType.KEYWORD, is_tenant=True)
        await self._index(at, TENANT, tenant)
        await self._index(at, FACTS, models.PayloadSchemaType.KEYWORD)

    async def drop(self, at: Place) -> None:
        await self._here("dropping a collection", lambda: self._client.delete_collection(at.name))
        self._indexed.pop(at.name, None)

    def refuse(self, passage: Passage) -> PenstockError | None:  # noqa: ARG002 - it takes all that an event can hold
        return None

    async def put(self, at: Place, tenant: str, rows: Sequence[tuple[Passage, Vector]]) -> bool:
        points = [
            self._models.PointStruct(
                id=point_id(tenant, passage.id),
                vector=[0.0] if vector is None else vector.tolist(),
                payload=payload_of(tenant, passage),
            )
            for passage, vector in rows
        ]
        done = await self._here(
            "writing passages", lambda: self._client.upsert(at.name, points, wait=True, ordering=self._ordering)
        )
        return done is not None

    async def remove(self, at: Place, tenant: str, ids: Sequence[str]) -> bool:
        selector = self._models.PointIdsList(points=[point_id(tenant, each) for each in ids])
        done = await self._here(
            "removing passages", lambda: self._client.delete(at.name, selector, wait=True, ordering=self._ordering)
        )
        return done is not None

    async def search(
        self, at: Place, tenant: str, queries: NDArray[np.float32], count: int, asked: Asked
    ) -> Sequence[Sequence[tuple[Hit, Mapping[str, str]]]] | None:
        await self._index_numbers(at, asked)
        condition = self._conditions.of(tenant, asked.plain)
        requests = [
            self._models.QueryRequest(
                query=query.tolist(),
                filter=condition,
                limit=count,
                params=self._models.SearchParams(exact=self._exact),
                with_payload=["id", "metadata"] if asked.loose else ["id"],
            )
            for query in queries
        ]
        found = await self._here(
            "searching passages",
            lambda: self._client.query_batch_points(at.name, requests, consistency=self._consistency),
        )
        if found is None:
            return None
        return [
            [
                (Hit(point.payload["id"], clamped(point.score)), point.payload.get("metadata") or {})
                for point in each.points
            ]
            for each in found
        ]

    async def read(self, at: Place, tenant: str, ids: Sequence[str]) -> Sequence[Passage] | None:
        found = await self._points(at, tenant, ids, payload=["id", "text", "metadata"], vectors=False)
        return None if found is None else [passage_of(each.payload) for each in found]

    async def vectors(self, at: Place, tenant: str, ids: Sequence[str]) -> Mapping[str, Sequence[float]] | None:
        found = await self._points(at, tenant, ids, payload=["id"], vectors=True)
        return None if found is None else {each.payload["id"]: each.vector for each in found}

    async def page(self, at: Place, tenant: str, after: str, limit: int) -> tuple[Mapping[str, str], str] | None:
        found = await self._here(
            "reading digests",
            lambda: self._client.scroll(
                at.name,
                scroll_filter=self._conditions.of(tenant, None),
                limit=limit,
                offset=after or None,
                with_payload=["id", "digest"],
                consistency=self._consistency,
            ),
        )
        if found is None:
            return None
        points, following = found
        return {each.payload["id"]: each.payload["digest"] for each in points}, str(following or "")

    async def tenants(self, at: Place) -> Sequence[str] | None:
        found = await self._here(
            "reading tenants", lambda: self._client.facet(at.name, TENANT, limit=TENANTS_MAX, exact=True)
        )
        if found is None:
            return None
        if len(found.hits) == TENANTS_MAX:
            raise LimitReached(
                "tenants of a collection in Qdrant", TENANTS_MAX, TENANTS_MAX - 1, "use more collections"
            )
        return [str(each.value) for each in found.hits if each.count]

    async def _points(
        self, at: Place, tenant: str, ids: Sequence[str], *, payload: list[str], vectors: bool
    ) -> Sequence[Any] | None:
        keys = [point_id(tenant, each) for each in ids]
        return await self._here(
            "reading passages",
            lambda: self._client.retrieve(
                at.name, keys, with_payload=payload, with_vectors=vectors, consistency=self._consistency
            ),
        )

    async def _index_numbers(self, at: Place, asked: Asked) -> None:
        """Have Qdrant keep what a range asks for in order, from the first time that it is asked."""
        known = self._indexed.setdefault(at.name, set())
        for name in set(compared(asked.plain)) - known:
            if len(known) < INDEXED_NUMBERS_MAX:
                known.add(name)
                await self._index(at, f"{NUMBERS}.{name}", self._models.PayloadSchemaType.FLOAT)

    async def _index(self, at: Place, field: str, schema: Any) -> None:
        await self._here(
            "making an index", lambda: self._client.create_payload_index(at.name, field, field_schema=schema)
        )

    async def _here(self, operation: str, call: Callable[[], Awaitable[T]]) -> T | None:
        """Ask something of a place; None when it is not there."""
        try:
            return await self._server.ask(operation, call)
        except AbsentError:
            return None
