"""The adapter for sentence-transformers, over a small encoder of our own: torch is too heavy for this environment.

What is tested is the adapter's part (batches, purposes, lengths, any text), not the library.
"""

import hashlib

import numpy as np
import pytest

from penstock.adapters.embedders.sentence_transformers import SentenceTransformersEmbedder
from penstock.testing.embedder_contract import EmbedderContract

DIMS = 16


class HashingEncoder:
    """Vectors of any length from a digest of the text, as a model without normalisation gives them."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def encode_query(self, inputs, *, batch_size, show_progress_bar):
        return self._rows([f"query: {text}" for text in inputs])

    def encode_document(self, inputs, *, batch_size, show_progress_bar):
        return self._rows(inputs)

    def _rows(self, texts):
        self.batches.append(len(texts))
        digests = [hashlib.blake2b(text.encode(), digest_size=DIMS).digest() for text in texts]
        return np.array([list(d) for d in digests], np.float32) - 127.5


class ZeroEncoder(HashingEncoder):
    def _rows(self, texts):
        return np.array([[0.0] * DIMS, [np.nan] * DIMS], np.float32)[: len(texts)]


def _embedder(encoder=None):
    return SentenceTransformersEmbedder(
        encoder or HashingEncoder(), name="sentence-transformers:hashing@1/256", dims=DIMS
    )


class TestSentenceTransformersEmbedder(EmbedderContract):
    @pytest.fixture
    def embedder(self):
        return _embedder()

    @pytest.fixture
    def twin(self):
        return _embedder()


async def test_queries_and_passages_are_told_apart():
    embedder = _embedder()
    passage, query = await embedder.embed(["a text"]), await embedder.embed(["a text"], purpose="query")
    assert abs(passage - query).max() > 0.01


async def test_the_encoder_sees_at_most_32_texts_at_once():
    encoder = HashingEncoder()
    await _embedder(encoder).embed(["text"] * 70)
    assert encoder.batches == [32, 32, 6]


async def test_a_row_that_is_zero_or_not_a_number_becomes_zero():
    rows = await _embedder(ZeroEncoder()).embed(["a", "b"])
    assert (rows == 0).all()
