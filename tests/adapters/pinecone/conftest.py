"""A server that behaves like Pinecone, for each worker of the tests; each test has an index of its own in it."""

import secrets

import pytest


@pytest.fixture
def pinecone(pinecone_service, monkeypatch):
    """The server, as it is for a test that expects it to be asked nothing that does not fit Pinecone's description."""
    monkeypatch.setenv("PINECONE_API_KEY", pinecone_service.key)
    pinecone_service.violations.clear()
    pinecone_service.calls.clear()
    pinecone_service.lag, pinecone_service.tells_numbers = 2, True
    yield pinecone_service
    pinecone_service.failing.clear()
    assert pinecone_service.violations == []


@pytest.fixture
def environment(pinecone):
    return {"PINECONE_API_KEY": pinecone.key}


@pytest.fixture
def index_url(pinecone):
    """The address of an index that holds nothing."""
    name = f"test-{secrets.token_hex(6)}"
    pinecone.add(name, dims=64)
    return f"pinecone:{pinecone.address}/{name}"
