"""The engines that vectors can lie in, each opened fresh and empty for one test: one entry an engine.

An engine that is a server of its own gets it from a session's fixture (`tests/conftest.py`), so that it is started once.
"""

import secrets
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
from postgres_server import fresh

from penstock.adapters.memory.passages import MemoryPassages
from penstock.adapters.postgres.passages import open_postgres_passages
from penstock.adapters.sqlite.passages import open_sqlite_passages
from penstock.ports.vectors import VectorIndex
from penstock.vector_stores import open_vectors

Opened = AbstractAsyncContextManager[VectorIndex]


@asynccontextmanager
async def _memory(_request: pytest.FixtureRequest, _folder: Path) -> AsyncGenerator[VectorIndex]:
    yield MemoryPassages()


@asynccontextmanager
async def _sqlite(_request: pytest.FixtureRequest, folder: Path) -> AsyncGenerator[VectorIndex]:
    async with open_sqlite_passages(folder / "passages.db") as index:
        yield index


@asynccontextmanager
async def _pgvector(request: pytest.FixtureRequest, _folder: Path) -> AsyncGenerator[VectorIndex]:
    with fresh(request.getfixturevalue("pgvector")) as address:
        async with open_postgres_passages(address) as index:
            yield index


@asynccontextmanager
async def _qdrant(request: pytest.FixtureRequest, _folder: Path) -> AsyncGenerator[VectorIndex]:
    server = request.getfixturevalue("qdrant")
    async with open_vectors(f"{server.url}?prefix=t{secrets.token_hex(6)}", {"QDRANT_API_KEY": server.key}) as index:
        yield index


@asynccontextmanager
async def _milvus(request: pytest.FixtureRequest, _folder: Path) -> AsyncGenerator[VectorIndex]:
    async with open_vectors(f"{request.getfixturevalue('milvus')}?prefix=t{secrets.token_hex(6)}", {}) as index:
        yield index


@asynccontextmanager
async def _usearch(_request: pytest.FixtureRequest, folder: Path) -> AsyncGenerator[VectorIndex]:
    async with open_vectors(f"usearch:{folder}/vectors", {}) as index:
        yield index


@asynccontextmanager
async def _usearch_graph(_request: pytest.FixtureRequest, folder: Path) -> AsyncGenerator[VectorIndex]:
    """Open it so that two passages make a graph, and it looks at all candidates."""
    async with open_vectors(f"usearch:{folder}/vectors?graph=2&search=1000", {}) as index:
        yield index


@asynccontextmanager
async def _weaviate(request: pytest.FixtureRequest, _folder: Path) -> AsyncGenerator[VectorIndex]:
    server = request.getfixturevalue("weaviate")
    async with open_vectors(f"{server.url}&prefix=t{secrets.token_hex(6)}", {}) as index:
        yield index


@asynccontextmanager
async def _pinecone(request: pytest.FixtureRequest, _folder: Path) -> AsyncGenerator[VectorIndex]:
    service = request.getfixturevalue("pinecone_service")
    name = f"engine-{secrets.token_hex(6)}"
    service.add(name, dims=64)
    async with open_vectors(f"pinecone:{service.address}/{name}", {"PINECONE_API_KEY": service.key}) as index:
        yield index
    assert service.violations == []


ENGINES: dict[str, Callable[[pytest.FixtureRequest, Path], Opened]] = {
    "memory": _memory,
    "sqlite": _sqlite,
    "pgvector": _pgvector,
    "qdrant": _qdrant,
    "milvus": _milvus,
    "usearch": _usearch,
    "usearch-graph": _usearch_graph,
    "weaviate": _weaviate,
    "pinecone": _pinecone,
}

# Those that keep the whole contract and have no module of their own for it. A graph keeps V4 and V5 weakly: docs/knowledge.md.
OUTSIDE = [name for name in ENGINES if name not in ("memory", "sqlite", "pgvector", "usearch-graph")]
