"""A layer: an embedder whose calls are counted and timed, for those who watch it."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter
from typing import TYPE_CHECKING

from penstock.core.telemetry.meters import Histogram
from penstock.layers.passing_embedder import PassingEmbedder
from penstock.ports.embedder import Embedder, Purpose

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class MeteredEmbedder(PassingEmbedder):
    """An `Embedder` around one. Whoever answers without asking it says so by `hits`."""

    def __init__(self, embedder: Embedder) -> None:
        super().__init__(embedder)
        self.hits = 0
        self.misses = 0
        self.errors = 0
        self.took = Histogram()

    async def embed(self, texts: Sequence[str], *, purpose: Purpose = "passage") -> NDArray[np.float32]:
        began_s = perf_counter()
        try:
            return await super().embed(texts, purpose=purpose)
        except Exception:
            self.errors += 1
            raise
        finally:
            self.took.observe(perf_counter() - began_s)
