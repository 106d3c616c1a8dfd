"""What all tests share: asyncio only, the same examples in each run, and readable failures of the shipped contracts."""

import gc
import os
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import settings
from milvus_server import required_milvus
from moto_server import aws_server
from pgvector_server import required_pgvector
from pinecone_server import Pinecone, pinecone_server
from postgres_server import Server
from qdrant_server import Qdrant, required_qdrant
from weaviate_server import Weaviate, required_weaviate

from penstock.adapters.memory.store import Disk, MemoryStore
from penstock.adapters.sqlite.store import open_sqlite_store
from penstock.ports.store import Store
from penstock.testing.pacing import PACES, usually

CONTRACTS = (
    "log",
    "state",
    "catalog",
    "blobs",
    "retention",
    "clock",
    "vectors",
    "words",
    "filter_table",
    "embedder",
    "chat_model",
)

pytest.register_assert_rewrite("penstock.testing.commits", *(f"penstock.testing.{name}_contract" for name in CONTRACTS))

settings.register_profile("ci", derandomize=True, deadline=None)
settings.register_profile("nightly", max_examples=5_000, deadline=None, print_blob=True)
settings.load_profile(os.environ.get("PENSTOCK_HYPOTHESIS", "ci"))


def pytest_collection_finish() -> None:
    """What is there before the first test stays: it need not be looked at again by each collection of garbage."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="module", autouse=True)
def nothing_left_open() -> Generator[None]:
    """Have a module fail by what it leaves open, instead of whichever test is run when that is collected."""
    yield
    gc.collect()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(params=PACES)
def any_pace(request: pytest.FixtureRequest) -> Generator[None]:
    """Have virtual clocks go steadily, tick at each look, or stand still for a while."""
    with usually(request.param):
        yield


@pytest.fixture
def memory_disk() -> Callable[[], AbstractAsyncContextManager[Store]]:
    """Give what opens a store in memory, each time with what the one before left: a process that starts again."""
    disk = Disk()

    @asynccontextmanager
    async def opened() -> AsyncGenerator[Store]:
        yield MemoryStore(disk)

    return opened


@pytest.fixture
def sqlite_disk(tmp_path: Path) -> Callable[[], AbstractAsyncContextManager[Store]]:
    """Give what opens one SQLite file."""
    return lambda: open_sqlite_store(tmp_path / "store.db")


@pytest.fixture(scope="session")
def aws() -> Generator[str]:
    """Give the address of a server that speaks AWS's protocol. It is shared: use names of your own."""
    with aws_server() as address:
        yield address


@pytest.fixture(scope="session")
def pgvector() -> Generator[Server]:
    """Give a Postgres with pgvector. It is shared: use a schema of your own."""
    with required_pgvector() as server:
        yield server


@pytest.fixture(scope="session")
def qdrant() -> Generator[Qdrant]:
    """Give a Qdrant. It is shared: use a prefix of your own."""
    with required_qdrant() as server:
        yield server


@pytest.fixture(scope="session")
def milvus() -> Generator[str]:
    """Give the address of a Milvus. It is shared: use a prefix of your own."""
    with required_milvus() as address:
        yield address


@pytest.fixture(scope="session")
def weaviate() -> Generator[Weaviate]:
    """Give a Weaviate. It is shared: use a prefix of your own."""
    with required_weaviate() as server:
        yield server


@pytest.fixture(scope="session")
def pinecone_service() -> Generator[Pinecone]:
    """Give a server that behaves like Pinecone. It is shared: use an index of your own."""
    with pinecone_server() as server:
        yield server
