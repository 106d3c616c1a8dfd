"""The other engines behind one set of functions: built from vectors, opened, searched, written to.

Libraries keep no metadata, so that they have no filters of their own, and write nothing by themselves: what they hold is saved as a
whole. Builds may use all cores; a search has one thread.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from vector_measures import DIMS, FIRST_TS, Data

BATCH = 1_000
LARGE_BATCH = 20_000
CONNECTIONS = 16
EFFORT_OF_BUILDING = 128
FIELD = "v"


class Engine:
    """What an engine can do; `has_filters`: it keeps metadata; `is_durable`: what it acknowledged outlives its process.

    `is_safe`: it may be searched while another thread writes. `changes`: it can replace and delete.
    """

    has_filters = True
    is_durable = True
    is_safe = True
    changes = True

    def __init__(self, path: Path) -> None:
        self.path = path

    def build(self, data: Data) -> None:
        raise NotImplementedError

    def open(self) -> None:
        raise NotImplementedError

    def effort(self, value: int) -> None:
        raise NotImplementedError

    def search(self, query: Any, tenant: int | None, window: tuple[int, int] | None) -> list[int]:
        raise NotImplementedError

    def upsert(self, number: int, vector: Any) -> None:
        raise NotImplementedError

    def delete(self, number: int) -> None:
        raise NotImplementedError

    def close(self) -> None:
        """Libraries have nothing to close."""


class Usearch(Engine):
    has_filters = is_durable = False

    def _made(self) -> Any:
        from usearch.index import Index

        return Index(ndim=DIMS, metric="ip", dtype="f16", connectivity=CONNECTIONS, expansion_add=EFFORT_OF_BUILDING)

    def build(self, data: Data) -> None:
        index = self._made()
        for piece in pieces(data, LARGE_BATCH):
            index.add(np.arange(piece.start, piece.stop), data.vectors[piece])
        index.save(str(self.path / "index"))

    def open(self) -> None:
        self._index = self._made()
        self._index.load(str(self.path / "index"))

    def effort(self, value: int) -> None:
        self._index.expansion_search = value

    def search(self, query, tenant, window):
        return self._index.search(query, 10, threads=1).keys.tolist()

    def upsert(self, number, vector) -> None:
        if number in self._index:
            self._index.remove(number)
        self._index.add(number, vector, threads=1)

    def delete(self, number) -> None:
        self._index.remove(number)


class Faiss(Engine):
    has_filters = is_durable = is_safe = False
    kind = "IVF{lists},SQ8"

    def build(self, data: Data) -> None:
        import faiss

        kind = self.kind.format(lists=max(16, int(data.size**0.5)))
        index = faiss.index_factory(DIMS, kind, faiss.METRIC_INNER_PRODUCT)
        index.train(np.ascontiguousarray(data.vectors[:: max(1, data.size // 50_000)]))
        for piece in pieces(data, LARGE_BATCH):
            index.add(np.ascontiguousarray(data.vectors[piece]))
        faiss.write_index(index, str(self.path / "index"))

    def open(self) -> None:
        import faiss

        faiss.omp_set_num_threads(1)
        self._index = faiss.read_index(str(self.path / "index"))

    def effort(self, value: int) -> None:
        self._index.nprobe = value

    def search(self, query, tenant, window):
        return self._index.search(query[None], 10)[1][0].tolist()

    def upsert(self, number, vector) -> None:
        self.delete(number)
        self._index.add_with_ids(vector[None], np.array([number]))

    def delete(self, number) -> None:
        self._index.remove_ids(np.array([number]))


class FaissGraph(Faiss):
    kind = f"HNSW{CONNECTIONS}_SQ8"
    changes = False

    def effort(self, value: int) -> None:
        self._index.hnsw.efSearch = value

    def upsert(self, number, vector) -> None:
        self._index.add(vector[None])  # it numbers them itself, one after the other


class Zvec(Engine):
    def _module(self) -> Any:
        import zvec

        zvec.init(query_threads=16)  # with fewer, searches beside writes have hung
        return zvec

    def build(self, data: Data) -> None:
        z = self._module()
        by_value = z.InvertIndexParam()
        in_order = z.InvertIndexParam(enable_range_optimization=True)
        fields = [
            z.FieldSchema("tenant", z.DataType.STRING, index_param=by_value),
            z.FieldSchema("ts", z.DataType.INT64, index_param=in_order),
        ]
        graph = z.HnswIndexParam(metric_type=z.MetricType.IP, quantize_type=z.QuantizeType.INT8)
        vectors = z.VectorSchema(FIELD, z.DataType.VECTOR_FP32, DIMS, index_param=graph)
        self._zvec = z
        self._index = z.create_and_open(
            str(self.path / "index"), z.CollectionSchema("c", fields=fields, vectors=[vectors])
        )
        for piece in pieces(data, BATCH):
            self._index.upsert([self._doc(*each) for each in rows(data, piece)])
        self._index.optimize()
        self.close()

    def open(self) -> None:
        self._zvec = self._module()
        self._index = self._zvec.open(str(self.path / "index"))
        self._ef = 64

    def effort(self, value: int) -> None:
        self._ef = value

    def search(self, query, tenant, window):
        wanted = self._zvec.VectorQuery(FIELD, vector=query.tolist(), param=self._zvec.HnswQueryParam(ef=self._ef))
        parts = [f"tenant = 't{tenant}'"] if tenant is not None else []
        parts += [f"ts >= {window[0]} and ts < {window[1]}"] if window is not None else []
        found = self._index.query(wanted, topk=10, filter=" and ".join(parts) or None, output_fields=[])
        return [int(each.id) for each in found]

    def upsert(self, number, vector) -> None:
        self._index.upsert([self._doc(number, vector, "t1", FIRST_TS)])

    def delete(self, number) -> None:
        self._index.delete(str(number))

    def close(self) -> None:
        self._index.flush()
        self._index.close()

    def _doc(self, number: int, vector, tenant: str, ts: int):
        return self._zvec.Doc(id=str(number), vectors={FIELD: vector.tolist()}, fields={"tenant": tenant, "ts": ts})


class QdrantEdge(Engine):
    def build(self, data: Data) -> None:
        import qdrant_edge as q

        place = self.path / "index"
        place.mkdir()
        vectors = {FIELD: q.EdgeVectorParams(size=DIMS, distance=q.Distance.Dot)}
        self._q, self._index = q, q.EdgeShard.create(str(place), q.EdgeConfig(vectors=vectors))
        self._index.update(q.UpdateOperation.create_field_index("tenant", q.PayloadSchemaType.Keyword))
        self._index.update(q.UpdateOperation.create_field_index("ts", q.PayloadSchemaType.Integer))
        for piece in pieces(data, BATCH):
            self._put([self._point(*each) for each in rows(data, piece)])
        self._index.optimize()
        self.close()

    def open(self) -> None:
        import qdrant_edge as q

        self._q, self._index = q, q.EdgeShard.load(str(self.path / "index"))
        self._ef = 64

    def effort(self, value: int) -> None:
        self._ef = value

    def search(self, query, tenant, window):
        q = self._q
        must = [q.FieldCondition(key="tenant", match=q.MatchValue(f"t{tenant}"))] if tenant is not None else []
        if window is not None:
            between = q.RangeFloat(gte=float(window[0]), lt=float(window[1]))
            must.append(q.FieldCondition(key="ts", range=between))
        request = q.QueryRequest(
            limit=10,
            with_payload=False,
            query=q.Query.Nearest(query.tolist(), using=FIELD),
            filter=q.Filter(must=must) if must else None,
            params=q.SearchParams(hnsw_ef=self._ef),
        )
        return [point.id for point in self._index.query(request)]

    def upsert(self, number, vector) -> None:
        self._put([self._point(number, vector, "t1", FIRST_TS)])

    def delete(self, number) -> None:
        self._index.update(self._q.UpdateOperation.delete_points([number]))

    def close(self) -> None:
        self._index.flush()
        self._index.close()

    def _put(self, points: list[Any]) -> None:
        self._index.update(self._q.UpdateOperation.upsert_points(points))

    def _point(self, number: int, vector, tenant: str, ts: int):
        return self._q.Point(id=number, vector={FIELD: vector.tolist()}, payload={"tenant": tenant, "ts": ts})


class Lance(Engine):
    def build(self, data: Data) -> None:
        import lancedb
        import pyarrow as pa

        vectors = pa.list_(pa.float32(), DIMS)
        kinds = {"id": pa.int64(), "tenant": pa.string(), "ts": pa.int64(), FIELD: vectors}
        schema = pa.schema(list(kinds.items()))
        self._index = lancedb.connect(str(self.path / "index")).create_table("t", schema=schema)
        for piece in pieces(data, LARGE_BATCH):
            flat = pa.array(np.ascontiguousarray(data.vectors[piece]).ravel())
            columns = [
                pa.array(np.arange(piece.start, piece.stop)),
                pa.array([f"t{each}" for each in data.tenants[piece]]),
                pa.array(data.ts[piece]),
                pa.FixedSizeListArray.from_arrays(flat, DIMS),
            ]
            self._index.add(pa.table(columns, schema=schema))
        self._index.create_index(metric="dot", vector_column_name=FIELD, index_type="IVF_HNSW_SQ")
        self._index.create_scalar_index("tenant", index_type="BITMAP")
        self._index.create_scalar_index("ts")

    def open(self) -> None:
        import lancedb

        self._index = lancedb.connect(str(self.path / "index")).open_table("t")
        self._ef = 64

    def effort(self, value: int) -> None:
        self._ef = max(64, value)  # it refuses less than the hits that are refined

    def search(self, query, tenant, window):
        wanted = self._index.search(query, vector_column_name=FIELD).metric("dot").limit(10).ef(self._ef)
        parts = [f"tenant = 't{tenant}'"] if tenant is not None else []
        parts += [f"ts >= {window[0]} AND ts < {window[1]}"] if window is not None else []
        if parts:
            wanted = wanted.where(" AND ".join(parts), prefilter=True)
        return wanted.nprobes(20).refine_factor(4).select(["id"]).to_arrow()["id"].to_pylist()

    def upsert(self, number, vector) -> None:
        row = [{"id": number, "tenant": "t1", "ts": FIRST_TS, FIELD: vector.tolist()}]
        self._index.merge_insert("id").when_matched_update_all().when_not_matched_insert_all().execute(row)

    def delete(self, number) -> None:
        self._index.delete(f"id = {number}")


class Milvus(Engine):
    def _client(self) -> Any:
        from pymilvus import MilvusClient

        return MilvusClient(str(self.path / "index.db"))

    def build(self, data: Data) -> None:
        from pymilvus import DataType

        self._index = self._client()
        schema = self._index.create_schema(auto_id=False)
        schema.add_field("id", DataType.INT64, is_primary=True)
        schema.add_field("tenant", DataType.VARCHAR, max_length=16)
        schema.add_field("ts", DataType.INT64)
        schema.add_field(FIELD, DataType.FLOAT_VECTOR, dim=DIMS)
        graph = {"M": CONNECTIONS, "efConstruction": EFFORT_OF_BUILDING}
        params = self._index.prepare_index_params()
        params.add_index(FIELD, index_type="HNSW", metric_type="IP", params=graph)
        self._index.create_collection("t", schema=schema, index_params=params)
        for piece in pieces(data, BATCH):
            self._index.insert("t", [self._row(*each) for each in rows(data, piece)])
        self._index.flush("t")
        self._index.close()

    def open(self) -> None:
        self._index = self._client()
        self._index.load_collection("t")
        self._ef = 64

    def effort(self, value: int) -> None:
        self._ef = value

    def search(self, query, tenant, window):
        parts = [f'tenant == "t{tenant}"'] if tenant is not None else []
        parts += [f"ts >= {window[0]} and ts < {window[1]}"] if window is not None else []
        found = self._index.search(
            "t", [query.tolist()], limit=10, filter=" and ".join(parts), search_params={"params": {"ef": self._ef}}
        )
        return [hit["id"] for hit in found[0]]

    def upsert(self, number, vector) -> None:
        self._index.upsert("t", [self._row(number, vector, "t1", FIRST_TS)])

    def delete(self, number) -> None:
        self._index.delete("t", ids=[number])

    def close(self) -> None:
        self._index.close()

    def _row(self, number: int, vector, tenant: str, ts: int) -> dict[str, Any]:
        return {"id": number, "tenant": tenant, "ts": ts, FIELD: vector.tolist()}


def pieces(data: Data, step: int) -> Iterator[slice]:
    for start in range(0, data.size, step):
        yield slice(start, min(data.size, start + step))


def rows(data: Data, piece: slice) -> Iterator[tuple[int, Any, str, int]]:
    """Number, vector, tenant and time of some passages."""
    for number in range(piece.start, piece.stop):
        yield number, data.vectors[number], f"t{data.tenants[number]}", int(data.ts[number])


ENGINES: dict[str, type[Engine]] = {
    "usearch": Usearch,
    "faiss-ivf": Faiss,
    "faiss-hnsw": FaissGraph,
    "zvec": Zvec,
    "qdrant-edge": QdrantEdge,
    "lancedb": Lance,
    "milvus-lite": Milvus,
}
