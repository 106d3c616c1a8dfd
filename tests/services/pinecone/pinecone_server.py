"""A server of our own that behaves like Pinecone, since none can run here: on 127.0.0.1, in threads of the test process.

- Every request and every answer is held against Pinecone's official OpenAPI description (`pinecone_description.py`), and against
  what its documentation says beside that: limits, kinds of metadata, operators of filters, names, keys, vectors that are all zero.
  What does not fit is refused, and noted in `violations`: a test that expects none says so.
- It is consistent eventually: a write is seen by reads of its namespace after `lag` more of them. Numbers of the log tell.
- What it is not: approximate. It finds what there is.
"""

import base64
import json
import re
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np
from pinecone_description import Operation, operations

KEY = "key-of-the-tests"
VERSION = "2025-10"
BODY_BYTES_MAX = 2_000_000
URL_BYTES_MAX = 8_000
METADATA_BYTES_MAX = 40 * 1024
RECORDS_MAX = 1_000
RESULT_BYTES_MAX = 4_000_000
COMPARED = {"$gt": "__gt__", "$gte": "__ge__", "$lt": "__lt__", "$lte": "__le__"}


class RefusedError(Exception):
    """An answer that is none of success."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass
class Namespace:
    """Records as they are seen, and writes that are not yet: with the reads until then."""

    seen: dict[str, dict[str, Any]] = field(default_factory=dict)
    waiting: list[list[Any]] = field(default_factory=list)  # reads left, number, records or ids
    written: int = 0
    indexed: int = 0

    def write(self, what: Any, lag: int) -> int:
        self.written += 1
        self.waiting.append([lag, self.written, what])
        return self.written

    def read(self) -> None:
        for each in self.waiting:
            each[0] -= 1
        while self.waiting and self.waiting[0][0] < 0:
            _, self.indexed, what = self.waiting.pop(0)
            for each in what:
                if isinstance(each, str):
                    self.seen.pop(each, None)
                else:
                    self.seen[each["id"]] = each


@dataclass
class StoredIndex:
    """An index."""

    dims: int
    metric: str = "cosine"
    vector_type: str = "dense"
    namespaces: dict[str, Namespace] = field(default_factory=dict)


class Pinecone:
    """What the server has, and how it behaves."""

    def __init__(self) -> None:
        self.indexes: dict[str, StoredIndex] = {}
        self.lag = 2
        self.key = KEY
        self.violations: list[str] = []
        self.failing: list[int] = []  # statuses of the next answers
        self.tells_numbers = True
        self.calls: list[str] = []
        self.address = ""
        self._turn = threading.Lock()
        self._known = {(each.method, each.path): each for each in operations()}

    def add(self, name: str, *, dims: int, metric: str = "cosine", vector_type: str = "dense") -> None:
        """Make an index."""
        self.indexes[name] = StoredIndex(dims, metric, vector_type)

    def answer(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> tuple[int, Any, int | None]:
        """Return status, body and number of a write or read."""
        with self._turn:
            path = urlsplit(target).path
            self.calls.append(f"{method} {path}")
            try:
                if self.failing:
                    raise RefusedError(self.failing.pop(0), "the service has a bad day")
                if headers.get("Api-Key") != self.key:
                    return (
                        401,
                        {"error": {"code": "UNAUTHENTICATED", "message": "Invalid API Key"}, "status": 401},
                        None,
                    )
                operation, names = self._operation(method, path)
                parameters, given = self._checked(operation, target, headers, body)
                answered, lsn = self._carried_out(operation.name, {**names, **parameters}, given)
            except RefusedError as error:
                if error.status == 400:
                    self.violations.append(f"{method} {path}: {error}")
                return error.status, {"code": 3, "message": str(error), "details": []}, None
            if operation.answer is not None and (wrong := [*operation.answer.iter_errors(answered)]):
                self.violations.append(f"our own answer to {operation.name}: {wrong[0].message}")
            return 200, answered, lsn if self.tells_numbers else None

    def _operation(self, method: str, path: str) -> tuple[Operation, dict[str, str]]:
        # One server stands for the control plane and the hosts of all indexes: these lie under /hosts/NAME.
        host = re.fullmatch(r"/hosts/([^/]+)(/.*)", path)
        rest = host[2] if host else path
        for (known, pattern), operation in self._known.items():
            found = re.fullmatch(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", pattern), rest)
            if known == method and found:
                names = {name: unquote(value) for name, value in found.groupdict().items()}
                return operation, names | ({"index": host[1]} if host else {})
        raise RefusedError(400, "the description knows no such operation")

    def _checked(
        self, operation: Operation, target: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[dict[str, Any], Any]:
        if headers.get("X-Pinecone-Api-Version") not in operation.versions:
            raise RefusedError(400, f"the version is {headers.get('X-Pinecone-Api-Version')!r}")
        if len(target) > URL_BYTES_MAX:
            raise RefusedError(400, f"the address has {len(target)} bytes")
        given = parse_qs(urlsplit(target).query, keep_blank_values=True)
        parameters: dict[str, Any] = {}
        for name, values in given.items():
            schema = operation.parameters.get(name)
            if schema is None:
                raise RefusedError(400, f"there is no parameter {name!r}")
            kind = schema.get("type")
            parameters[name] = values if kind == "array" else int(values[0]) if kind == "integer" else values[0]
        if missing := operation.required - parameters.keys():
            raise RefusedError(400, f"parameters are missing: {missing}")
        if len(body) > BODY_BYTES_MAX:
            raise RefusedError(400, f"a body of {len(body)} bytes")
        if (operation.body is None) != (not body):
            raise RefusedError(400, "a body where none belongs, or none where one does")
        document = json.loads(body) if body else None
        if operation.body is not None and (wrong := [*operation.body.iter_errors(document)]):
            raise RefusedError(400, f"{'/'.join(map(str, wrong[0].instance_path))}: {wrong[0].message}")
        return parameters, document

    def _carried_out(self, name: str, asked: dict[str, Any], given: Any) -> tuple[Any, int | None]:
        if name == "describe_index":
            return self._description(asked["index_name"]), None
        index = self.indexes[asked["index"]]
        if name == "list_namespaces_operation":
            return self._namespaces(index, asked), None
        work = {
            "upsert_vectors": self._upserted,
            "delete_vectors": self._deleted,
            "query_vectors": self._queried,
            "fetch_vectors": self._fetched,
            "list_vectors": self._listed,
        }.get(name)
        if work is None:
            raise RefusedError(400, f"{name} is not played here")
        return work(index, given if given is not None else asked)

    def _description(self, name: str) -> Any:
        index = self.indexes.get(name)
        if index is None:
            raise RefusedError(404, f"Resource {name} not found")
        return {
            "name": name,
            "metric": index.metric,
            "host": f"{self.address.partition('://')[2]}/hosts/{name}",
            "spec": {"serverless": {"cloud": "aws", "region": "us-east-1"}},
            "status": {"ready": True, "state": "Ready"},
            "vector_type": index.vector_type,
            "deletion_protection": "disabled",
            **({"dimension": index.dims} if index.vector_type == "dense" else {}),
        }

    def _namespaces(self, index: StoredIndex, asked: dict[str, Any]) -> Any:
        names = sorted(each for each in index.namespaces if each.startswith(asked.get("prefix", "")))
        page, following = _paged(names, asked, 100)
        # Counts lag behind, as the documentation says: here they are those of all that was ever written.
        found = [{"name": each, "record_count": index.namespaces[each].written} for each in page]
        return {"namespaces": found, "total_count": len(names), **following}

    def _upserted(self, index: StoredIndex, given: Any) -> tuple[Any, int | None]:
        records = given["vectors"]
        if not 1 <= len(records) <= RECORDS_MAX:
            raise RefusedError(400, f"{len(records)} records")
        for each in records:
            _require_record(each, index.dims)
        namespace = index.namespaces.setdefault(given.get("namespace", ""), Namespace())
        return {"upsertedCount": len(records)}, namespace.write(records, self.lag)

    def _deleted(self, index: StoredIndex, given: Any) -> tuple[Any, int | None]:
        ids = given.get("ids")
        if not ids or len(ids) > RECORDS_MAX or given.keys() - {"ids", "namespace"}:
            raise RefusedError(400, "1 to 1,000 ids are deleted, and nothing beside them")
        namespace = self._namespace(index, given)
        if namespace is None:
            raise RefusedError(404, "Namespace not found")
        return {}, namespace.write(list(ids), self.lag)

    def _queried(self, index: StoredIndex, given: Any) -> tuple[Any, int | None]:
        query = np.array(given.get("vector", []), np.float64)
        if len(query) != index.dims or not query.any():
            raise RefusedError(400, f"a query of {len(query)} numbers, or of zeros only")
        condition, namespace = given.get("filter"), self._namespace(index, given)
        if condition is not None:
            passes({}, condition)  # what is no filter is refused, whatever there is
        found: list[dict[str, Any]] = []
        if namespace is not None:
            namespace.read()
            found = [
                each
                for each in namespace.seen.values()
                if condition is None or passes(each.get("metadata", {}), condition)
            ]
        scored = [
            {
                "id": each["id"],
                "score": _cosine(query, each["values"]),
                "values": [],
                "metadata": each.get("metadata", {}),
            }
            for each in found
        ]
        # Ties come as they like: here, the last by id first.
        best = sorted(sorted(scored, key=lambda each: each["id"], reverse=True), key=lambda each: -each["score"])
        matches = best[: given["topK"]]
        if not given.get("includeMetadata"):
            matches = [{name: each[name] for name in ("id", "score", "values")} for each in matches]
        answer = {"matches": matches, "namespace": given.get("namespace", ""), "usage": {"readUnits": 1}}
        if len(json.dumps(answer)) > RESULT_BYTES_MAX:
            raise RefusedError(400, "the result is larger than 4 MB: ask for less")
        return answer, 0 if namespace is None else namespace.indexed

    def _fetched(self, index: StoredIndex, asked: Any) -> tuple[Any, int | None]:
        ids, namespace = asked["ids"], self._namespace(index, asked)
        if len(ids) > RECORDS_MAX or any(" " in each for each in ids):
            raise RefusedError(400, "at most 1,000 ids, without spaces")
        if namespace is None:
            return {"vectors": {}, "namespace": asked["namespace"], "usage": {"readUnits": 1}}, None
        namespace.read()
        vectors = {each: namespace.seen[each] for each in ids if each in namespace.seen}
        return {"vectors": vectors, "namespace": asked["namespace"], "usage": {"readUnits": 1}}, None

    def _listed(self, index: StoredIndex, asked: Any) -> tuple[Any, int | None]:
        if not 1 <= asked.get("limit", 100) <= 100:
            raise RefusedError(400, "a page has 1 to 100 ids")
        namespace = self._namespace(index, asked)
        if namespace is None:
            raise RefusedError(404, "Namespace not found")
        namespace.read()
        page, following = _paged(
            sorted(each for each in namespace.seen if each.startswith(asked.get("prefix", ""))), asked, 100
        )
        return {
            "vectors": [{"id": each} for each in page],
            "namespace": asked["namespace"],
            "usage": {"readUnits": 1},
            **following,
        }, None

    @staticmethod
    def _namespace(index: StoredIndex, asked: Any) -> Namespace | None:
        return index.namespaces.get(asked.get("namespace", ""))


def passes(metadata: Mapping[str, Any], condition: Any) -> bool:
    """Whether a record passes a filter, by the rules of Pinecone's documentation; what is no filter is refused."""
    if not isinstance(condition, dict) or not condition:
        raise RefusedError(400, f"{condition!r} is no filter")
    members = [_member(metadata, name, value) for name, value in condition.items()]  # each is looked at
    return all(members)


