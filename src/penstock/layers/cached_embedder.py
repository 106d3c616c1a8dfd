"""Embeddings that were made before are not made again: the newest ones are kept in memory, by the hash of their text.

What is kept is bounded in bytes; the one that was not asked for the longest goes first. One cache is of one model, so its name
needs not to be in the key.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING

from penstock.core.telemetry.meters import Histogram
from penstock.layers.metered_embedder import MeteredEmbedder
from penstock.layers.passing_embedder import PassingEmbedder
from penstock.ports.embedder import Embedder, Purpose

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BYTES_MAX = 32 * 1024 * 1024
_ENTRY_BYTES = 200  # of an entry beside its vector, roughly


class CachedEmbedder(PassingEmbedder):
    """An `Embedder` around one. `errors` and `took` are those of calls that were made, for texts that were not kept."""

    def __init__(self, embedder: Embedder, *, bytes_max: int = BYTES_MAX) -> None:
        self._metered = MeteredEmbedder(embedder)
        super().__init__(self._metered)
        self._kept: OrderedDict[bytes, bytes] = OrderedDict()
        self._entries_max = max(1, bytes_max // (4 * embedder.dims + _ENTRY_BYTES))
        self.hits = 0
        self.misses = 0

    @property
    def errors(self) -> int:
        return self._metered.errors

    @property
    def took(self) -> Histogram:
        return self._metered.took

    async def embed(self, texts: Sequence[str], *, purpose: Purpose = "passage") -> NDArray[np.float32]:
        import numpy as np

        keys = [_key(text, purpose) for text in texts]
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in self._kept}
        found = {key: self._kept[key] for key in keys if key in self._kept}
        for key in found:
            self._kept.move_to_end(key)
        self.hits += len(texts) - len(missing)
        self.misses += len(missing)
        if missing:
            rows = await super().embed(list(missing.values()), purpose=purpose)
            made = {key: row.tobytes() for key, row in zip(missing, rows, strict=True)}
            found |= made
            self._keep(made)
        body = b"".join(found[key] for key in keys)
        return np.frombuffer(body, np.float32).reshape(len(texts), self.dims).copy()

    def forget(self) -> None:
        """Keep nothing of what was embedded so far."""
        self._kept.clear()

    def _keep(self, made: dict[bytes, bytes]) -> None:
        self._kept.update(made)
        while len(self._kept) > self._entries_max:
            self._kept.popitem(last=False)


def _key(text: str, purpose: Purpose) -> bytes:
    return blake2b(f"{purpose}\n{text}".encode(errors="surrogatepass"), digest_size=16).digest()
