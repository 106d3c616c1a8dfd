"""The contract of `Embedder`, as tests. An adapter inherits them and supplies two embedders of one model.

    class TestMyEmbedder(EmbedderContract):
        @pytest.fixture
        def embedder(self) -> MyEmbedder:
            return MyEmbedder()

        @pytest.fixture
        def twin(self) -> MyEmbedder:
            return MyEmbedder()

Each test names the guarantee that it checks. There is no way to switch one off: what an adapter cannot do belongs in
another port.
"""

import asyncio
import random
from typing import TYPE_CHECKING

import pytest

from penstock.ports.embedder import Embedder, Purpose

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

TEXTS = (
    "How do I get a new password?",
    "The reservoir feeds the turbines through a steel pipe.",
    "def add(a: int, b: int) -> int: return a + b",
    "x",
    "Ein Satz auf Deutsch, mit Umlauten: äöüß.",
    "A longer passage about rivers, dams and the power they give. " * 12,
)
# What a user may send by accident or on purpose: none of it may be refused (E5).
UNUSUAL_TEXTS = (
    "",
    " \t\n",
    "🙂🚀 👩‍👩‍👧",
    "如何重置密码",
    "كيف أعيد تعيين كلمة المرور؟",
    "\x00\x01\ufeff\u202e",
    "\ud800 half a character",
    "e\u0301" * 200,
    "[CLS] [SEP] [PAD] <|endoftext|> ##ing",
    "a" * 5_000,
    "word " * 20_000,
    "水" * 100_000,
)
TOLERANCE = 1e-4


class EmbedderContract:
    @pytest.fixture
    def embedder(self) -> Embedder:
        raise NotImplementedError("supply the embedder under test")

    @pytest.fixture
    def twin(self) -> Embedder:
        raise NotImplementedError("supply a second one, opened by itself")

    async def test_e1_returns_a_row_of_float32_for_each_text(self, embedder: Embedder) -> None:
        rows = await embedder.embed(TEXTS)
        assert rows.shape == (len(TEXTS), embedder.dims)
        assert str(rows.dtype) == "float32"

    async def test_e1_returns_no_rows_for_no_texts(self, embedder: Embedder) -> None:
        rows = await embedder.embed([])
        assert rows.shape == (0, embedder.dims)
        assert str(rows.dtype) == "float32"

    async def test_e1_row_i_belongs_to_text_i(self, embedder: Embedder) -> None:
        forwards = await embedder.embed(TEXTS)
        backwards = await embedder.embed(TEXTS[::-1])
        assert _distance(forwards, backwards[::-1]) < TOLERANCE
        assert min(_distance(forwards[i : i + 1], forwards[i + 1 : i + 2]) for i in range(len(TEXTS) - 1)) > TOLERANCE

    async def test_e1_the_caller_owns_the_rows(self, embedder: Embedder) -> None:
        first = await embedder.embed(TEXTS[:1])
        kept = first.copy()
        first[:] = 7
        assert _distance(await embedder.embed(TEXTS[:1]), kept) < TOLERANCE

    @pytest.mark.parametrize("purpose", ["passage", "query"])
    async def test_e2_rows_have_length_one(self, embedder: Embedder, purpose: Purpose) -> None:
        rows = await embedder.embed(TEXTS, purpose=purpose)
        assert abs((rows**2).sum(axis=1) - 1).max() < TOLERANCE

    async def test_e2_unusual_rows_have_length_one_or_zero(self, embedder: Embedder) -> None:
        squares = ((await embedder.embed(UNUSUAL_TEXTS)) ** 2).sum(axis=1)
        assert [s for s in squares if s != 0 and abs(s - 1) > TOLERANCE] == []

    async def test_e3_a_text_has_the_same_vector_alone_and_in_any_company(self, embedder: Embedder) -> None:
        texts = [*TEXTS, *UNUSUAL_TEXTS[:9]]
        alone = [await embedder.embed([text]) for text in texts]
        order = list(range(len(texts))) * 3
        random.Random(0).shuffle(order)
        together = await embedder.embed([texts[i] for i in order])
        assert max(_distance(alone[i], together[n : n + 1]) for n, i in enumerate(order)) < TOLERANCE

    async def test_e3_a_twin_gives_the_same_vectors(self, embedder: Embedder, twin: Embedder) -> None:
        assert _distance(await embedder.embed(TEXTS), await twin.embed(TEXTS)) < TOLERANCE

    async def test_e3_calls_that_overlap_do_not_mix(self, embedder: Embedder) -> None:
        alone = await embedder.embed(TEXTS)
        rows = await asyncio.gather(*(embedder.embed([text] * (1 + n)) for n, text in enumerate(TEXTS)))
        assert max(_distance(rows[n], alone[[n] * (1 + n)]) for n in range(len(TEXTS))) < TOLERANCE

    async def test_e4_the_same_vectors_have_the_same_name(self, embedder: Embedder, twin: Embedder) -> None:
        assert embedder.name == twin.name
        assert embedder.name.strip()

    @pytest.mark.parametrize("text", UNUSUAL_TEXTS, ids=lambda text: repr(text[:12]))
    async def test_e5_takes_any_text(self, embedder: Embedder, text: str) -> None:
        rows = await embedder.embed([text, TEXTS[0]])
        assert rows.shape == (2, embedder.dims)
        assert _distance(rows[1:], await embedder.embed(TEXTS[:1])) < TOLERANCE

    async def test_e5_takes_many_texts(self, embedder: Embedder) -> None:
        rows = await embedder.embed([f"text number {n}" for n in range(600)])
        assert rows.shape == (600, embedder.dims)


def _distance(some: "NDArray[np.float32]", other: "NDArray[np.float32]") -> float:
    """Return the largest difference of any two components."""
    return float(abs(some - other).max())
