"""A layer that does nothing: embedders around embedders begin with it, and say what they do otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from penstock.ports.embedder import Embedder, Purpose

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class PassingEmbedder:
    """An `Embedder` that passes everything on to another one: it has its name, since its vectors are the same."""

    def __init__(self, inner: Embedder) -> None:
        self._inner = inner

    @property
    def name(self) -> str:
        return self._inner.name

    @property
    def dims(self) -> int:
        return self._inner.dims

    async def embed(self, texts: Sequence[str], *, purpose: Purpose = "passage") -> NDArray[np.float32]:
        return await self._inner.embed(texts, purpose=purpose)
