"""The cache of embeddings is an embedder itself, makes nothing twice, and is bounded."""

import numpy as np
import pytest

from penstock.adapters.embedders.static import open_static_embedder
from penstock.layers.cached_embedder import CachedEmbedder
from penstock.layers.metered_embedder import MeteredEmbedder
from penstock.testing.embedder_contract import EmbedderContract


class TestCachedEmbedder(EmbedderContract):
    @pytest.fixture
    def embedder(self):
        return CachedEmbedder(open_static_embedder())

    @pytest.fixture
    def twin(self):
        return CachedEmbedder(open_static_embedder())


class TestMeteredEmbedder(EmbedderContract):
    @pytest.fixture
    def embedder(self):
        return MeteredEmbedder(open_static_embedder())

    @pytest.fixture
    def twin(self):
        return MeteredEmbedder(open_static_embedder())


class Counting:
    name, dims = "counting", 4

    def __init__(self):
        self.calls = []

    async def embed(self, texts, *, purpose="passage"):
        self.calls.append((list(texts), purpose))
        return np.array([[len(text), 1, 2, 3] for text in texts], np.float32)


async def test_only_what_is_new_is_embedded_and_rows_keep_their_places():
    inner = Counting()
    cached = CachedEmbedder(inner)
    await cached.embed(["a", "bb"])
    rows = await cached.embed(["ccc", "a", "ccc", "bb"])
    assert rows[:, 0].tolist() == [3, 1, 3, 2]
    assert inner.calls == [(["a", "bb"], "passage"), (["ccc"], "passage")]
    await cached.embed(["a"], purpose="query")
    assert inner.calls[-1] == (["a"], "query")
    assert (cached.hits, cached.misses) == (3, 4)
    cached.forget()
    await cached.embed(["a"])
    assert inner.calls[-1] == (["a"], "passage")


async def test_the_one_not_asked_for_the_longest_goes_first():
    inner = Counting()
    cached = CachedEmbedder(inner, bytes_max=2 * 216)
    for text in ("a", "b", "a", "c", "a", "b"):
        await cached.embed([text])
    assert [texts[0] for texts, _ in inner.calls] == ["a", "b", "c", "b"]
