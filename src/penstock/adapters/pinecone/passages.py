"""Passages and their vectors in an index of Pinecone.

- Pinecone shows a write some time after it was acknowledged. `apply` returns when a query says that it has seen it, by the log
  sequence numbers of the answers (V2); within `SEEN_S_MAX`, else `Unavailable`.
- Its searches are approximate: V4 and V5 hold as far as it finds what there is. See docs/decisions/0042.
- Words are found elsewhere: this is a `VectorIndex` with `Spaces`.
"""

import asyncio
from collections.abc import AsyncGenerator, Coroutine, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from penstock.adapters.pinecone.address import Address, address_of, invalid
from penstock.adapters.pinecone.calls import Answer, Calls, open_calls
from penstock.adapters.pinecone.filters import condition_of
from penstock.adapters.pinecone.records import (
    DIGEST,
    DIMS,
    ID,
    fields_of,
    filled,
    namespace_of,
    passage_id,
    passage_of,
    prefix_of,
    record_id,
    record_of,
    space_of,
)
from penstock.core.knowledge.filters import Filter, matches
from penstock.core.knowledge.passages import Hit, IndexWrite, Passage, Space, Upsert
from penstock.core.knowledge.picking import Metadata, Picking
from penstock.core.knowledge.plain_filters import Asked, plain_filter
from penstock.core.knowledge.rows import checked, last_writes, units
from penstock.errors import LimitReached, NotLetIn, Unavailable

HITS_MAX = 10_000
RECORDS_MAX = 1_000  # in an upsert, a delete
UPSERT_BYTES_MAX = 1_900_000  # of 2 MB
FETCHED_MAX = 100  # ids lie in the address
LISTED = 100
AT_ONCE = 8
SEEN_S_MAX = 30.0
LOOK_S, LOOK_S_MAX = 0.02, 1.0
METRICS = ("cosine", "dotproduct")
T = TypeVar("T")


@asynccontextmanager
async def open_pinecone(
    url: str, environment: Mapping[str, str], *, seen_s_max: float = SEEN_S_MAX
) -> AsyncGenerator["PineconePassages"]:
    """Open an index that is there. Raises `Invalid`, `Missing` or `Unavailable` with the setting that is to blame."""
    address = address_of(url, environment)
    async with open_calls(address.key) as calls:
        host, dims = await _described(calls, address)
        yield PineconePassages(calls, host, dims, seen_s_max=seen_s_max)


