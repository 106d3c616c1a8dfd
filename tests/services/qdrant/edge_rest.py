"""Qdrant's engine (qdrant-edge: the same segments, filters and indexes, as a library) behind the part of its REST API that we use.

There is no Qdrant server to be had from package registries. Requests are checked against the models of the official client, which
are made from Qdrant's OpenAPI description, and refused where they do not fit. Run as `edge_rest.py PORT FOLDER KEY`.
"""

import asyncio
import shutil
import sys
from pathlib import Path
from typing import Any

import qdrant_edge as edge
import uvicorn
from pydantic import TypeAdapter, ValidationError
from qdrant_client.http import models
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

DISTANCES = {"Cosine": edge.Distance.Cosine, "Dot": edge.Distance.Dot}
INDEXES = {"keyword": edge.PayloadSchemaType.Keyword, "float": edge.PayloadSchemaType.Float}


class Collections:
    """The collections of one server, each a shard of the engine."""

    def __init__(self, folder: Path, key: str) -> None:
        self._folder = folder
        self._key = key
        self._shards: dict[str, edge.EdgeShard] = {}

    def _lent(self) -> str:
        """The key that is let in as long as its file is there."""
        try:
            return self._folder.with_name("lent").read_text()
        except FileNotFoundError:
            return self._key

    async def answer(self, request: Request) -> Response:
        if request.headers.get("api-key", "") not in (self._key, await asyncio.to_thread(self._lent)):
            return _error(401, "Invalid API key or JWT")
        name = request.path_params.get("name", "")
        verb = f"{request.method} {request.scope['route'].path.removeprefix('/collections').removeprefix('/{name}')}"
        verb = verb if name or verb == "GET " else "GET "
        if name and verb not in ("PUT ", "GET /exists") and name not in self._shards:
            return _error(404, f"Not found: Collection `{name}` doesn't exist!")
        body = await request.body()
        try:
            result = VERBS[verb if name else "GET "](self, name, body)
        except ValidationError as error:
            return _error(422, f"the request does not fit Qdrant's description: {error}")
        except Exception as error:  # noqa: BLE001 - whatever the engine raises is an answer
            return _error(400, f"{type(error).__name__}: {error}")
        return JSONResponse({"result": result, "status": "ok", "time": 0.0})

    def names(self, _name: str, _body: bytes) -> Any:
        return {"collections": [{"name": each} for each in self._shards]}

    def exists(self, name: str, _body: bytes) -> Any:
        return {"exists": name in self._shards}

    def create(self, name: str, body: bytes) -> Any:
        asked = models.CreateCollection.model_validate_json(body)
        if name in self._shards:
            raise ValueError(f"Wrong input: Collection `{name}` already exists!")
        folder = self._folder / name
        folder.mkdir()
        given = asked.hnsw_config or models.HnswConfigDiff()
        hnsw = edge.HnswIndexConfig(
            m=16 if given.m is None else given.m,
            ef_construct=100,
            full_scan_threshold=10_000,
            payload_m=given.payload_m,
        )
        vectors = edge.EdgeVectorParams(
            size=asked.vectors.size, distance=DISTANCES[asked.vectors.distance.value], hnsw_config=hnsw
        )
        self._shards[name] = edge.EdgeShard.create(str(folder), edge.EdgeConfig(vectors=vectors))
        return True

    def delete(self, name: str, _body: bytes) -> Any:
        self._shards.pop(name).close()
        shutil.rmtree(self._folder / name)
        return True

    def index(self, name: str, body: bytes) -> Any:
        asked = models.CreateFieldIndex.model_validate_json(body)
        kind = (
            asked.field_schema if isinstance(asked.field_schema, models.PayloadSchemaType) else asked.field_schema.type
        )
        operation = edge.UpdateOperation.create_field_index(asked.field_name, INDEXES[kind.value])
        self._shards[name].update(operation)
        return _updated()

    def upsert(self, name: str, body: bytes) -> Any:
        asked = models.PointsList.model_validate_json(body)
        points = [edge.Point(each.id, each.vector, each.payload) for each in asked.points]
        self._shards[name].update(edge.UpdateOperation.upsert_points(points))
        return _updated()

    def remove(self, name: str, body: bytes) -> Any:
        asked = models.PointIdsList.model_validate_json(body)
        self._shards[name].update(edge.UpdateOperation.delete_points(list(asked.points)))
        return _updated()

    def retrieve(self, name: str, body: bytes) -> Any:
        asked = models.PointRequest.model_validate_json(body)
        found = self._shards[name].retrieve(list(asked.ids), asked.with_payload, asked.with_vector)
        return [_record(each) for each in found]

    def scroll(self, name: str, body: bytes) -> Any:
        asked = models.ScrollRequest.model_validate_json(body)
        request = edge.ScrollRequest(
            offset=asked.offset,
            limit=asked.limit,
            filter=_filter(asked.filter),
            with_payload=asked.with_payload,
            with_vector=asked.with_vector,
        )
        points, following = self._shards[name].scroll(request)
        return {"points": [_record(each) for each in points], "next_page_offset": _text(following)}

    def query(self, name: str, body: bytes) -> Any:
        asked = TypeAdapter(models.QueryRequestBatch).validate_json(body)
        requests = [
            edge.QueryRequest(
                limit=each.limit,
                query=edge.Query.Nearest(list(each.query.nearest if hasattr(each.query, "nearest") else each.query)),
                filter=_filter(each.filter),
                with_payload=each.with_payload,
                params=edge.SearchParams(exact=bool(each.params and each.params.exact)),
            )
            for each in asked.searches
        ]
        found = self._shards[name].query_batch(edge.QueryBatchRequest(requests))
        return [
            {"points": [{**_record(each), "score": each.score, "version": each.version} for each in some]}
            for some in found
        ]

    def facet(self, name: str, body: bytes) -> Any:
        asked = models.FacetRequest.model_validate_json(body)
        request = edge.FacetRequest(asked.key, limit=asked.limit, exact=bool(asked.exact), filter=_filter(asked.filter))
        return {"hits": [{"value": each.value, "count": each.count} for each in self._shards[name].facet(request).hits]}


