"""Milvus as a store of places: one of its collections for each, in which the tenant is the partition key.

- A request carries the hash of its tenant, which is part of each row's key too, so nothing reaches another's rows (C10).
- Reads ask for the consistency of the setting: with `strong`, what a write returned from is found.
- Milvus tells no distinct values: a row of no tenant's marks each tenant that has passages.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from penstock.adapters.milvus.expressions import (
    MARKERS,
    TEXT_BYTES_MAX,
    marker_of,
    of_tenant,
    passage_of,
    row_of,
    too_large,
)
from penstock.adapters.milvus.server import AbsentError, Server
from penstock.adapters.milvus.turns import Turns
from penstock.core.knowledge.passages import Hit, Passage
from penstock.core.knowledge.places import Place, key_of
from penstock.core.knowledge.placing import clamped
from penstock.core.knowledge.plain_filters import Asked
from penstock.errors import LimitReached, PenstockError

ROWS_MAX = 16_384  # of one answer
PAGE = 4_096  # rows that a page should have: keys are hashes, so pages of keys that begin alike are of one size
METRIC = "COSINE"
T = TypeVar("T")
Vector = NDArray[np.float32] | None


class MilvusPlaces:
    """A store of places for `PlacedPassages`."""

    def __init__(self, server: Server, *, consistency: str, index: str) -> None:
        self._server = server
        self._client = server.client
        self._consistency = consistency
        self._index = index
        self._turns = Turns() if server.is_lite else None
        self._marked: dict[str, set[str]] = {}  # by place, the tenants that have their mark; those that are loaded

    async def names(self) -> Sequence[str]:
        return await self._server.ask("listing collections", self._client.list_collections)

    async def make(self, at: Place) -> None:
        self._marked.pop(at.name, None)
        if await self._server.ask("looking for a collection", self._client.has_collection, at.name):
            return
        library = self._server.library
        kinds, client = library.DataType, library.MilvusClient
        schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
        schema.add_field("key", kinds.VARCHAR, is_primary=True, max_length=64)
        schema.add_field("tenant", kinds.VARCHAR, max_length=64, is_partition_key=True)
        for name in ("owner", "id", "text"):
            schema.add_field(name, kinds.VARCHAR, max_length=TEXT_BYTES_MAX)
        schema.add_field("digest", kinds.VARCHAR, max_length=64)
        schema.add_field("facts", kinds.ARRAY, element_type=kinds.VARCHAR, max_capacity=4096, max_length=64)
        schema.add_field("metadata", kinds.JSON)
        schema.add_field("numbers", kinds.JSON)
        schema.add_field("vector", kinds.FLOAT_VECTOR, dim=max(2, at.dims))
        indexes = client.prepare_index_params()
        indexes.add_index("vector", index_type=self._index_type(), metric_type=METRIC)
        await self._server.ask(
            "making a collection",
            self._client.create_collection,
            at.name,
            schema=schema,
            index_params=indexes,
            consistency_level=self._consistency,
        )

    async def drop(self, at: Place) -> None:
        await self._here("dropping a collection", at, self._client.drop_collection)
        self._marked.pop(at.name, None)

    def refuse(self, passage: Passage) -> PenstockError | None:
        return too_large(passage)

    async def put(self, at: Place, tenant: str, rows: Sequence[tuple[Passage, Vector]]) -> bool:
        written = [row_of(tenant, passage, vector, at.dims) for passage, vector in rows]
        if tenant not in self._marked.get(at.name, ()):
            written.append(marker_of(tenant, at.dims))
        async with self._alone():
            written_to = await self._here("writing passages", at, self._client.upsert, written)
        if written_to is None:
            return False
        self._marked.setdefault(at.name, set()).add(tenant)
        return True

    async def remove(self, at: Place, tenant: str, ids: Sequence[str]) -> bool:
        keys = [key_of(tenant, each) for each in ids]
        async with self._alone():
            return await self._here("removing passages", at, self._client.delete, ids=keys) is not None

    async def search(
        self, at: Place, tenant: str, queries: NDArray[np.float32], count: int, asked: Asked
    ) -> Sequence[Sequence[tuple[Hit, Mapping[str, str]]]] | None:
        async with self._beside():
            found = await self._here(
                "searching passages",
                at,
                self._client.search,
                data=queries.tolist(),
                anns_field="vector",
                filter=of_tenant(tenant, asked.plain),
                limit=min(count, ROWS_MAX),
                output_fields=["id", "metadata"] if asked.loose else ["id"],
                search_params={"metric_type": METRIC},
                consistency_level=self._consistency,
            )
        if found is None:
            return None
        return [
            [
                (Hit(row["entity"]["id"], clamped(row["distance"])), row["entity"].get("metadata") or {})
                for row in sorted(each, key=lambda row: -row["distance"])
            ]
            for each in found
        ]

    async def read(self, at: Place, tenant: str, ids: Sequence[str]) -> Sequence[Passage] | None:
        rows = await self._rows(at, tenant, ids, ["id", "text", "metadata"])
        return None if rows is None else [passage_of(each) for each in rows]

    async def vectors(self, at: Place, tenant: str, ids: Sequence[str]) -> Mapping[str, Sequence[float]] | None:
        rows = await self._rows(at, tenant, ids, ["id", "vector"])
        return None if rows is None else {each["id"]: each["vector"] for each in rows}

    async def page(self, at: Place, tenant: str, after: str, limit: int) -> tuple[Mapping[str, str], str] | None:
        """Return a page; `after` says how many pages there are, and which one it is."""
        mine = of_tenant(tenant)
        if limit == 1:
            rows = await self._query(at, mine, ["id", "digest"], 1)
            return None if rows is None else ({each["id"]: each["digest"] for each in rows}, "")
        if not after:
            counted = await self._query(at, mine, ["count(*)"], None)
            if counted is None:
                return None
            digits = 0
            while int(counted[0]["count(*)"]) > PAGE * 16**digits:
                digits += 1
        else:
            digits = int(after.partition("/")[0])
        number = int(after.partition("/")[2] or 0)
        begins = f' and key like "{number:0{digits}x}%"' if digits else ""
        rows = await self._query(at, f"{mine}{begins}", ["id", "digest"], ROWS_MAX)
        if rows is None:
            return None
        following = "" if number + 1 == 16**digits else f"{digits}/{number + 1}"
        return {each["id"]: each["digest"] for each in rows}, following

    async def tenants(self, at: Place) -> Sequence[str] | None:
        marked = await self._query(at, f'tenant == "{MARKERS}"', ["owner"], ROWS_MAX)
        if marked is None:
            return None
        if len(marked) == ROWS_MAX:
            raise LimitReached("tenants of a collection in Milvus", ROWS_MAX, ROWS_MAX - 1, "use more collections")
        owners = [str(each["owner"]) for each in marked]
        return [each for each in owners if await self._query(at, of_tenant(each), ["id"], 1)]

    async def _rows(self, at: Place, tenant: str, ids: Sequence[str], fields: list[str]) -> Sequence[Any] | None:
        keys = [key_of(tenant, each) for each in ids]
        async with self._beside():
            return await self._here("reading passages", at, self._client.get, ids=keys, output_fields=fields)

    async def _query(self, at: Place, filter: str, fields: list[str], limit: int | None) -> Sequence[Any] | None:
        bounded: dict[str, Any] = {} if limit is None else {"limit": limit}
        async with self._beside():
            return await self._here(
                "reading passages",
                at,
                self._client.query,
                filter=filter,
                output_fields=fields,
                consistency_level=self._consistency,
                **bounded,
            )

    def _beside(self) -> AbstractAsyncContextManager[None]:
        return nullcontext() if self._turns is None else self._turns.beside()

    def _alone(self) -> AbstractAsyncContextManager[None]:
        return nullcontext() if self._turns is None else self._turns.alone()

    async def _here(
        self, operation: str, at: Place, call: Callable[..., T], *arguments: Any, **options: Any
    ) -> T | None:
        """Ask something of a place, which is loaded first; None when it is not there."""
        try:
            if at.name not in self._marked:
                await self._server.ask("loading a collection", self._client.load_collection, at.name)
                self._marked[at.name] = set()
            return await self._server.ask(operation, call, at.name, *arguments, **options)
        except AbsentError:
            self._marked.pop(at.name, None)
            return None

    def _index_type(self) -> str:
        """Take the index of the setting; Milvus Lite's graph forgets what a filter lets through, so it scans."""
        return self._index or ("FLAT" if self._server.is_lite else "AUTOINDEX")
