"""An archive in memory, for tests and simulations."""

from collections.abc import AsyncIterator, Sequence

from penstock.core.agents.unit import Writes
from penstock.core.exports.copying import add_row
from penstock.core.exports.lines import Header, Line
from penstock.errors import Unavailable


class MemoryArchive:
    """Keeps parts in a list, which outlives the process that is simulated. `is_full`: there is no room."""

    def __init__(self) -> None:
        self.parts: list[list[Line]] = []
        self.is_full = False

    async def keep(self, lines: AsyncIterator[Sequence[Line]]) -> None:
        part = [line async for page in lines for line in page]
        if self.is_full:
            raise Unavailable("the archive", "keep", "the disk is full")
        self.parts.append(part)

    def rows(self) -> Writes:
        """Return all rows that were kept."""
        found = Writes()
        for part in self.parts:
            for line in part:
                if not isinstance(line, Header):
                    add_row(found, line)
        return found
