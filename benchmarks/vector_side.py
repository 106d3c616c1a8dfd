"""The other engines, each in a process of its own: built from vectors that were made before, searched, written to, opened.

Effort (ef, nprobe) is the least of a list with which recall@10 over all vectors is 0.95, else the largest. Libraries keep no
metadata, so that they have no filters of their own: their figures are for unfiltered search.
"""

import json
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from vector_measures import FIRST_TS, TENANTS, Data, disk_mb, memory_mb, searches, times

EFFORTS = (32, 64, 128, 256, 512)
GOOD = 0.95
BATCH = 1_000


class Usearch:
    filters = False

    def __init__(self, path: Path, data: Data) -> None:
        from usearch.index import Index

        self._make = lambda: Index(ndim=256, metric="ip", dtype="f16", connectivity=16, expansion_add=128)
        self._index, self._path = self._make(), path / "index"

    def build(self, data: Data) -> None:
        for start in range(0, data.size, 20_000):
            stop = min(data.size, start + 20_000)
            self._index.add(np.arange(start, stop), data.vectors[start:stop], threads=1)
        self._index.save(str(self._path))

    def open(self) -> None:
        self._index = self._make()
        self._index.load(str(self._path))

    def effort(self, value: int) -> None:
        self._index.expansion_search = value

    def search(self, query, tenant, window):
        return self._index.search(query, 10, threads=1).keys.tolist()

    def upsert(self, number: int, vector) -> None:
        self._index.add(number, vector, threads=1)


