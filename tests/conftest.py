"""What all tests share: asyncio only, the same examples in each run, and readable failures of the shipped contracts."""

import os
from collections.abc import Generator

import pytest
from hypothesis import settings
from moto_server import aws_server

CONTRACTS = ("log", "state", "catalog", "blobs", "retention", "clock", "vectors", "words", "embedder", "chat_model")

pytest.register_assert_rewrite("penstock.testing.commits", *(f"penstock.testing.{name}_contract" for name in CONTRACTS))

settings.register_profile("ci", derandomize=True, deadline=None)
settings.register_profile("nightly", max_examples=5_000, deadline=None, print_blob=True)
settings.load_profile(os.environ.get("PENSTOCK_HYPOTHESIS", "ci"))


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def aws() -> Generator[str]:
    """Give the address of a server that speaks AWS's protocol. It is shared: use names of your own."""
    with aws_server() as address:
        yield address