class PineconePassages:
    """A `VectorIndex`, with `Spaces`. `dims_max`: longer vectors are refused."""

    def __init__(self, calls: Calls, host: str, dims: int, *, seen_s_max: float = SEEN_S_MAX) -> None:
        self._seen_s_max = seen_s_max
        self._calls = calls
        self._host = host
        self.dims_max = dims

    async def apply(self, writes: Sequence[IndexWrite]) -> None:
        """Make the writes, space by space; returns when searches see them."""
        made = [
            (namespace_of(space), self._records(of_space), [record_id(key) for key in _gone(of_space)])
            for space, of_space in last_writes(writes).items()
        ]
        for namespace, records, gone in made:
            lsns = await _limited(
                [
                    *(self._post("vectors/upsert", body) for body in _upserts(namespace, records)),
                    *(self._delete(namespace, part) for part in _parts(gone, RECORDS_MAX)),
                ]
            )
            await self._seen(namespace, lsns)

    async def nearest(
        self, space: Space, queries: NDArray[np.float32], *, limit: int, filter: Filter | None = None
    ) -> Sequence[Sequence[Hit]]:
        """Return the nearest passages. Raises `Refused` for queries too long, `LimitReached` for a limit too high."""
        if limit > HITS_MAX:
            raise LimitReached("limit", limit, HITS_MAX)
        asked = plain_filter(filter)
        if limit < 1 or asked.nothing:
            return [[] for _ in queries]
        rest = filter if asked.loose else None
        return await _limited([self._nearest(space, query, limit, asked, rest) for query in units(queries)])

    async def cosines(
        self, space: Space, queries: NDArray[np.float32], ids: Sequence[Sequence[str]]
    ) -> Sequence[Mapping[str, float]]:
        return await _limited(
            [self._cosines(space, query, list(wanted)) for query, wanted in zip(units(queries), ids, strict=True)]
        )

    async def passages(self, space: Space, ids: Sequence[str]) -> Mapping[str, Passage]:
        found = [
            passage_of(each) for each in await self._fetched(namespace_of(space), [record_id(each) for each in ids])
        ]
        return {each.id: each for each in found}

    async def digests(self, space: Space) -> Mapping[str, str]:
        namespace, found = namespace_of(space), dict[str, str]()
        async for ids in self._listed(namespace, prefix=""):
            for each in await self._fetched(namespace, ids):
                found[str(each[ID])] = str(each[DIGEST])
        return found

    async def spaces(self, collection: str) -> Sequence[Space]:
        named: list[Space] = []
        token = ""
        while True:
            asked = {"prefix": prefix_of(collection), "limit": LISTED} | ({"paginationToken": token} if token else {})
            answer = await self._calls.get(f"{self._host}/namespaces", asked)
            body = {} if answer is None else answer.body
            found = [space_of(str(each.get("name", ""))) for each in body.get("namespaces", [])]
            named += [each for each in found if each is not None and each.collection == collection]
            token = _next(body)
            if not token:
                break
        # Counts of records lag behind: whether there are some is asked of the list of their ids.
        filled_ = await _limited([self._has_some(namespace_of(each)) for each in named])
        return [space for space, has_some in zip(named, filled_, strict=True) if has_some]

    async def clear(self, space: Space, *, limit: int) -> int:
        namespace, gone = namespace_of(space), list[str]()
        async for ids in self._listed(namespace, prefix="", page=min(limit, LISTED)):
            gone += ids[: limit - len(gone)]
            if len(gone) == limit:
                break
        lsns = await _limited([self._delete(namespace, part) for part in _parts(gone, RECORDS_MAX)])
        await self._seen(namespace, lsns)
        return len(gone)

    def _records(self, of_space: Mapping[str, IndexWrite]) -> list[bytes]:
        puts = [each for each in of_space.values() if isinstance(each, Upsert)]
        return [record_of(each.passage, checked(each.passage, each.vector), self.dims_max) for each in puts]

    async def _post(self, path: str, body: bytes) -> int | None:
        answer = await self._calls.post(f"{self._host}/{path}", body)
        return None if answer is None else answer.lsn

    async def _delete(self, namespace: str, ids: Sequence[str]) -> int | None:
        # A namespace that is not there has nothing to delete.
        return await self._post("vectors/delete", msgspec.json.encode({"ids": ids, "namespace": namespace}))

    async def _query(self, namespace: str, query: NDArray[np.float32], **options: Any) -> Answer:
        body = {"namespace": namespace, "vector": query.tolist(), "includeValues": False, **options}
        answer = await self._calls.post(f"{self._host}/query", msgspec.json.encode(body))
        return Answer({}) if answer is None else answer

    async def _nearest(
        self, space: Space, query: NDArray[np.float32], limit: int, asked: Asked, rest: Filter | None
    ) -> list[Hit]:
        if not query.any():
            return []
        namespace, vector = namespace_of(space), filled(query, self.dims_max)
        condition = _of_length(len(query), None if asked.plain is None else condition_of(asked.plain))
        picking = Picking(limit, None if rest is None else lambda metadata: matches(rest, metadata))

        while True:
            count = min(picking.count, HITS_MAX)
            answer = await self._query(
                namespace, vector, topK=count, filter=condition, includeMetadata=rest is not None
            )
            if picking.take(await self._found(namespace, answer)) or count == HITS_MAX:
                return picking.hits

    async def _found(self, namespace: str, answer: Answer) -> list[tuple[Hit, Metadata]]:
        matches = answer.body.get("matches", [])
        hashed = [str(each["id"]) for each in matches if passage_id(str(each["id"])) is None]
        names = {record_id(str(each[ID])): str(each[ID]) for each in await self._fetched(namespace, hashed)}
        found: list[tuple[Hit, Metadata]] = []
        for each in matches:
            name = passage_id(str(each["id"])) or names.get(str(each["id"]))
            if name is not None:
                found.append((Hit(name, _cosine(each)), fields_of(each.get("metadata") or {})))
        return found

    async def _cosines(self, space: Space, query: NDArray[np.float32], wanted: list[str]) -> dict[str, float]:
        if not query.any() or not wanted:
            return {}
        namespace, vector = namespace_of(space), filled(query, self.dims_max)
        scored: dict[str, float] = {}
        for part in _parts(wanted, RECORDS_MAX):
            condition = _of_length(len(query), {ID: {"$in": part}})
            answer = await self._query(namespace, vector, topK=len(part), filter=condition, includeMetadata=False)
            scored |= {hit.id: hit.score for hit, _ in await self._found(namespace, answer)}
        return scored

    async def _fetched(self, namespace: str, ids: Sequence[str]) -> list[dict[str, Any]]:
        """Return the metadata of the records that are there."""
        answers = await _limited([self._fetch(namespace, part) for part in _parts(ids, FETCHED_MAX)])
        return [each["metadata"] for answer in answers for each in answer.values() if each.get("metadata")]

    async def _fetch(self, namespace: str, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        answer = await self._calls.get(f"{self._host}/vectors/fetch", {"ids": list(ids), "namespace": namespace})
        return {} if answer is None else answer.body.get("vectors", {})

    async def _listed(self, namespace: str, *, prefix: str, page: int = LISTED) -> AsyncGenerator[list[str]]:
        token = ""
        while True:
            asked: dict[str, str | int | list[str]] = {"namespace": namespace, "limit": page}
            asked |= {name: value for name, value in (("prefix", prefix), ("paginationToken", token)) if value}
            answer = await self._calls.get(f"{self._host}/vectors/list", asked)
            body = {} if answer is None else answer.body
            if ids := [str(each["id"]) for each in body.get("vectors", [])]:
                yield ids
            token = _next(body)
            if not token:
                return

    async def _has_some(self, namespace: str) -> bool:
        async for _ in self._listed(namespace, prefix="", page=1):
            return True
        return False

    async def _seen(self, namespace: str, lsns: Sequence[int | None]) -> None:
        """Wait until queries see a write. One that gives no number (a local Pinecone) shows its writes at once."""
        numbers = [each for each in lsns if each is not None]
        if not numbers:
            return
        wanted, last_s, wait_s = max(numbers), monotonic() + self._seen_s_max, LOOK_S
        probe = np.eye(1, self.dims_max, dtype=np.float32)[0]
        while True:
            answer = await self._query(namespace, probe, topK=1, includeMetadata=False)
            if answer.lsn is None or answer.lsn >= wanted:
                return
            if monotonic() >= last_s:
                reason = f"the write was acknowledged, and is not searched after {self._seen_s_max:g} s"
                raise Unavailable("pinecone", "write", reason)
            await asyncio.sleep(wait_s)
            wait_s = min(wait_s * 2, LOOK_S_MAX)


async def _described(calls: Calls, address: Address) -> tuple[str, int]:
    """Return the host of an index and the length of its vectors; `Invalid` for one that cannot be used."""
    try:
        answer = await calls.get(f"{address.control}/indexes/{address.name}")
    except NotLetIn as error:
        hint = f"set {error.setting} to one of its project"
        raise invalid(f"Pinecone refused the key ({error.reason})", hint) from error
    except Unavailable as error:
        raise Unavailable("pinecone, which the setting `vectors` names,", error.operation, error.reason) from error
    if answer is None:
        raise invalid(
            f"Pinecone has no index {address.name!r}",
            "make it: metric cosine, dense, as many dimensions as the embedder gives",
        )
    body = answer.body
    host, dims = body.get("host"), body.get("dimension")
    if not isinstance(host, str) or "name" not in body:
        raise invalid(f"what answers at {address.control} is no Pinecone")
    if body.get("vector_type", "dense") != "dense" or not isinstance(dims, int):
        raise invalid(f"the index {address.name!r} is none of dense vectors", "name one with the metric cosine")
    if body.get("metric", "cosine") not in METRICS:
        raise invalid(f"the index {address.name!r} has the metric {body['metric']}", "name one with the metric cosine")
    if "://" not in host:
        host = f"{address.control.partition('://')[0]}://{host}"
    return host.rstrip("/"), dims


def _of_length(dims: int, condition: dict[str, Any] | None) -> dict[str, Any]:
    mine = {DIMS: {"$eq": dims}}
    return mine if condition is None else {"$and": [mine, condition]}


def _gone(of_space: Mapping[str, IndexWrite]) -> list[str]:
    return [key for key, each in of_space.items() if not isinstance(each, Upsert)]


def _upserts(namespace: str, records: Iterable[bytes]) -> list[bytes]:
    """Return the bodies of upserts, each within the limits."""
    bodies: list[list[bytes]] = []
    size = 0
    for each in records:
        if not bodies or len(bodies[-1]) == RECORDS_MAX or size + len(each) > UPSERT_BYTES_MAX:
            bodies.append([])
            size = 0
        bodies[-1].append(each)
        size += len(each) + 1
    name = msgspec.json.encode(namespace)
    return [b'{"namespace":' + name + b',"vectors":[' + b",".join(body) + b"]}" for body in bodies]


def _parts(items: Sequence[str], size: int) -> list[Sequence[str]]:
    return [items[start : start + size] for start in range(0, len(items), size)]


async def _limited(work: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """Wait for several answers, some at once; the first error ends the others."""
    if len(work) == 1:
        return [await work[0]]
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(each: Coroutine[Any, Any, T]) -> T:
        async with gate:
            return await each

    try:
        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(one(each)) for each in work]
    except ExceptionGroup as errors:
        for each in work:
            each.close()  # those that did not begin
        raise errors.exceptions[0] from errors
    return [each.result() for each in asked]


def _next(body: Mapping[str, Any]) -> str:
    following: dict[str, Any] = body.get("pagination") or {}
    return str(following.get("next") or "")


def _cosine(match: Mapping[str, Any]) -> float:
    return min(1.0, max(-1.0, float(match.get("score", 0.0))))
