"""Whether passages can be written within a commit. Its contract, as tests: `penstock.testing.passage_checks_contract`."""

from collections.abc import Sequence
from typing import Protocol

from penstock.core.knowledge.passages import IndexWrite


class PassageChecks(Protocol):
    """Kept by an index that is written within the store's commits: what it cannot hold must be refused before.

    A commit holds the work of many handlings, and ends the engine when it is refused. Every implementation guarantees:

    Y1 before     `require` raises what writing these within a commit would raise for what they say (`Invalid`, `Refused`).
    Y2 only looks `require` changes nothing, and lets everything through that can be written.
    Y3 the same   What `prepared` returns, in that order, does what the given writes do; what takes long is done already, and
                  holds up no commit. It is asked for what `require` let through.
    """

    async def require(self, writes: Sequence[IndexWrite]) -> None: ...
    async def prepared(self, writes: Sequence[IndexWrite]) -> list[IndexWrite]: ...
