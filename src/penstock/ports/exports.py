"""Files of lines, written whole or not at all. Their contract, as tests: `penstock.testing.exports_contract`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from penstock.core.exports.lines import Line


class LineWriter(Protocol):
    """Takes the lines of an export, one after the other.

    Every implementation, and the function that opens it, guarantees:

    Z1 whole    What is at the export's place is a whole export, or what was there before: whatever dies or fills up meanwhile.
    Z2 durable  What the block left without an error is there after a kill of every process.
    Z3 same     A `LineReader` of it returns the same lines: those of one kind in their order, blobs before what refers to them.
    Z4 bounded  Memory does not grow with the number of lines.
    """

    @property
    def bytes_written(self) -> int: ...

    def write(self, line: Line) -> None: ...


class LineReader(Protocol):
    """Returns the lines of an export, as often as it is asked, with where each one is, for people."""

    @property
    def path(self) -> Path: ...

    def lines(self) -> Iterator[tuple[str, bytes]]:
        """Return where a line is, and the line: the header first, the end last, as far as they are there."""
        ...
