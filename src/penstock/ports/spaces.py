"""Which spaces an index has passages in, and how one is emptied. Its contract, as tests: `penstock.testing.spaces_contract`."""

from collections.abc import Sequence
from typing import Protocol

from penstock.core.knowledge.passages import Space


class Spaces(Protocol):
    """The spaces of an index. The object that keeps this is a `VectorIndex` or `WordIndex` too.

    Every implementation guarantees:

    U1 all       `spaces` returns each space of a collection that has passages, of any tenant and generation, and no other.
    U2 bounded   `clear` removes up to `limit` passages of a space and returns how many; 0 when there is none left.
    U3 only      `clear` changes no other space, and what it removed is not found any more.
    """

    async def spaces(self, collection: str) -> Sequence[Space]: ...

    async def clear(self, space: Space, *, limit: int) -> int: ...
