"""Where large values lie, by their content. Its contract, as tests: `penstock.testing.blobs_contract`."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from msgspec import Struct


class Swept(Struct, frozen=True):
    """What one look at some blobs came to: how many went, their bytes, and where to go on (empty: that were all)."""

    removed: int = 0
    freed_bytes: int = 0
    after: bytes = b""


class BlobStore(Protocol):
    """Values that commits bring along in `Writes.blobs`, with who uses them in `Writes.blob_uses`.

    Every implementation guarantees:

    B1 together   A commit's blobs and the rows that refer to them are written by one commit: all of it or nothing.
    B2 content    What lies under a digest is what the commit brought, byte for byte; a digest that is unknown is left out.
    B3 once       The same content is stored once, however many use it.
    B4 held       `sweep_blobs` removes no blob that a row of one of its users still refers to, nor one that was used at or
                  after `before_ms`, whatever is committed beside it.
    B5 given back A blob that nobody refers to any more is removed by a sweep from its first to its last part.
    B6 bounded    One call looks at `limit` blobs at most, and says where the next one goes on.
    """

    async def blobs(self, digests: Sequence[bytes]) -> Mapping[bytes, bytes]:
        """Return digest -> value of those that are there."""
        ...

    async def sweep_blobs(self, *, before_ms: int, after: bytes, limit: int, dry: bool = False) -> Swept:
        """Look at the blobs whose digests follow `after`, and remove those that nobody holds; `dry`: only count them."""
        ...
