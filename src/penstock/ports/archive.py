"""Where what is pruned goes before it goes. Its contract, as tests: `penstock.testing.archive_contract`."""

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from penstock.core.exports.lines import Line


class Archive(Protocol):
    """Takes parts of a store for good, each as an export of its own.

    Every implementation guarantees:

    A1 durable  What `keep` returned from survives a kill of every process.
    A2 whole    A part is there whole, or not at all: `keep` raises `Unavailable` when there is no room.
    A3 apart    Many may keep parts at once, in several processes.

    Who prunes keeps first and deletes then: what he was killed in between is kept once more, with the same ids.
    """

    async def keep(self, lines: AsyncIterator[Sequence[Line]]) -> None:
        """Take a part, page by page; its first line is a header."""
        ...
