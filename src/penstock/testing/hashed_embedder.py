"""An embedder for tests: no table, no model, the same vectors everywhere. Texts that share words are near."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy as np

from penstock.ports.embedder import Purpose

if TYPE_CHECKING:
    from numpy.typing import NDArray

CHARS_MAX = 20_000


class HashedEmbedder:
    """An `Embedder`: each word has a direction, by its hash; `seed` makes another model of it.

    `before` is called with each batch: it may raise, as a remote model does that does not answer.
    """

    def __init__(self, dims: int = 32, seed: int = 0, before: Callable[[Sequence[str]], None] | None = None) -> None:
        self._dims = dims
        self._seed = seed
        self.before = before
        self._directions: dict[str, NDArray[np.float32]] = {}
        self.texts = 0  # how many it has embedded

    @property
    def name(self) -> str:
        return f"hashed-{self._dims}-{self._seed}"

    @property
    def dims(self) -> int:
        return self._dims

    async def embed(self, texts: Sequence[str], *, purpose: Purpose = "passage") -> NDArray[np.float32]:  # noqa: ARG002 - queries are embedded as passages are
        if self.before is not None:
            self.before(texts)
        self.texts += len(texts)
        rows = np.zeros((len(texts), self._dims), np.float32)
        for place, text in enumerate(texts):
            for word in text[:CHARS_MAX].lower().split():
                rows[place] += self._direction(word)
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        return rows / np.where(lengths > 0, lengths, 1).astype(np.float32)

    def _direction(self, word: str) -> NDArray[np.float32]:
        if word not in self._directions:
            body = blake2b(word.encode("utf-8", "replace"), digest_size=8, salt=str(self._seed).encode()).digest()
            drawn = np.random.default_rng(int.from_bytes(body, "little")).standard_normal(self._dims)
            self._directions[word] = drawn.astype(np.float32)
        return self._directions[word]