def _member(metadata: Mapping[str, Any], name: str, value: Any) -> bool:
    if name in {"$and", "$or"}:
        if not isinstance(value, list) or not value:
            raise RefusedError(400, f"{name} takes a list of filters")
        each = [passes(metadata, inner) for inner in value]
        return all(each) if name == "$and" else any(each)
    if name.startswith("$"):
        raise RefusedError(400, f"{name} is no operator here")
    if not isinstance(value, dict):
        value = {"$eq": value}
    held = [_condition(metadata, name, operator, wanted) for operator, wanted in value.items()]
    return all(held)


def _condition(metadata: Mapping[str, Any], name: str, operator: str, wanted: Any) -> bool:
    there, has = metadata.get(name), name in metadata
    if operator == "$exists" and isinstance(wanted, bool):
        return has is wanted
    if operator in {"$eq", "$ne"} and isinstance(wanted, str | int | float | bool):
        # What lacks the field passes neither: the documentation does not say, and nobody may rely on it.
        return has and _same(there, wanted) is (operator == "$eq")
    if operator in {"$in", "$nin"} and isinstance(wanted, list) and 1 <= len(wanted) <= 10_000:
        return has and any(_same(there, each) for each in wanted) is (operator == "$in")
    if operator in COMPARED and isinstance(wanted, int | float) and not isinstance(wanted, bool):
        is_number = isinstance(there, int | float) and not isinstance(there, bool)
        return is_number and getattr(float(there), COMPARED[operator])(float(wanted))
    raise RefusedError(400, f"{operator} does not take {wanted!r}")


