"""The default embedder: the vector of a text is the sum of its tokens' vectors, scaled to length 1.

The table was distilled from all-MiniLM-L6-v2 by `scripts/embedder`; see docs/decisions/0003-the-default-embedder.md.
- A sum has no window: a text counts whole, up to `chars_max`.
- The vector of a text is zero if and only if no token of it is known: the empty text, or nothing but rare emoji.
- English. Other languages are cut into small pieces that carry little meaning: fuse with the word index.
"""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

from penstock.adapters.embedders.any_text import to_unit_length
from penstock.adapters.embedders.word_pieces import WordPieces
from penstock.errors import Finding, Invalid, Missing
from penstock.ports.embedder import Purpose

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CHARS_MAX = 200_000
TABLE = Path(__file__).with_name("static256.npz")
# Characters embedded between two looks at the event loop: about a millisecond.
_SLICE_CHARS_MAX = 6_000
# Of the event loop between two slices: what others wait for takes some to come to them, and none of ours is to be in each.
_TURNS = 8
_SLICE_TEXTS_MAX = 256


def open_static_embedder(table: Path = TABLE, *, chars_max: int = CHARS_MAX) -> "StaticEmbedder":
    """Load a table that `scripts/embedder finalize` wrote, which describes the format.

    Takes some 50 ms, half of them when the first text comes. Raises `Missing` when there is no such file.
    """
    import numpy as np

    try:
        with np.load(table, allow_pickle=False) as stored:
            rows, scales, packed = stored["rows"], stored["scales"], stored["tokenizer"]
            first, digest = int(stored["first"]), bytes(stored["digest"]).hex()
    except FileNotFoundError as error:
        raise Missing(
            f"the embedder's table {str(table)!r}", "install penstock again, or make it anew: penstock knowledge adapt"
        ) from error
    except (KeyError, ValueError, OSError, BadZipFile) as error:
        finding = Finding(str(table), f"is no table of an embedder: {error}", "make it: penstock knowledge adapt")
        raise Invalid("the settings", (finding,)) from error
    tokenizer_text = packed.tobytes()

    def tokenizer() -> Any:
        import zlib

        from tokenizers import Tokenizer

        return Tokenizer.from_str(zlib.decompress(tokenizer_text).decode())

    table_of_tokens = TokenTable(rows, scales.astype(np.float32), first)
    return StaticEmbedder(table_of_tokens, WordPieces(tokenizer), version=digest[:12], chars_max=chars_max)


@dataclass(frozen=True, slots=True)
class TokenTable:
    """The vector of token t is `rows[i] * scales[i]`, i = max(t - first, 0).

    Row 0 is zero: the tokens up to `first` are the model's own marks and mean nothing. The table stays int8 in memory:
    a row is converted when it is used, which is as quick as reading four times the bytes.
    """

    rows: "NDArray[np.int8]"
    scales: "NDArray[np.float32]"
    first: int


class StaticEmbedder:
    """An `Embedder` (guarantees E1 to E5) over a table in memory.

    It computes on the event loop, in slices of about 5 ms between which others run: a thread hop would cost more than
    most texts do.
    """

    def __init__(self, table: TokenTable, pieces: WordPieces, *, version: str, chars_max: int = CHARS_MAX) -> None:
        """`version` names the table and the tokenizer; what is beyond `chars_max` characters does not count."""
        self._table = table
        self._pieces = pieces
        self._chars_max = chars_max
        self._name = f"static-{version}" if chars_max == CHARS_MAX else f"static-{version}-{chars_max}"

    @property
    def name(self) -> str:
        return self._name

    @property
    def dims(self) -> int:
        return int(self._table.rows.shape[1])

    async def embed(self, texts: Sequence[str], *, purpose: Purpose = "passage") -> "NDArray[np.float32]":  # noqa: ARG002 - queries are embedded as passages are
        import numpy as np

        embedded = np.zeros((len(texts), self.dims), np.float32)
        for start, end in _slices(texts):
            for _ in range(_TURNS if start else 0):
                await asyncio.sleep(0)
            embedded[start:end] = self._sums(texts[start:end])
        return to_unit_length(embedded)

    def rows_of(self, texts: Sequence[str]) -> "list[NDArray[np.int64]]":
        """Return which rows of the table the tokens of each text are."""
        import numpy as np

        ids = self._pieces.tokens([text[: self._chars_max] for text in texts])
        return [np.maximum(np.fromiter(own, np.int64, len(own)) - self._table.first, 0) for own in ids]

    def _sums(self, texts: Sequence[str]) -> "NDArray[np.float32]":
        import numpy as np

        ids = self._pieces.tokens([text[: self._chars_max] for text in texts])
        rows = np.fromiter(chain.from_iterable(ids), np.int64, sum(map(len, ids)))
        rows -= self._table.first
        np.maximum(rows, 0, out=rows)
        sums = np.zeros((len(ids), self.dims), np.float32)
        end = 0
        # A product per text is up to 20 times quicker than np.add.reduceat over the batch, which does not vectorise.
        for own, total in zip(ids, sums, strict=True):
            start, end = end, end + len(own)
            used = rows[start:end]
            np.matmul(self._table.scales[used], self._table.rows[used].astype(np.float32), out=total)
        return sums


def _slices(texts: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Cut into stretches of `_SLICE_TEXTS_MAX` texts and, unless one text is longer, `_SLICE_CHARS_MAX` characters."""
    start, chars = 0, 0
    for position, text in enumerate(texts):
        if position > start and (chars + len(text) > _SLICE_CHARS_MAX or position - start == _SLICE_TEXTS_MAX):
            yield start, position
            start, chars = position, 0
        chars += len(text)
    if start < len(texts):
        yield start, len(texts)