class Faiss:
    filters = False

    def __init__(self, path: Path, data: Data, kind: str) -> None:
        import faiss

        faiss.omp_set_num_threads(1)
        self._faiss, self._kind, self._path = faiss, kind, path / "index"
        lists = max(16, int(data.size**0.5))
        self._index = faiss.index_factory(
            256, f"IVF{lists},SQ8" if kind == "ivf" else "HNSW16_SQ8", faiss.METRIC_INNER_PRODUCT
        )

    def build(self, data: Data) -> None:
        self._index.train(np.ascontiguousarray(data.vectors[:: max(1, data.size // 50_000)]))
        for start in range(0, data.size, 20_000):
            self._index.add(np.ascontiguousarray(data.vectors[start : start + 20_000]))
        self._faiss.write_index(self._index, str(self._path))

    def open(self) -> None:
        self._index = self._faiss.read_index(str(self._path))

    def effort(self, value: int) -> None:
        if self._kind == "ivf":
            self._index.nprobe = value
        else:
            self._index.hnsw.efSearch = value

    def search(self, query, tenant, window):
        return self._index.search(query[None], 10)[1][0].tolist()

    def upsert(self, number: int, vector) -> None:
        self._index.add(vector[None])


class Zvec:
    filters = True

    def __init__(self, path: Path, data: Data) -> None:
        import zvec

        zvec.init(query_threads=16)  # with fewer, searches beside writes have hung
        self._zvec, self._path = zvec, path / "index"
        fields = [
            zvec.FieldSchema("tenant", zvec.DataType.STRING, index_param=zvec.InvertIndexParam()),
            zvec.FieldSchema(
                "ts", zvec.DataType.INT64, index_param=zvec.InvertIndexParam(enable_range_optimization=True)
            ),
        ]
        vectors = zvec.VectorSchema(
            "v",
            zvec.DataType.VECTOR_FP32,
            256,
            index_param=zvec.HnswIndexParam(metric_type=zvec.MetricType.IP, quantize_type=zvec.QuantizeType.INT8),
        )
        self._index = zvec.create_and_open(
            str(self._path), zvec.CollectionSchema("c", fields=fields, vectors=[vectors])
        )
        self._ef = 64

    def build(self, data: Data) -> None:
        for start in range(0, data.size, BATCH):
            self._index.upsert(
                [
                    self._doc(n, data.vectors[n], f"t{data.tenants[n]}", int(data.ts[n]))
                    for n in range(start, min(data.size, start + BATCH))
                ]
            )
        self._index.optimize()
        self._index.flush()

    def open(self) -> None:
        del self._index
        self._index = self._zvec.open(str(self._path))

    def effort(self, value: int) -> None:
        self._ef = value

    def search(self, query, tenant, window):
        parts = [f"tenant = 't{tenant}'"] if tenant is not None else []
        parts += [f"ts >= {window[0]} and ts < {window[1]}"] if window is not None else []
        wanted = self._zvec.VectorQuery("v", vector=query.tolist(), param=self._zvec.HnswQueryParam(ef=self._ef))
        return [
            int(each.id)
            for each in self._index.query(wanted, topk=10, filter=" and ".join(parts) or None, output_fields=[])
        ]

    def upsert(self, number: int, vector) -> None:
        self._index.upsert([self._doc(number, vector, "t1", FIRST_TS)])

    def _doc(self, number: int, vector, tenant: str, ts: int):
        return self._zvec.Doc(id=str(number), vectors={"v": vector.tolist()}, fields={"tenant": tenant, "ts": ts})


class QdrantEdge:
    filters = True

    def __init__(self, path: Path, data: Data) -> None:
        import qdrant_edge as q

        self._q, self._path = q, path / "index"
        self._path.mkdir()
        self._index = q.EdgeShard.create(
            str(self._path), q.EdgeConfig(vectors={"v": q.EdgeVectorParams(size=256, distance=q.Distance.Dot)})
        )
        self._index.update(q.UpdateOperation.create_field_index("tenant", q.PayloadSchemaType.Keyword))
        self._index.update(q.UpdateOperation.create_field_index("ts", q.PayloadSchemaType.Integer))
        self._ef = 64

    def build(self, data: Data) -> None:
        for start in range(0, data.size, BATCH):
            points = [
                self._point(n, data.vectors[n], f"t{data.tenants[n]}", int(data.ts[n]))
                for n in range(start, min(data.size, start + BATCH))
            ]
            self._index.update(self._q.UpdateOperation.upsert_points(points))
        self._index.optimize()
        self._index.flush()

    def open(self) -> None:
        self._index.close()
        self._index = self._q.EdgeShard.load(str(self._path))

    def effort(self, value: int) -> None:
        self._ef = value

    def search(self, query, tenant, window):
        q = self._q
        must = [q.FieldCondition(key="tenant", match=q.MatchValue(f"t{tenant}"))] if tenant is not None else []
        must += (
            [q.FieldCondition(key="ts", range=q.RangeFloat(gte=float(window[0]), lt=float(window[1])))]
            if window is not None
            else []
        )
        request = q.QueryRequest(
            limit=10,
            with_payload=False,
            query=q.Query.Nearest(query.tolist(), using="v"),
            filter=q.Filter(must=must) if must else None,
            params=q.SearchParams(hnsw_ef=self._ef),
        )
        return [point.id for point in self._index.query(request)]

    def upsert(self, number: int, vector) -> None:
        self._index.update(self._q.UpdateOperation.upsert_points([self._point(number, vector, "t1", FIRST_TS)]))

    def _point(self, number: int, vector, tenant: str, ts: int):
        return self._q.Point(id=number, vector={"v": vector.tolist()}, payload={"tenant": tenant, "ts": ts})


class Lance:
    filters = True

    def __init__(self, path: Path, data: Data) -> None:
        import lancedb
        import pyarrow as pa

        self._lancedb, self._path, self._pa = lancedb, path / "index", pa
        self._kind = pa.schema(
            [("id", pa.int64()), ("tenant", pa.string()), ("ts", pa.int64()), ("v", pa.list_(pa.float32(), 256))]
        )
        self._index = lancedb.connect(str(self._path)).create_table("t", schema=self._kind)
        self._ef = 64

    def build(self, data: Data) -> None:
        for start in range(0, data.size, 50_000):
            stop = min(data.size, start + 50_000)
            flat = self._pa.array(np.ascontiguousarray(data.vectors[start:stop]).ravel())
            columns = [
                np.arange(start, stop),
                [f"t{each}" for each in data.tenants[start:stop]],
                data.ts[start:stop],
                self._pa.FixedSizeListArray.from_arrays(flat, 256),
            ]
            self._index.add(
                self._pa.table(
                    [self._pa.array(c) if not isinstance(c, self._pa.Array) else c for c in columns], schema=self._kind
                )
            )
        if data.size > 5_000:
            self._index.create_index(metric="dot", vector_column_name="v", index_type="IVF_HNSW_SQ")
        self._index.create_scalar_index("tenant", index_type="BITMAP")
        self._index.create_scalar_index("ts")

    def open(self) -> None:
        self._index = self._lancedb.connect(str(self._path)).open_table("t")

    def effort(self, value: int) -> None:
        self._ef = max(64, value)  # it refuses less than the hits that are refined

    def search(self, query, tenant, window):
        wanted = (
            self._index.search(query, vector_column_name="v")
            .metric("dot")
            .limit(10)
            .ef(self._ef)
            .nprobes(20)
            .refine_factor(4)
            .select(["id"])
        )
        parts = [f"tenant = 't{tenant}'"] if tenant is not None else []
        parts += [f"ts >= {window[0]} AND ts < {window[1]}"] if window is not None else []
        return (wanted.where(" AND ".join(parts), prefilter=True) if parts else wanted).to_arrow()["id"].to_pylist()

    def upsert(self, number: int, vector) -> None:
        row = [{"id": number, "tenant": "t1", "ts": FIRST_TS, "v": vector.tolist()}]
        self._index.merge_insert("id").when_matched_update_all().when_not_matched_insert_all().execute(row)


class Milvus:
    filters = True

    def __init__(self, path: Path, data: Data) -> None:
        from pymilvus import DataType, MilvusClient

        self._open = lambda: MilvusClient(str(path / "index.db"))
        self._index = self._open()
        schema = self._index.create_schema(auto_id=False)
        schema.add_field("id", DataType.INT64, is_primary=True)
        schema.add_field("tenant", DataType.VARCHAR, max_length=16)
        schema.add_field("ts", DataType.INT64)
        schema.add_field("v", DataType.FLOAT_VECTOR, dim=256)
        params = self._index.prepare_index_params()
        params.add_index("v", index_type="HNSW", metric_type="IP", params={"M": 16, "efConstruction": 128})
        self._index.create_collection("t", schema=schema, index_params=params)
        self._ef = 64

    def build(self, data: Data) -> None:
        for start in range(0, data.size, BATCH):
            self._index.insert(
                "t",
                [
                    self._row(n, data.vectors[n], f"t{data.tenants[n]}", int(data.ts[n]))
                    for n in range(start, min(data.size, start + BATCH))
                ],
            )
        self._index.flush("t")

    def open(self) -> None:
        self._index.close()
        self._index = self._open()
        self._index.load_collection("t")

    def effort(self, value: int) -> None:
        self._ef = value

    def search(self, query, tenant, window):
        parts = [f'tenant == "t{tenant}"'] if tenant is not None else []
        parts += [f"ts >= {window[0]} and ts < {window[1]}"] if window is not None else []
        return [
            hit["id"]
            for hit in self._index.search(
                "t", [query.tolist()], limit=10, filter=" and ".join(parts), search_params={"params": {"ef": self._ef}}
            )[0]
        ]

    def upsert(self, number: int, vector) -> None:
        self._index.upsert("t", [self._row(number, vector, "t1", FIRST_TS)])

    def _row(self, number: int, vector, tenant: str, ts: int) -> dict[str, Any]:
        return {"id": number, "tenant": tenant, "ts": ts, "v": vector.tolist()}


ENGINES = {
    "usearch": Usearch,
    "faiss-ivf": lambda path, data: Faiss(path, data, "ivf"),
    "faiss-hnsw": lambda path, data: Faiss(path, data, "hnsw"),
    "zvec": Zvec,
    "qdrant-edge": QdrantEdge,
    "lancedb": Lance,
    "milvus-lite": Milvus,
}


def main(name: str, size: int, folder: Path) -> None:
    path = folder / f"{name}-{size}"
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir()
    data = Data(folder, size)
    engine = ENGINES[name](path, data)
    before = memory_mb()["anon_mb"]
    began, cpu = time.monotonic(), time.process_time()
    engine.build(data)
    took_s = time.monotonic() - began
    figures: dict[str, Any] = {
        "build_s": round(took_s, 1),
        "build_cpu_s": round(time.process_time() - cpu, 1),
        "build_a_second": round(size / took_s),
    }
    # What the process holds for the test itself is left out; mapped files of the engine are not in this figure.
    figures["anon_mb"] = memory_mb()["anon_mb"] - before
    began = time.perf_counter()
    engine.open()
    engine.search(data.queries[0], None, None)
    figures["open_s"] = round(time.perf_counter() - began, 3)
    for effort in EFFORTS:
        engine.effort(effort)
        found = [
            len(set(engine.search(data.queries[n], None, None)) & set(data.truth[n].tolist())) / 10 for n in range(100)
        ]
        if np.mean(found) >= GOOD:
            break
    figures["effort"] = effort
    measured = searches(data, engine.search)
    figures |= measured if engine.filters else {key: value for key, value in measured.items() if key.startswith("all")}
    figures |= _written(engine, data)
    figures["disk_mb"] = disk_mb(path)
    print(json.dumps(figures))
    shutil.rmtree(path, ignore_errors=True)


def _written(engine: Any, data: Data) -> dict[str, float]:
    random = np.random.default_rng(5)
    taken: list[float] = []
    seen: list[float] = []
    for number in range(data.size, data.size + 100):
        vector = data.queries[number % len(data.queries)] + random.standard_normal(256).astype(np.float32) * 0.01
        vector = (vector / np.linalg.norm(vector)).astype(np.float32)
        began = time.perf_counter()
        engine.upsert(number, vector)
        taken.append(time.perf_counter() - began)
        engine.search(vector, None, None)
        seen.append(time.perf_counter() - began)
    return times("upsert", taken[10:]) | times("seen", seen[10:])


if __name__ == "__main__":
    assert TENANTS
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