def _same(there: Any, wanted: Any) -> bool:
    if isinstance(there, list):
        return wanted in there
    return type(there) is type(wanted) and there == wanted if isinstance(wanted, str | bool) else there == wanted


def _require_record(record: Any, dims: int) -> None:
    values = record.get("values", [])
    if not record["id"].isascii() or len(values) != dims or not any(values):
        raise RefusedError(400, f"record {record['id']!r}: an ASCII id and {dims} numbers, not all of them zero")
    metadata = record.get("metadata", {})
    if len(json.dumps(metadata, ensure_ascii=False).encode()) > METADATA_BYTES_MAX:
        raise RefusedError(400, "metadata of more than 40 KB")
    for name, value in metadata.items():
        is_list = isinstance(value, list) and all(isinstance(each, str) for each in value)
        if name.startswith("$") or not (is_list or isinstance(value, str | int | float | bool)):
            raise RefusedError(400, f"metadata {name!r} is {value!r}")


def _cosine(query: Any, values: list[float]) -> float:
    other = np.array(values, np.float64)
    return float(query @ other / (np.linalg.norm(query) * np.linalg.norm(other)))


def _paged(items: list[str], asked: Mapping[str, Any], default: int) -> tuple[list[str], dict[str, Any]]:
    after = base64.b64decode(asked.get("paginationToken", "")).decode()
    left = [each for each in items if each > after]
    size = asked.get("limit", default)
    page = left[:size]
    if len(left) <= size:
        return page, {}
    return page, {"pagination": {"next": base64.b64encode(page[-1].encode()).decode()}}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True
    pinecone: Pinecone

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        status, document, lsn = self.pinecone.answer(self.command, self.path, self.headers, body)
        content = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        if lsn is not None:
            is_write = self.path.endswith(("/upsert", "/delete"))
            self.send_header("x-pinecone-request-lsn" if is_write else "x-pinecone-max-indexed-lsn", str(lsn))
        self.end_headers()
        self.wfile.write(content)
        self.wfile.flush()

    do_POST = do_GET  # noqa: N815 - the library's names


@contextmanager
def pinecone_server() -> Generator[Pinecone]:
    """Yield a server without an index."""
    pinecone = Pinecone()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"pinecone": pinecone}))
    server.daemon_threads = True
    server.block_on_close = False
    pinecone.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield pinecone
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
