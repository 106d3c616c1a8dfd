"""A layer: an embedder whose calls are spans, below the search or the handling that they are made for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from penstock.core.telemetry.spans import SpanAsked, model_named
from penstock.layers.passing_embedder import PassingEmbedder
from penstock.ports.embedder import Embedder, Purpose
from penstock.ports.tracer import Tracer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class TracedEmbedder(PassingEmbedder):
    """An `Embedder` around one. What is asked for by nobody in particular is no span."""

    def __init__(self, embedder: Embedder, tracer: Tracer) -> None:
        super().__init__(embedder)
        self._tracer = tracer

    async def embed(self, texts: Sequence[str], *, purpose: Purpose = "passage") -> NDArray[np.float32]:
        provider, model = model_named(self.name)
        asked = SpanAsked(
            f"embeddings {model}",
            "client",
            attributes={
                "gen_ai.operation.name": "embeddings",
                "gen_ai.provider.name": provider,
                "gen_ai.request.model": model,
                "gen_ai.embeddings.dimension.count": self.dims,
                "penstock.texts": len(texts),
            },
            inner=True,
        )
        span, error = self._tracer.begin(asked), ""
        try:
            with span.here():
                return await super().embed(texts, purpose=purpose)
        except BaseException as raised:
            error = type(raised).__name__
            raise
        finally:
            span.end(error)