VERBS = {
    "GET ": Collections.names,
    "GET /exists": Collections.exists,
    "PUT ": Collections.create,
    "DELETE ": Collections.delete,
    "PUT /index": Collections.index,
    "PUT /points": Collections.upsert,
    "POST /points/delete": Collections.remove,
    "POST /points": Collections.retrieve,
    "POST /points/scroll": Collections.scroll,
    "POST /points/query/batch": Collections.query,
    "POST /facet": Collections.facet,
}


def _filter(given: Any) -> Any:
    if given is None:
        return None
    return edge.Filter(
        must=[_condition(each) for each in given.must or ()] or None,
        should=[_condition(each) for each in given.should or ()] or None,
        must_not=[_condition(each) for each in given.must_not or ()] or None,
    )


def _condition(given: Any) -> Any:
    if isinstance(given, models.Filter):
        return _filter(given)
    if given.range is not None:
        bounds = given.range
        return edge.FieldCondition(
            given.key, range=edge.RangeFloat(gte=bounds.gte, gt=bounds.gt, lte=bounds.lte, lt=bounds.lt)
        )
    if isinstance(given.match, models.MatchAny):
        return edge.FieldCondition(given.key, match=edge.MatchAny(list(given.match.any)))
    return edge.FieldCondition(given.key, match=edge.MatchValue(given.match.value))


def _record(point: Any) -> dict[str, Any]:
    return {"id": _text(point.id), "payload": point.payload, "vector": point.vector}


def _text(id: Any) -> Any:
    return id if id is None or isinstance(id, int) else str(id)


def _updated() -> dict[str, Any]:
    return {"operation_id": 0, "status": "completed"}


def _error(status: int, reason: str) -> Response:
    return JSONResponse({"status": {"error": reason}, "time": 0.0}, status)


def main(port: str, folder: str, key: str) -> None:
    collections = Collections(Path(folder), key)
    paths = dict.fromkeys(each.partition(" ")[2] for each in VERBS)
    routes = [Route("/collections", collections.answer, methods=["GET"])]
    routes += [
        Route("/collections/{name}" + path, collections.answer, methods=["GET", "PUT", "POST", "DELETE"])
        for path in paths
    ]
    config = uvicorn.Config(Starlette(routes=routes), host="127.0.0.1", port=int(port), log_level="warning")
    asyncio.run(uvicorn.Server(config).serve())


if __name__ == "__main__":
    main(*sys.argv[1:])
