"""What all tests share: asyncio only, the same examples in each run, and readable failures of the shipped contracts."""

import os

import pytest
from hypothesis import settings

CONTRACTS = ("log", "state", "catalog", "blobs", "retention", "clock", "vectors", "words", "embedder", "chat_model")

pytest.register_assert_rewrite("penstock.testing.commits", *(f"penstock.testing.{name}_contract" for name in CONTRACTS))

settings.register_profile("ci", derandomize=True, deadline=None)
settings.register_profile("nightly", max_examples=5_000, deadline=None, print_blob=True)
settings.load_profile(os.environ.get("PENSTOCK_HYPOTHESIS", "ci"))


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
